//! Values of options, from text. uWSGI reads a number up to the first character that is none and takes the
//! rest for granted; here the rest is an error, except for a comment behind the number.

use std::path::PathBuf;
use std::time::Duration;

use super::ValueError;

type Value<T> = Result<T, ValueError>;

const YES: [&str; 4] = ["true", "on", "yes", "1"];
const NO: [&str; 4] = ["false", "off", "no", "0"];

/// `slot` becomes `value`, unless that is an error.
pub fn put<T>(slot: &mut T, value: Value<T>) -> Value<()> {
    *slot = value?;
    Ok(())
}

/// As uWSGI: only a word for *no* is false.
pub fn flag(value: Option<&str>) -> Value<bool> {
    Ok(!is_word(value.unwrap_or_default(), &NO))
}

pub fn inverse(value: Option<&str>) -> Value<bool> {
    flag(value).map(|on| !on)
}

/// Whether `value` is one of the words for yes and no (nothing at all means yes).
pub fn is_flag(value: &str) -> bool {
    value.is_empty() || is_word(value, &YES) || is_word(value, &NO)
}

fn is_word(value: &str, words: &[&str]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

pub fn text(value: Option<&str>) -> Value<&str> {
    match value {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(ValueError::new("needs a value", "")),
    }
}

/// Text that is stored as it is: a name, a path.
pub fn some<T: for<'a> From<&'a str>>(value: Option<&str>) -> Value<Option<T>> {
    text(value).map(|text| Some(T::from(text)))
}

/// One more text, or path.
pub fn push<T: for<'a> From<&'a str>>(list: &mut Vec<T>, value: Option<&str>) -> Value<()> {
    list.push(T::from(text(value)?));
    Ok(())
}

/// One more path.
pub fn paths(list: &mut Vec<PathBuf>, value: Option<&str>) -> Value<()> {
    push(list, value)
}

/// A whole number that fits into `T`.
pub fn number<T: TryFrom<u64>>(value: Option<&str>) -> Value<T> {
    let (number, unit) = split(value)?;
    if !unit.is_empty() {
        return Err(not_a_number(text(value)?));
    }
    fit(number, value)
}

/// A whole number of at least 1.
pub fn positive<T: TryFrom<u64>>(value: Option<&str>) -> Value<T> {
    if split(value)?.0 == 0 {
        return Err(ValueError::new("0 is too few", "write a whole number of at least 1"));
    }
    number(value)
}

/// Bytes, with an optional unit of 1024: `32768`, `32k`, `10M`, `1G`.
pub fn size<T: TryFrom<u64>>(value: Option<&str>) -> Value<T> {
    let (number, unit) = split(value)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(not_a_size(text(value)?)),
    };
    fit(number.checked_mul(factor).ok_or_else(|| too_large(value))?, value)
}

/// Megabytes of 1024 × 1024 where no unit says otherwise: `512`, `512M`, `2G`.
pub fn megabytes<T: TryFrom<u64>>(value: Option<&str>) -> Value<T> {
    match split(value)? {
        (number, "") => fit(number.checked_mul(1 << 20).ok_or_else(|| too_large(value))?, value),
        _ => size(value),
    }
}

/// `Name: value`, or `Name=value`.
pub fn header(value: Option<&str>) -> Value<(String, String)> {
    let text = text(value)?;
    let pair = text.split_once(':').or_else(|| text.split_once('='));
    let is_token = |name: &str| {
        let is_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !name.is_empty() && name.bytes().all(is_char)
    };
    match pair.map(|(name, value)| (name.trim(), value.trim())) {
        Some((name, value))
            if is_token(name) && !value.contains(|c: char| c.is_ascii_control() && c != '\t') =>
        {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(ValueError::new(format!("\"{text}\" is no header"), "write Name: value")),
    }
}

/// Seconds, with an optional unit: `30`, `30s`, `5m`, `1h`.
pub fn seconds(value: Option<&str>) -> Value<Duration> {
    let (number, unit) = split(value)?;
    let factor: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(not_seconds(text(value)?)),
    };
    let seconds = number.saturating_mul(factor);
    // A deadline beyond this overflows no clock, and no one waits for it.
    if seconds > u64::from(u32::MAX) {
        return Err(too_large(value));
    }
    Ok(Duration::from_secs(seconds))
}

/// Seconds, where 0 means never.
pub fn timeout(value: Option<&str>) -> Value<Option<Duration>> {
    Ok(Some(seconds(value)?).filter(|time| !time.is_zero()))
}

/// Three or four octal digits.
pub fn mode(value: Option<&str>) -> Value<u32> {
    let text = text(value)?;
    let digits = strip_comment(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 && digits.len() <= 5 && !digits.starts_with('+') => Ok(mode),
        _ => Err(ValueError::new(
            format!("\"{text}\" is no octal mode"),
            "write three octal digits, such as 664",
        )),
    }
}

