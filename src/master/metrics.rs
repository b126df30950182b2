//! The values of uWSGI's metrics, in memory that the master shares with all processes.

use crate::config::Settings;
use crate::config::uwsgi_metrics::{Definition, Source, definitions};
use crate::shm::metrics::{Metric, Metrics};
use std::io::{Error, Result};

/// Room for each metric of a server with these settings.
pub fn values(settings: &Settings) -> Result<Metrics> {
    let definitions = definitions(settings).map_err(|error| Error::other(error.to_string()))?;
    let metric = |(at, definition): (usize, &Definition)| Metric {
        name: definition.name.as_str().into(),
        oid: definition.oid.as_str().into(),
        kind: definition.kind,
        place: place(&definitions, at),
        initial: definition.initial,
        is_settable: definition.source.is_settable(),
    };
    Metrics::new(definitions.iter().enumerate().map(metric).collect())
}

/// Where the value of the metric at this place is. What an alias stands for comes before it, or was before it when the
/// alias took over the name of another.
fn place(definitions: &[Definition], mut at: usize) -> usize {
    for _ in definitions {
        match definitions[at].source {
            Source::Alias(other) => at = other,
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Format, load_text};

    #[test]
    fn an_alias_has_the_value_of_what_it_names() {
        let text = "[uwsgi]\nmodule = a\nmetric = name=a,initial_value=4\nmetric = name=b,alias=a\nmetric = name=c,alias=b\n";
        let values = values(&load_text(Format::Ini, text, &[]).unwrap().settings).unwrap();
        let at = |name| values.find(name).unwrap();
        assert_eq!((values.get(at("b")), values.get(at("c"))), (4, 4));
        assert!(values.list()[at("a")].is_settable && !values.list()[at("b")].is_settable);
        values.set(at("core.total_rss"), 9);
        assert_eq!(values.get(at("rss_size")), 9);
    }
}
