//! How a reader has to understand the values of a metric.

/// In uWSGI's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// It only grows, or has a start of its own.
    #[default]
    Counter = 0,
    /// What is the case now.
    Gauge = 1,
    /// A count that begins anew with each process.
    Absolute = 2,
    /// Another name of a metric.
    Alias = 3,
}
