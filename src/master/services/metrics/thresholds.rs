//! `metric-threshold`: which metrics are where they should not be.

use crate::config::uwsgi_metrics::Threshold;
use crate::log;
use crate::shm::metrics::Metrics;

#[derive(Default)]
pub struct Thresholds {
    list: Vec<Watched>,
}

struct Watched {
    threshold: Threshold,
    at: usize,
    raised_us: Option<u64>,
}

/// An alarm that is to be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    pub alarm: String,
    pub message: String,
    pub metric: String,
    pub value: i64,
}

impl Thresholds {
    /// Those that stay know when they were raised last.
    pub fn configure(&mut self, thresholds: &[Threshold], values: &Metrics) {
        let old = std::mem::take(&mut self.list);
        for threshold in thresholds {
            let Some(at) = values.find(&threshold.key) else {
                log::say(&format!("metric-threshold: there is no metric {} before a restart", threshold.key));
                continue;
            };
            let same = old.iter().find(|watched| {
                Threshold { origin: threshold.origin.clone(), ..watched.threshold.clone() } == *threshold
            });
            let raised_us = same.and_then(|watched| watched.raised_us);
            self.list.push(Watched { threshold: threshold.clone(), at, raised_us });
        }
    }

    pub fn check(&mut self, now: u64, values: &Metrics) -> Vec<Raised> {
        self.list.iter_mut().filter_map(|watched| watched.check(now, values)).collect()
    }
}

impl Watched {
    fn check(&mut self, now: u64, values: &Metrics) -> Option<Raised> {
        let (threshold, value) = (&self.threshold, values.get(self.at));
        if value < threshold.value {
            return None;
        }
        if let Some(reset) = threshold.reset {
            values.set(self.at, reset);
        }
        let alarm = threshold.alarm.clone()?;
        // The turns of a second come a little early now and then.
        let rate_us = threshold.rate.saturating_mul(1_000_000).saturating_sub(100_000);
        if self.raised_us.is_some_and(|raised| now.saturating_sub(raised) < rate_us) {
            return None;
        }
        self.raised_us = Some(now);
        Some(Raised { alarm, message: threshold.message.clone(), metric: threshold.key.clone(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;
    use crate::shm::metrics::Metric;

    #[test]
    fn an_alarm_is_raised_once_in_its_time() {
        let (kind, initial, is_settable) = (Default::default(), 5, true);
        let metric = Metric { name: "a".into(), oid: "".into(), kind, place: 0, initial, is_settable };
        let values = Metrics::new(vec![metric]).unwrap();
        let of = |text| Threshold::parse(text, &Origin::CommandLine).unwrap();
        let list = [
            of("key=a,value=5,alarm=x,rate=10,msg=m"),
            of("key=a,value=6,alarm=y"),
            of("key=b,value=0,alarm=z"),
        ];
        let mut thresholds = Thresholds::default();
        thresholds.configure(&list, &values);
        let names = |raised: Vec<Raised>| raised.into_iter().map(|raised| raised.alarm).collect::<String>();
        let second = 1_000_000;
        assert_eq!(names(thresholds.check(second, &values)), "x");
        assert_eq!(names(thresholds.check(2 * second, &values)), "");
        thresholds.configure(&list, &values);
        assert_eq!(names(thresholds.check(3 * second, &values)), "");
        values.set(0, 6);
        assert_eq!(names(thresholds.check(4 * second, &values)), "y");
        assert_eq!(names(thresholds.check(11 * second, &values)), "xy");
        values.set(0, 4);
        assert_eq!(names(thresholds.check(30 * second, &values)), "");
    }

    #[test]
    fn a_reset_needs_no_alarm() {
        let (kind, initial, is_settable) = (Default::default(), 5, true);
        let metric = Metric { name: "a".into(), oid: "".into(), kind, place: 0, initial, is_settable };
        let values = Metrics::new(vec![metric]).unwrap();
        let mut thresholds = Thresholds::default();
        thresholds
            .configure(&[Threshold::parse("key=a,value=5,reset=-2", &Origin::CommandLine).unwrap()], &values);
        assert_eq!(thresholds.check(1, &values), []);
        assert_eq!(values.get(0), -2);
    }
}
