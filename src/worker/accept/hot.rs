//! Looking for the next connection without having been woken for one.

/// Connections in a row from one listener before the others get a look.
const STREAK: u32 = 16;
/// The longest that a thread goes straight to sleep after it has looked for a waiting connection in vain.
const MAX_SKIPS: u32 = 32;

/// The listener of the last request is looked at first, as long as that mostly finds a connection. Looking before
/// sleeping costs a system call when there is none: after looks in vain, so many requests are ended without one.
#[derive(Debug, Default)]
pub struct HotListener {
    index: Option<usize>,
    streak: u32,
    skips: u32,
    next_skips: u32,
}

impl HotListener {
    pub fn accepted(&mut self, listener: usize) {
        self.streak += 1;
        if self.streak < STREAK {
            self.index = Some(listener);
        } else {
            self.streak = 0;
        }
    }

    /// The listener to look at without having been woken for it, unless its turn to be looked at has not come.
    pub fn take(&mut self) -> Option<usize> {
        let listener = self.index.take()?;
        if self.skips > 0 {
            self.skips -= 1;
            return None;
        }
        Some(listener)
    }

    pub fn looked(&mut self, found: bool) {
        self.next_skips = if found { 1 } else { (2 * self.next_skips.max(1)).min(MAX_SKIPS) };
        self.skips = if found { 0 } else { self.next_skips };
    }

    /// Nothing could be accepted.
    pub fn end_streak(&mut self) {
        self.streak = 0;
    }

    pub fn forget(&mut self) {
        self.index = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_get_a_look_after_a_streak() {
        let mut hot = HotListener::default();
        for _ in 1..STREAK {
            hot.accepted(3);
            assert_eq!(hot.take(), Some(3));
        }
        hot.accepted(3);
        assert_eq!(hot.take(), None);
        hot.accepted(3);
        hot.forget();
        assert_eq!(hot.take(), None);
    }

    #[test]
    fn looks_in_vain_become_rarer() {
        let mut hot = HotListener::default();
        for skipped in [2, 4, 8, 16, 32, 32] {
            hot.looked(false);
            let mut skips = 0;
            hot.index = Some(0);
            while hot.take().is_none() {
                (hot.index, skips) = (Some(0), skips + 1);
            }
            assert_eq!(skips, skipped);
        }
        hot.looked(true);
        hot.index = Some(0);
        assert_eq!(hot.take(), Some(0));
    }
}
