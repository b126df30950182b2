//! The values of metrics: signed numbers in memory that every process sees, by names that are fixed when it is made. The
//! master collects most of them; those of the application are changed by any process, without a lock.

use crate::base::metric::MetricKind;
use crate::sys::shm::Mapping;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: Arc<str>,
    /// Empty: it has none.
    pub oid: Arc<str>,
    pub kind: MetricKind,
    /// Where its value is: an alias has that of another metric.
    pub place: usize,
    /// What it begins with, and begins anew with.
    pub initial: i64,
    /// The application may change it.
    pub is_settable: bool,
}

/// All of them, in order.
#[derive(Clone)]
pub struct Metrics {
    list: Arc<Vec<Metric>>,
    words: &'static [AtomicU64],
}

impl Metrics {
    /// Room for a value each, which is the initial one.
    pub fn new(list: Vec<Metric>) -> Result<Metrics> {
        // A mapping cannot be empty.
        let bytes = list.len().max(1) * size_of::<AtomicU64>();
        let metrics = Metrics { words: Mapping::new(bytes)?.words(0, list.len()), list: Arc::new(list) };
        for (at, metric) in metrics.list.iter().enumerate().filter(|(at, metric)| metric.place == *at) {
            metrics.set(at, metric.initial);
        }
        Ok(metrics)
    }

    pub fn list(&self) -> &[Metric] {
        &self.list
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|metric| *metric.name == *name)
    }

    pub fn find_oid(&self, oid: &str) -> Option<usize> {
        self.list.iter().position(|metric| *metric.oid == *oid && !oid.is_empty())
    }

    fn word(&self, at: usize) -> &'static AtomicU64 {
        &self.words[self.list[at].place]
    }

    pub fn get(&self, at: usize) -> i64 {
        self.word(at).load(Relaxed) as i64
    }

    pub fn set(&self, at: usize, value: i64) {
        self.word(at).store(value as u64, Relaxed);
    }

    /// Adds, beyond the largest number to the smallest.
    pub fn add(&self, at: usize, value: i64) {
        // Two's complement: signed and unsigned addition are the same.
        self.word(at).fetch_add(value as u64, Relaxed);
    }

    pub fn multiply(&self, at: usize, by: i64) {
        self.change(at, |value| value.wrapping_mul(by));
    }

    /// `false`: nothing can be divided by 0.
    pub fn divide(&self, at: usize, by: i64) -> bool {
        if by != 0 {
            self.change(at, |value| value.wrapping_div(by));
        }
        by != 0
    }

    /// The larger of what is there and this.
    pub fn raise_to(&self, at: usize, value: i64) {
        self.change(at, |there| there.max(value));
    }

    /// The smaller of what is there and this, as uWSGI does it: only above the initial value.
    pub fn lower_to(&self, at: usize, value: i64) {
        if value > self.list[at].initial {
            self.change(at, |there| there.min(value));
        }
    }

    fn change(&self, at: usize, to: impl Fn(i64) -> i64) {
        let _ = self.word(at).fetch_update(Relaxed, Relaxed, |word| Some(to(word as i64) as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, place: usize, initial: i64) -> Metric {
        let oid = if name == "a" { "1.2" } else { "" }.into();
        Metric { name: name.into(), oid, kind: MetricKind::Counter, place, initial, is_settable: true }
    }

    #[test]
    fn values_are_signed_and_an_alias_has_that_of_another() {
        let metrics = Metrics::new(vec![metric("a", 0, -3), metric("b", 0, 7), metric("c", 2, 5)]).unwrap();
        assert_eq!((metrics.get(0), metrics.get(1), metrics.get(2)), (-3, -3, 5));
        metrics.add(1, -4);
        assert_eq!(metrics.get(0), -7);
        metrics.multiply(0, -2);
        assert!(metrics.divide(0, 3) && !metrics.divide(0, 0));
        assert_eq!(metrics.get(0), 4);
        metrics.raise_to(0, 3);
        metrics.lower_to(2, 5);
        metrics.lower_to(0, 1);
        assert_eq!((metrics.get(0), metrics.get(2)), (1, 5));
        metrics.set(0, i64::MAX);
        metrics.add(0, 1);
        assert_eq!(metrics.get(0), i64::MIN);
        assert!(metrics.divide(0, -1));
        assert_eq!(
            (metrics.find("b"), metrics.find_oid("1.2"), metrics.find_oid("")),
            (Some(1), Some(0), None)
        );
    }

    #[test]
    fn there_may_be_none() {
        assert_eq!(Metrics::new(Vec::new()).unwrap().list(), []);
    }
}
