//! src/sys/eventfd.rs as the models have it: the kernel's counter.

use loom::sync::{Condvar, Mutex};

#[derive(Debug, Default)]
pub struct EventFd {
    count: Mutex<u64>,
    risen: Condvar,
}

impl EventFd {
    pub fn notify(&self) -> bool {
        *self.count.lock().unwrap() += 1;
        self.risen.notify_one();
        true
    }

    pub fn wait(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.risen.wait(count).unwrap();
        }
        *count = 0;
    }
}
