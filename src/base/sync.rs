//! What the protocols between threads and processes are made of. tests/loom builds the files that import it with loom's
//! types in place of these, and runs them in every order that the memory model allows.

pub use parking_lot::Mutex;
pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
pub use std::thread::yield_now;
