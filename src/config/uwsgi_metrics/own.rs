//! `metric`: one of the user's own.

use std::path::PathBuf;

use crate::base::metric::MetricKind;
use crate::config::pairs::Pairs;
use crate::config::{Origin, ValueError};

#[derive(Clone, Debug, Eq)]
pub struct OwnMetric {
    pub name: String,
    /// Empty: it has none.
    pub oid: String,
    pub kind: MetricKind,
    pub initial: i64,
    /// Seconds between two looks.
    pub every: u64,
    pub collector: Collector,
    /// It begins anew behind each push.
    pub resets: bool,
    pub origin: Origin,
}

/// Where it was written does not matter to a reload.
impl PartialEq for OwnMetric {
    fn eq(&self, other: &OwnMetric) -> bool {
        let rest = |one: &OwnMetric| (one.kind, one.initial, one.every, one.resets);
        (&self.name, &self.oid, &self.collector) == (&other.name, &other.oid, &other.collector)
            && rest(self) == rest(other)
    }
}

/// Where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collector {
    /// The application sets it.
    None,
    /// The value of another metric.
    Alias(String),
    /// The number in a file: its path, and which of the words in it, from 0.
    File(PathBuf, usize),
    Sum(Vec<String>),
    /// What it is already is added.
    Accumulator(Vec<String>),
    /// The sum, and this number added.
    Adder(Vec<String>, i64),
    /// The sum, multiplied by this number.
    Multiplier(Vec<String>, i64),
    Average(Vec<String>),
}

impl Collector {
    /// The metrics that it reads.
    pub fn children(&self) -> &[String] {
        match self {
            Collector::None | Collector::File(..) => &[],
            Collector::Alias(name) => std::slice::from_ref(name),
            Collector::Sum(names) | Collector::Accumulator(names) | Collector::Average(names) => names,
            Collector::Adder(names, _) | Collector::Multiplier(names, _) => names,
        }
    }
}

const KEYS: [&str; 15] = [
    "name",
    "oid",
    "type",
    "initial_value",
    "freq",
    "collector",
    "children",
    "alias",
    "arg1",
    "arg2",
    "arg3",
    "arg1n",
    "arg2n",
    "arg3n",
    "reset_after_push",
];
/// A file may be called so (metrics-dir).
const MAX_NAME: usize = 200;

impl OwnMetric {
    /// `NAME`, or `name=NAME,type=gauge,…`.
    pub fn parse(text: &str, origin: &Origin) -> Result<OwnMetric, ValueError> {
        let is_name = !text.contains('=');
        let pairs = Pairs::read(if is_name { "" } else { text }, &KEYS)?;
        let name = if is_name { text.trim() } else { pairs.required("name")? };
        check_name(name)?;
        let oid = pairs.get("oid").unwrap_or_default();
        check_oid(oid)?;
        let every = pairs.number("freq")?.unwrap_or(1);
        let kind = kind(pairs.get("type"), pairs.get("alias").is_some())?;
        Ok(OwnMetric {
            name: name.to_owned(),
            oid: oid.to_owned(),
            kind,
            initial: pairs.number("initial_value")?.unwrap_or(0),
            every: u64::try_from(every).unwrap_or(0).max(1),
            collector: collector(&pairs, kind)?,
            resets: pairs.get("reset_after_push").is_some_and(|value| value != "0"),
            origin: origin.clone(),
        })
    }
}

fn check_name(name: &str) -> Result<(), ValueError> {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
    let is_dots = name.bytes().all(|c| c == b'.');
    if name.bytes().all(is_allowed) && !is_dots && name.len() <= MAX_NAME {
        return Ok(());
    }
    let remedy = format!("write at most {MAX_NAME} letters, digits, dots, - and _");
    Err(ValueError::new(format!("\"{name}\" is no name of a metric"), remedy))
}

fn check_oid(oid: &str) -> Result<(), ValueError> {
    if oid.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return Ok(());
    }
    Err(ValueError::new(format!("\"{oid}\" is no oid"), "write digits and dots, such as 100.1"))
}

fn kind(name: Option<&str>, is_alias: bool) -> Result<MetricKind, ValueError> {
    match name {
        _ if is_alias => Ok(MetricKind::Alias),
        None | Some("counter") => Ok(MetricKind::Counter),
        Some("gauge") => Ok(MetricKind::Gauge),
        Some("absolute") => Ok(MetricKind::Absolute),
        Some("alias") => Ok(MetricKind::Alias),
        Some(other) => {
            let remedy = "write counter, gauge, absolute or alias";
            Err(ValueError::new(format!("there is no type \"{other}\""), remedy))
        }
    }
}

