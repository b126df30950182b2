//! Files that the server answers with by itself: without the application, and without a thread that waits for the client.

mod answer;
mod find;
pub mod places;
pub mod serve;
mod types;
mod variant;
