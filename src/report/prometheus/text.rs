//! The exposition formats: the text format 0.0.4 of Prometheus, and OpenMetrics 1.0.

use std::fmt::{Display, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    OpenMetrics,
}

impl Format {
    /// What a client takes: OpenMetrics when it names that before all others, as Prometheus does.
    pub fn of_accept(accept: &str) -> Format {
        let weight = |range: &str| {
            let q = range.split(';').filter_map(|part| part.trim().strip_prefix("q=")).next();
            q.map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0))
        };
        let of = |media: &str| {
            let ranges = accept.split(',').map(str::trim);
            let named = ranges.filter(|range| {
                range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(media))
            });
            named.map(weight).fold(0.0, f32::max)
        };
        let open = of("application/openmetrics-text");
        if open > 0.0 && open >= of("text/plain") { Format::OpenMetrics } else { Format::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A label's name and its value.
pub type Label<'a> = (&'a str, &'a str);

pub struct Exposition {
    out: String,
    format: Format,
}

impl Exposition {
    pub fn new(format: Format) -> Exposition {
        Exposition { out: String::with_capacity(16 * 1024), format }
    }

    /// Begins a family. `name`: that of its samples; in OpenMetrics the family of a counter has no `_total`.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let family = match self.format {
            Format::OpenMetrics if kind == Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.out, "# HELP {family} {help}\n# TYPE {family} {kind}");
    }

    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            push_escaped(&mut self.out, text);
            self.out.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
    }

    /// A family with one sample.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Microseconds as seconds, exactly.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0 / 1_000_000)?;
        match self.0 % 1_000_000 {
            0 => f.write_str(".0"),
            micros => f.write_str(format!(".{micros:06}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_preferred() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::of_accept(prometheus), Format::OpenMetrics);
        let other = "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.2";
        for accept in ["", "*/*", "text/plain", "text/html", other, "application/openmetrics-text;q=0"] {
            assert_eq!(Format::of_accept(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn labels_are_escaped_and_counters_named_as_each_format_wants() {
        let of = |format| {
            let mut text = Exposition::new(format);
            text.family("a_total", Kind::Counter, "All.");
            text.sample("a_total", &[("x", "q\"\\\n"), ("y", "z")], Seconds(1_500_000));
            text.end()
        };
        let sample = "a_total{x=\"q\\\"\\\\\\n\",y=\"z\"} 1.5\n";
        assert_eq!(of(Format::Text), format!("# HELP a_total All.\n# TYPE a_total counter\n{sample}"));
        let open = format!("# HELP a All.\n# TYPE a counter\n{sample}# EOF\n");
        assert_eq!(of(Format::OpenMetrics), open);
    }

    #[test]
    fn seconds_are_exact() {
        let texts = [0, 1, 500, 1_000_000, 60_000_000, u64::MAX].map(|us| Seconds(us).to_string());
        let expected = ["0.0", "0.000001", "0.0005", "1.0", "60.0", "18446744073709.551615"];
        assert_eq!(texts, expected);
    }
}
