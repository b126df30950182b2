//! Requests on uwsgi sockets.

pub mod packet;
