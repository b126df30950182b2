//! Where requests come in.

use super::Table;
use crate::config::row::{Arg, Arg::*, Row, Setter};
use crate::config::value::{flag, inverse, mode, number, put, size, some, text, timeout};
use crate::config::{Draft, Origin, Protocol, ValueError};

pub const TABLE: Table = Table {
    theme: "Sockets",
    rows: &[
        Row::works(
            "socket",
            Required,
            |d, v, o| d.socket(text(v)?, None, o),
            "accept requests of a front end (uwsgi protocol) at HOST:PORT, a path, @NAME or fd://N",
        )
        .restart()
        .alias(&["uwsgi-socket"])
        .short('s')
        .many(),
        Row::works("http-socket", Required, http, "accept HTTP at an address")
            .restart()
            .alias(&["http11-socket"])
            .many(),
        Row::works(
            "http",
            Required,
            http,
            "accept HTTP at an address; 127.0.0.1:8000 when no socket is named",
        )
        .restart()
        .many(),
        Row::works(
            "http-to-https",
            Required,
            |d, v, o| d.socket_to_https(text(v)?, o),
            "accept HTTP at ADDRESS[,PORT] only to redirect it to https, at that port",
        )
        .restart()
        .many(),
        Row::works(
            "protocol",
            Required,
            |d, v, _| d.protocol(text(v)?),
            "what the sockets of the option socket speak: uwsgi or http",
        )
        .restart()
        .alias(&["socket-protocol"])
        .default("uwsgi"),
        Row::works(
            "listen",
            Number,
            listen,
            "connections that may wait to be accepted; default min(1024, net.core.somaxconn)",
        )
        .restart()
        .short('l'),
        Row::works("chmod-socket", Optional, chmod, "mode of unix sockets, octal; 666 without a value")
            .restart()
            .alias(&["chmod"])
            .short('C'),
        Row::works(
            "chown-socket",
            Required,
            |d, v, _| put(&mut d.settings.instance.chown_socket, some(v)),
            "owner of unix sockets: USER or USER:GROUP",
        )
        .restart(),
        Row::works(
            "vacuum",
            Flag,
            |d, v, _| put(&mut d.settings.supervise.vacuum, flag(v)),
            "remove sockets and pid file at the end",
        )
        .default("false"),
        option(
            "so-keepalive",
            Flag,
            |d, v, _| put(&mut d.settings.instance.socket_options.keepalive, flag(v)),
            "let the kernel find out about dead clients",
        )
        .restart(),
        Row::accepted(
            "tcp-nodelay",
            Flag,
            "send small packets at once",
            "small packets are sent at once always",
        ),
        option(
            "so-send-timeout",
            Seconds,
            |d, v, _| put(&mut d.settings.requests.send_timeout, timeout(v)),
            "seconds that sending may take",
        )
        .alias(&["so-write-timeout", "socket-send-timeout", "socket-write-timeout"]),
        option(
            "socket-sndbuf",
            Size,
            |d, v, _| put(&mut d.settings.instance.socket_options.send_buffer, size(v).map(Some)),
            "bytes of the kernel's buffer for sending",
        )
        .restart(),
        option(
            "socket-rcvbuf",
            Size,
            |d, v, _| put(&mut d.settings.instance.socket_options.receive_buffer, size(v).map(Some)),
            "bytes of the kernel's buffer for receiving",
        )
        .restart(),
        option(
            "reuse-port",
            Flag,
            |d, v, _| put(&mut d.settings.instance.socket_options.reuse_port, flag(v)),
            "let other servers bind the same port",
        )
        .restart(),
        option(
            "freebind",
            Flag,
            |d, v, _| put(&mut d.settings.instance.socket_options.free_bind, flag(v)),
            "bind addresses that the machine does not have yet",
        )
        .restart(),
        Row::accepted(
            "close-on-exec",
            Flag,
            "keep the sockets from programs that the application starts",
            "such programs never get the sockets",
        )
        .alias(&["close-on-exec2"]),
        option(
            "no-defer-accept",
            Flag,
            |d, v, _| put(&mut d.settings.instance.socket_options.defer_accept, inverse(v)),
            "accept connections before their first bytes are there",
        )
        .restart(),
        option(
            "tcp-fast-open",
            Number,
            |d, v, _| put(&mut d.settings.instance.socket_options.fast_open, number(v).map(Some)),
            "connections that may send data with their first packet",
        )
        .restart()
        .alias(&["tcp-fastopen"]),
        Row::accepted("thunder-lock", Flag, "serialize accept between workers", "accept needs no lock"),
    ],
};

fn http(draft: &mut Draft, value: Option<&str>, origin: &Origin) -> Result<(), ValueError> {
    draft.socket(text(value)?, Some(Protocol::Http), origin)
}

fn listen(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let backlog = number::<u32>(value)?;
    draft.settings.instance.listen = Some(backlog).filter(|&n| n > 0);
    Ok(())
}

fn chmod(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Result<(), ValueError> {
    let value = value.filter(|text| !text.is_empty()).or(Some("666"));
    put(&mut draft.settings.instance.chmod_socket, mode(value).map(Some))
}

const fn option(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
    Row::works(name, arg, set, help)
}
