//! What trusted peers say of the clients for whom they ask.

use crate::config::Http;
use crate::proto::http::Reject;
use crate::proto::http::forwarded::{Fields, origin};
use crate::proto::proxy;
use crate::worker::conn::Conn;
use crate::worker::request::vars::Request;

/// Takes the PROXY header that a connection begins with. `false`: it is not whole yet.
pub fn take_proxy_header(conn: &mut Conn, http: &Http) -> Result<bool, Reject> {
    let parsed = proxy::parse(&conn.buf);
    let found = parsed.map_err(|error| Reject::bad(error.0, "haproxy's proxy-protocol.txt §2"))?;
    let Some(header) = found else { return Ok(false) };
    conn.buf.drain(..header.len);
    conn.awaits_proxy = false;
    // The balancer was trusted; the client behind it is judged by its own address. Without one (UNKNOWN, LOCAL,
    // families without addresses) the connection's address stays, and its headers are not trusted.
    conn.trusted = header.source.is_some_and(|source| http.trusts(source.ip()));
    conn.peer = header.source.or(conn.peer);
    Ok(true)
}

/// Puts the client that a trusted peer names in the peer's place, and returns the scheme that it names. Most requests
/// name none.
pub fn apply(request: &mut Request, http: &Http) -> Option<&'static [u8]> {
    let known = &request.known;
    let spans = [known.forwarded, known.forwarded_for, known.scheme, known.https, known.forwarded_host];
    if spans.iter().all(|span| span.is_empty()) {
        return None;
    }
    let [forwarded, addresses, proto, ssl, host] = spans.map(|span| request.get(span));
    let found = origin(&Fields { forwarded, addresses, proto, ssl, host }, |address| http.trusts(address));
    let host = found.host.filter(|_| http.trusts_host).map(<[u8]>::to_vec);
    let (address, port) = (found.address, found.port.unwrap_or(0));
    let scheme = found.scheme;
    if let Some(address) = address {
        request.set(b"REMOTE_ADDR", address.to_string().as_bytes());
        // The port of the connection that is here is the proxy's; 0 says that the client's is not known.
        request.set(b"REMOTE_PORT", port.to_string().as_bytes());
    }
    if let Some(host) = host {
        request.set(b"HTTP_HOST", &host);
    }
    scheme
}
