//! Files with a number in them: read for metrics, and written for those who read them.

use crate::sys::files;
use crate::sys::owned_files::{Owner, Place};
use std::ffi::CString;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Read at most of a file.
const MAX_READ: u64 = 4096;

/// The number with which the word in this place of the file begins; 0 where there is none. Nothing is waited for.
pub fn read(path: &Path, word: usize) -> Result<i64> {
    let place = files::place(&CString::new(path.as_os_str().as_bytes())?)?;
    let mut text = Vec::new();
    File::from(files::open_place(place.as_fd())?).take(MAX_READ).read_to_end(&mut text)?;
    Ok(nth_number(&text, word))
}

fn nth_number(text: &[u8], word: usize) -> i64 {
    let is_blank = |c: &u8| b" \t\r\n\0".contains(c);
    text.split(is_blank).filter(|word| !word.is_empty()).nth(word).map_or(0, leading_number)
}

/// As strtoll(3): a sign and digits; what follows does not count, and what is too large is the largest.
fn leading_number(text: &[u8]) -> i64 {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits =
        digits.iter().take_while(|digit| digit.is_ascii_digit()).map(|digit| i64::from(digit - b'0'));
    let sign = if is_negative { -1 } else { 1 };
    digits.fold(0, |number: i64, digit| number.saturating_mul(10).saturating_add(sign * digit))
}

/// Whoever reads the file meanwhile finds the old or the new number in its first line: it is written in one piece over
/// what is there, and then the file ends behind it.
pub fn write(path: &Path, number: i64) -> Result<()> {
    let text = format!("{number}\n");
    let (file, _) = Place::find(path)?.open_for(Owner::default())?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn numbers_in_texts() {
        for (text, word, number) in [
            (&b"0.41 0.44 0.51 2/217 9182"[..], 3, 2),
            (b"7\n\0\0\0\0", 0, 7),
            (b"-12x 5", 0, -12),
            (b"+3", 0, 3),
            (b"a b", 1, 0),
            (b"1", 4, 0),
            (b"", 0, 0),
            (b"99999999999999999999", 0, i64::MAX),
            (b"-99999999999999999999", 0, i64::MIN),
        ] {
            assert_eq!(nth_number(text, word), number, "{text:?}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let path = std::env::temp_dir().join(format!("rwsgi-number-{}", std::process::id()));
        for number in [123_456, -1, i64::MIN, 0] {
            write(&path, number).unwrap();
            assert_eq!(
                (read(&path, 0).unwrap(), fs::read_to_string(&path).unwrap()),
                (number, format!("{number}\n"))
            );
        }
        fs::remove_file(&path).unwrap();
        assert!(read(&path, 0).is_err());
        assert!(write(Path::new("/dev/null"), 1).is_err());
    }
}
