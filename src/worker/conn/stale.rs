//! Which connections go first when requests that are not whole take too much memory.

use super::Conn;
use super::places::Places;
use std::cmp::Reverse;

/// A connection that waits for more of its request, in the order in which they are given up: by the seconds that it has
/// waited, and of those that have waited as long, the one with the most memory first. So a flood does not end connections
/// that make progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stale {
    waited_secs: Reverse<u64>,
    bytes: Reverse<usize>,
    heard_us: u64,
    key: usize,
}

impl Stale {
    fn new(key: usize, conn: &Conn, now_us: u64) -> Stale {
        let waited_us = now_us.saturating_sub(conn.heard_us);
        Stale {
            waited_secs: Reverse(waited_us / 1_000_000),
            bytes: Reverse(conn.request_memory()),
            heard_us: conn.heard_us,
            key,
        }
    }
}

/// Those that wait for more of a request, the one to be given up first at the start.
pub fn stalest(places: &Places, now_us: u64) -> Vec<Stale> {
    let waiting = places.iter().filter(|(_, conn)| conn.request_memory() > 0);
    let mut found: Vec<Stale> = waiting.map(|(key, conn)| Stale::new(key, conn, now_us)).collect();
    found.sort_unstable();
    found
}

/// Takes one of them out, unless something has come of it since.
pub fn take_stale(places: &mut Places, stale: Stale) -> Option<Conn> {
    let conn = places.get(stale.key)?;
    let is_stale = conn.heard_us == stale.heard_us && conn.request_memory() > 0;
    if is_stale { places.take(stale.key) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::tests::conn;
    use super::*;

    #[test]
    fn requests_that_are_not_whole_are_counted_and_the_stalest_is_known() {
        let mut conns = Places::new(10, 10);
        for (heard_us, bytes) in [(7, 100), (2_000_000, 100), (2_000_001, 200), (6, 0), (8, 50)] {
            let key = conns.reserve();
            conns.put(key, Conn { buf: vec![0; bytes], heard_us, ..conn(State::Head, 0) });
        }
        assert_eq!(conns.request_memory(), 450);
        let order = stalest(&conns, 2_500_000);
        assert_eq!(order.iter().map(|stale| stale.key).collect::<Vec<_>>(), [0, 4, 2, 1]);
        let taken = take_stale(&mut conns, order[0]).unwrap();
        assert_eq!((taken.buf.len(), conns.request_memory()), (100, 350));
        conns.put(0, Conn { heard_us: 9, ..taken });
        assert!(take_stale(&mut conns, order[0]).is_none());
    }
}
