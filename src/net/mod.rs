//! Layer 4: what every process that serves clients needs: listeners, a client's connection with or without TLS, what waits to be sent
//! to it, and buffers to be used again.

pub mod buffers;
pub mod client;
pub mod listener;
pub mod send_queue;
pub mod tls;
