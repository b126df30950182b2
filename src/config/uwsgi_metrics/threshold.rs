//! `metric-threshold`: an alarm while a metric has so much or more.

use crate::config::pairs::Pairs;
use crate::config::{Origin, ValueError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    pub key: String,
    pub value: i64,
    /// `None`: the metric is only reset.
    pub alarm: Option<String>,
    /// Seconds from one alarm to the next.
    pub rate: u64,
    /// Empty: the metric's name.
    pub message: String,
    /// What the metric is set to.
    pub reset: Option<i64>,
    pub origin: Origin,
}

const KEYS: [&str; 6] = ["key", "value", "alarm", "rate", "msg", "reset"];

impl Threshold {
    pub fn parse(text: &str, origin: &Origin) -> Result<Threshold, ValueError> {
        let pairs = Pairs::read(text, &KEYS)?;
        pairs.required("value")?;
        let key = pairs.required("key")?.to_owned();
        Ok(Threshold {
            message: pairs.get("msg").unwrap_or(&key).to_owned(),
            key,
            value: pairs.number("value")?.unwrap_or_default(),
            alarm: pairs.get("alarm").map(str::to_owned),
            rate: pairs.number("rate")?.map_or(0, |rate| u64::try_from(rate).unwrap_or(0)),
            reset: pairs.number("reset")?,
            origin: origin.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text| Threshold::parse(text, &Origin::CommandLine);
        let found =
            parse("key=core.busy_workers,value=4,alarm=mail,rate=60,msg=\"busy, all\",reset=0").unwrap();
        assert_eq!((found.key.as_str(), found.value, found.rate), ("core.busy_workers", 4, 60));
        assert_eq!(
            (found.alarm.as_deref(), found.message.as_str(), found.reset),
            (Some("mail"), "busy, all", Some(0))
        );
        assert_eq!(parse("key=a,value=1").unwrap().message, "a");
        for text in ["key=a", "value=1", "key=a,value=x", "key=a,value=1,rat=3", "a"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
