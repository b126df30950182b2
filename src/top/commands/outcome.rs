//! What a command has to say.

/// What a command has done.
pub enum Outcome {
    /// For the standard output.
    Text(String),
    /// A file is written; for the standard error.
    Written(String),
}

/// Why it has not.
pub enum Failure {
    /// The words behind the command.
    Arguments(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Other(why)
    }
}
