//! Something that is on or off and takes several steps to change, by one thread at a time: two that cross could leave
//! it off, and both believe it on. tests/loom/toggle.rs holds it to that.

use crate::base::sync::{AtomicBool, Mutex, Ordering::*};

#[derive(Debug, Default)]
pub struct Toggle {
    is_off: AtomicBool,
    /// Held by the thread that changes it.
    changing: Mutex<()>,
}

impl Toggle {
    #[inline]
    pub fn is_off(&self) -> bool {
        self.is_off.load(Acquire)
    }

    /// Turns it on or off, unless another thread has done so meanwhile or `change` fails.
    pub fn turn<E>(&self, on: bool, change: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let _turn = self.changing.lock();
        if self.is_off() == on {
            change()?;
            self.is_off.store(!on, Release);
        }
        Ok(())
    }

    /// Where it is on: turns it off, and on again unless that fails.
    pub fn restart<E>(
        &self,
        off: impl FnOnce() -> bool,
        on: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let _turn = self.changing.lock();
        if self.is_off() || !off() {
            return Ok(());
        }
        on().inspect_err(|_| self.is_off.store(true, Release))
    }
}