fn collector(pairs: &Pairs<'_>, kind: MetricKind) -> Result<Collector, ValueError> {
    if kind == MetricKind::Alias {
        return Ok(Collector::Alias(pairs.required("alias")?.to_owned()));
    }
    let children = || -> Vec<String> {
        let names = pairs.get("children").unwrap_or_default().split(';').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let argument = pairs.number("arg1n")?;
    Ok(match pairs.get("collector") {
        None => Collector::None,
        Some("file") => file(pairs.required("arg1")?, argument)?,
        Some("sum") => Collector::Sum(children()),
        Some("accumulator") => Collector::Accumulator(children()),
        Some("adder") => Collector::Adder(children(), argument.unwrap_or(0)),
        Some("multiplier") => Collector::Multiplier(children(), argument.unwrap_or(0)),
        Some("avg") => Collector::Average(children()),
        Some(name @ ("ptr" | "func")) => {
            let text = format!("collector={name} reads a symbol of uWSGI's C code, which is not here");
            let remedy =
                "let the application write the value to a file and read that with collector=file,arg1=PATH";
            return Err(ValueError::new(text, remedy));
        }
        Some(other) => {
            let remedy = "write file, sum, accumulator, adder, multiplier or avg";
            return Err(ValueError::new(format!("there is no collector \"{other}\""), remedy));
        }
    })
}

fn file(path: &str, field: Option<i64>) -> Result<Collector, ValueError> {
    let wrong = |_| ValueError::new("arg1n is negative", "write which word of the file it is, from 0");
    let field = usize::try_from(field.unwrap_or(0)).map_err(wrong)?;
    Ok(Collector::File(path.into(), field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OwnMetric, ValueError> {
        OwnMetric::parse(text, &Origin::CommandLine)
    }

    #[test]
    fn forms() {
        let plain = parse("orders").unwrap();
        assert_eq!((plain.name.as_str(), plain.kind, plain.every), ("orders", MetricKind::Counter, 1));
        assert_eq!(plain.collector, Collector::None);
        let sum =
            parse("name=a,type=gauge,oid=1.2,initial_value=-3,freq=9,collector=sum,children=x;y").unwrap();
        assert_eq!(sum.collector, Collector::Sum(vec!["x".into(), "y".into()]));
        assert_eq!((sum.kind, sum.oid.as_str(), sum.initial, sum.every), (MetricKind::Gauge, "1.2", -3, 9));
        let file = parse("name=load,collector=file,arg1=/proc/loadavg,arg1n=2").unwrap();
        assert_eq!(file.collector, Collector::File("/proc/loadavg".into(), 2));
        let alias = parse("name=a,alias=b").unwrap();
        assert_eq!((alias.kind, alias.collector), (MetricKind::Alias, Collector::Alias("b".into())));
        assert!(parse("name=a,reset_after_push=1").unwrap().resets);
    }

    #[test]
    fn another_line_is_no_other_metric() {
        let moved = Origin::File { path: "a.ini".into(), line: 7 };
        assert_eq!(parse("name=a,freq=2").unwrap(), OwnMetric::parse("name=a,freq=2", &moved).unwrap());
        assert_ne!(parse("name=a,freq=2").unwrap(), parse("name=a,freq=3").unwrap());
        assert_ne!(parse("a").unwrap(), parse("name=a,oid=1").unwrap());
    }

    #[test]
    fn mistakes() {
        for (text, said) in [
            ("a b", "is no name"),
            ("..", "is no name"),
            ("name=", "there is no name="),
            ("name=a,oid=1.x", "is no oid"),
            ("name=a,type=x", "counter, gauge"),
            ("name=a,type=alias", "there is no alias="),
            ("name=a,freq=x", "is no whole number"),
            ("name=a,colector=sum", "\"colector\" is not known here"),
            ("name=a,collector=func,arg1=f", "collector=file"),
            ("name=a,collector=ptr", "collector=file"),
            ("name=a,collector=x", "accumulator"),
            ("name=a,collector=file", "there is no arg1="),
            ("name=a,collector=file,arg1=x,arg1n=-1", "negative"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
