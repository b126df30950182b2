//! What the system says of a failure, for people.

use std::borrow::Borrow;
use std::io::Error;

/// Without the number, as in "(os error 2)", that the standard library puts behind it.
pub fn reason(error: impl Borrow<Error>) -> String {
    let text = error.borrow().to_string();
    text.split_once(" (os error ").map_or(text.as_str(), |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_left_out() {
        assert_eq!(reason(Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(reason(Error::other("there is no user")), "there is no user");
    }
}
