//! Who goes on with a connection.

use super::conn::{Conn, Serviced, State, leftover, linger};
use super::core::Core;
use super::http;
use super::request::Taken;
use super::uwsgi::packet;
use crate::config::Protocol;
use crate::sys::clock;

/// Goes on with a connection that is readable or writable.
pub fn read(core: &mut Core, mut conn: Conn) -> Taken {
    // A new connection has not waited: the core is not to take what it knows of the one before it.
    core.in_flight.ready_us = std::mem::take(&mut conn.ready_us);
    match (&conn.state, conn.protocol) {
        (State::Sending(_), _) => {
            match leftover::send(&core.shared, conn) {
                Serviced::Ready(conn) => core.next_request(conn, clock::monotonic_us()),
                Serviced::Waits(conn) => core.keep(conn),
                Serviced::Over => {}
            }
            Taken::Nothing
        }
        (State::Lingering, _) => {
            linger::read_on(&core.shared, conn);
            Taken::Nothing
        }
        (_, Protocol::Uwsgi) => packet::read(core, conn),
        (_, Protocol::Http) => http::head::read(core, conn),
    }
}
