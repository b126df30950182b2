//! Buffers that a thread needs for a moment and uses again: connections that wait hold none.

use std::cell::RefCell;

/// Kept by a thread.
const MAX_SPARE: usize = 3;
/// A larger one is freed.
const MAX_SPARE_SIZE: usize = 128 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer.
pub fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Its contents are not needed any more.
pub fn put(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MAX_SPARE_SIZE {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MAX_SPARE {
            spare.push(buffer);
        }
    });
}