/// The number at the start of a value, and the unit behind it.
fn split(value: Option<&str>) -> Value<(u64, &str)> {
    let text = text(value)?;
    let body = strip_comment(text);
    let body = body.strip_prefix('+').unwrap_or(body);
    let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
    if end == 0 {
        return Err(not_a_number(text));
    }
    let number = body[..end].parse().map_err(|_| too_large(value))?;
    Ok((number, body[end..].trim_start()))
}

/// `4 ; four of them` is 4 to uWSGI too. The reader of the file has warned about it.
fn strip_comment(text: &str) -> &str {
    match text.find([' ', '\t']) {
        Some(blank) if text[blank..].trim_start().starts_with([';', '#']) => &text[..blank],
        _ => text,
    }
}

fn fit<T: TryFrom<u64>>(number: u64, value: Option<&str>) -> Value<T> {
    T::try_from(number).map_err(|_| too_large(value))
}

fn too_large(value: Option<&str>) -> ValueError {
    ValueError::new(format!("{} is too large", value.unwrap_or_default()), "write a smaller number")
}

fn not_a_number(text: &str) -> ValueError {
    ValueError::new(format!("\"{text}\" is not a whole number"), "write digits only, such as 4")
}

fn not_a_size(text: &str) -> ValueError {
    let remedy = "write bytes, such as 32768, or a number with k, M or G";
    ValueError::new(format!("\"{text}\" is not a size"), remedy)
}

fn not_seconds(text: &str) -> ValueError {
    let remedy = "write seconds, such as 30, or a number with s, m or h";
    ValueError::new(format!("\"{text}\" is not a time"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_true_unless_a_word_says_no() {
        for yes in [None, Some(""), Some("true"), Some("On"), Some("1"), Some("whatever")] {
            assert_eq!(flag(yes), Ok(true), "{yes:?}");
        }
        for no in ["false", "OFF", "no", "0"] {
            assert_eq!(flag(Some(no)), Ok(false), "{no}");
        }
        assert!(is_flag("") && is_flag("Yes") && !is_flag("true ; now"));
    }

    #[test]
    fn numbers_are_whole_or_an_error() {
        assert_eq!(number::<u32>(Some("4")), Ok(4));
        assert_eq!(number::<u32>(Some("4 ; four")), Ok(4));
        assert_eq!(number::<u32>(Some("4\t# four")), Ok(4));
        for wrong in ["", "four", "-1", "4x", "4 5", "0x10", "4.5", "99999999999999999999", "4294967296"] {
            assert!(number::<u32>(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(number::<u32>(None).is_err());
        assert!(positive::<u32>(Some("0")).is_err());
    }

    #[test]
    fn sizes_take_units_of_1024() {
        assert_eq!(size::<u64>(Some("32768")), Ok(32768));
        assert_eq!(size::<u64>(Some("64k")), Ok(65536));
        assert_eq!(size::<u64>(Some("10 MiB")), Ok(10 << 20));
        assert_eq!(size::<u64>(Some("1G")), Ok(1 << 30));
        assert!(size::<u64>(Some("10 parsecs")).is_err());
        assert!(size::<u64>(Some("18446744073709551615G")).is_err());
    }

    #[test]
    fn memory_is_in_megabytes() {
        assert_eq!(megabytes::<u64>(Some("512")), Ok(512 << 20));
        assert_eq!(megabytes::<u64>(Some("512M")), Ok(512 << 20));
        assert_eq!(megabytes::<u64>(Some("2G")), Ok(2 << 30));
        assert!(megabytes::<u64>(Some("99999999999999999")).is_err());
    }

    #[test]
    fn headers_have_a_name() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header(Some("Connection: close")), pair("Connection", "close"));
        assert_eq!(
            header(Some("X-A=b: c")),
            Err(ValueError::new("\"X-A=b: c\" is no header", "write Name: value"))
        );
        assert_eq!(header(Some("X-A = b")), pair("X-A", "b"));
        assert!(header(Some("no header")).is_err() && header(Some(": x")).is_err());
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds(Some("30")), Ok(Duration::from_secs(30)));
        assert_eq!(seconds(Some("5m")), Ok(Duration::from_secs(300)));
        assert_eq!(timeout(Some("0")), Ok(None));
        assert!(seconds(Some("5 moons")).is_err());
        assert!(seconds(Some("99999999999h")).is_err());
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode(Some("664")), Ok(0o664));
        assert_eq!(mode(Some("0660")), Ok(0o660));
        for wrong in ["", "888", "rw-rw-rw-", "66666", "+66"] {
            assert!(mode(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
