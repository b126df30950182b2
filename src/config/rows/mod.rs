//! The option tables: one file a theme, one row an option.

mod alarms;
mod apps;
mod configuration;
mod http;
mod limits;
mod logging;
mod logic;
mod metrics;
mod parts;
mod planned;
mod processes;
mod recycling;
mod refused;
mod requests;
mod sockets;
mod statics;
mod stats;
mod tls;
mod tracing;

use super::Row;
pub use configuration::{THEME as READING, is_built_in};
pub use logic::THEME as BLOCKS;

pub struct Table {
    pub theme: &'static str,
    pub rows: &'static [Row],
}

const TABLES: &[&Table] = &[
    &configuration::TABLE,
    &logic::TABLE,
    &apps::TABLE,
    &sockets::TABLE,
    &tls::TABLE,
    &processes::TABLE,
    &recycling::TABLE,
    &requests::TABLE,
    &http::TABLE,
    &statics::TABLE,
    &limits::TABLE,
    &logging::TABLE,
    &metrics::TABLE,
    &alarms::TABLE,
    &stats::TABLE,
    &tracing::TABLE,
];

/// Every row with its theme, those that work first.
pub fn all() -> Vec<Row> {
    let built =
        TABLES.iter().flat_map(|table| table.rows.iter().map(|row| Row { theme: table.theme, ..*row }));
    built.chain(parts::rows()).collect()
}
