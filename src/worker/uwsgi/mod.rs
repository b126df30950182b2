//! Requests on uwsgi sockets.

mod packet;
