//! Who looks last into a mailbox: the worker that leaves, or who has given it a connection. Both say what they do, one
//! on the scoreboard and one in the mailbox, before they look at what the other has said, so that at least one sees the
//! other and no message stays unread. tests/loom/mailbox.rs holds it to that.

use crate::base::sync::{Ordering::SeqCst, fence};

/// A worker leaves: says so, and then reads its mailbox a last time.
pub fn leave<T>(say_so: impl FnOnce(), read: impl FnOnce() -> T) -> T {
    say_so();
    fence(SeqCst);
    read()
}

/// After a message was put into the mailbox of a worker: one of those that lie there, if that worker has left.
pub fn take_back<T>(has_left: impl FnOnce() -> bool, take: impl FnOnce() -> Option<T>) -> Option<T> {
    fence(SeqCst);
    if has_left() { take() } else { None }
}
