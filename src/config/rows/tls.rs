//! TLS: sockets, certificates for names, and what has no meaning without OpenSSL.

use super::Table;
use crate::config::row::{Arg::*, Row, Status};
use crate::config::tls::{self, Identity, NameDir, Parsed};
use crate::config::value::{flag, put, text};
use crate::config::{Ciphers, Draft, Origin, ValueError};

type Done = Result<(), ValueError>;

pub const TABLE: Table = Table {
    theme: "TLS",
    rows: &[
        Row::works("https", Required, |d, v, o| https(d, v, o, "https"), "accept HTTPS: ADDRESS,CERTIFICATE,KEY[,CIPHERS[,CLIENT_CA]]; !CLIENT_CA: clients must have a certificate").restart_for("its address").many(),
        Row::works("https-socket", Required, |d, v, o| https(d, v, o, "https-socket"), "the same as https").restart_for("its address").many(),
        Row::works("https2", Required, https2, "the same as addr=…,cert=…,key=…[,ciphers=…][,client_ca=…]").restart_for("its address").many(),
        Row::works("sni", Required, |d, v, o| name(d, v, o, tls::name), "another certificate for clients that ask for a name: NAME CERTIFICATE,KEY[,CIPHERS[,CLIENT_CA]]").many(),
        Row::works("sni-regexp", Required, |d, v, o| name(d, v, o, tls::pattern), "the same for all names that a regular expression finds").many(),
        Row::works("sni-dir", Required, dir, "a directory of certificates for names: NAME.crt, NAME.key and, for certificates of clients, NAME.ca"),
        Row::works("sni-dir-ciphers", Required, dir_ciphers, "ciphers of the names in sni-dir, as OpenSSL writes them"),
        Row::works("https-export-cert", Flag, |d, v, _| put(&mut d.settings.tls.export_certificate, flag(v)), "give the application the client's certificate as PEM, too (HTTPS_CC)").default("false"),
        Row::works("ssl-verbose", Flag, |d, v, _| put(&mut d.settings.tls.verbose, flag(v)), "log why handshakes fail").default("false"),
        Row::accepted("https-session-context", Required, "name of the context that sessions are resumed in", "sessions are resumed only on the socket, and for the name, that they were made with"),
        Row::accepted("ssl-sessions-use-cache", Optional, "cache for sessions", "sessions are resumed with tickets, which every worker can read without a cache").alias(&["ssl-session-use-cache"]),
        Row::accepted("ssl-sessions-timeout", Required, "seconds that a session can be resumed", "the keys of tickets change every six hours and with each reload").alias(&["ssl-session-timeout"]),
        Row::accepted("ssl-verify-depth", Optional, "longest chain above a client's certificate", "the authority that CLIENT_CA names says how long its chains may be (pathlen)"),
        Row::accepted("ssl-tmp-dir", Required, "directory for temporary files of keys", "no key is ever written to a file"),
        refused("ssl-enable-sslv3", Flag, "SSL 3 is broken and is not offered; use TLS 1.2 or 1.3").alias(&["ssl-enable3"]),
        refused("ssl-enable-tlsv1", Flag, "TLS 1.0 is broken and is not offered; let nginx serve clients that know nothing newer"),
        refused("ssl-option", Flag, "OpenSSL's numbers mean nothing to rustls; name ciphers and client_ca with the socket"),
        refused("https-socket-modifier1", Required, "applications are chosen by mount").alias(&["https-socket-modifier2"]),
    ],
};

const fn refused(name: &'static str, arg: crate::config::Arg, instead: &'static str) -> Row {
    Row { status: Status::Refused(instead), ..Row::accepted(name, arg, instead, instead) }
}

/// What was read, with the note said.
fn noted<T>(draft: &mut Draft, parsed: Parsed<T>) -> Result<T, ValueError> {
    let (read, note) = parsed?;
    draft.notes.extend(note);
    Ok(read)
}

fn https(draft: &mut Draft, value: Option<&str>, origin: &Origin, option: &'static str) -> Done {
    let socket = noted(draft, tls::socket(text(value)?, option, origin))?;
    add(draft, socket, origin)
}

fn https2(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Done {
    let socket = noted(draft, tls::keyed_socket(text(value)?, origin))?;
    add(draft, socket, origin)
}

fn add(draft: &mut Draft, (address, identity): (&str, Identity), origin: &Origin) -> Done {
    draft.tls_socket(address, identity, origin)
}

type Reader = fn(&str, &Origin) -> Parsed<(tls::Name, Identity)>;

fn name(draft: &mut Draft, value: Option<&str>, origin: &Origin, read: Reader) -> Done {
    let name = noted(draft, read(text(value)?, origin))?;
    draft.settings.tls.names.push(name);
    Ok(())
}

fn dir(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Done {
    draft.settings.tls.dir = Some(NameDir { path: text(value)?.into(), origin: origin.clone() });
    Ok(())
}

fn dir_ciphers(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Done {
    let ciphers = Ciphers::parse(text(value)?);
    draft.settings.tls.dir_ciphers = noted(draft, Ok(ciphers))?;
    Ok(())
}
