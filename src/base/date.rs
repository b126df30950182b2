//! The date of an HTTP answer. Whoever has a clock writes it once a second and hands the bytes to every answer.

/// `Sun, 06 Nov 1994 08:49:37 GMT`, always as long (RFC 9110 §5.6.7).
pub type HttpDate = [u8; 29];

const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Seconds since 1970 (up to the year 9999) as an IMF-fixdate.
pub fn http_date(unix_seconds: u64) -> HttpDate {
    let (day, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, month_day) = civil(day);
    let mut date = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    date[..3].copy_from_slice(three(DAYS, day % 7));
    date[8..11].copy_from_slice(three(MONTHS, month));
    for (at, number) in [
        (5, month_day),
        (12, year / 100),
        (14, year % 100),
        (17, second / 3600),
        (20, second / 60 % 60),
        (23, second % 60),
    ] {
        date[at] = b'0' + (number / 10 % 10) as u8;
        date[at + 1] = b'0' + (number % 10) as u8;
    }
    date
}

fn three(names: &[u8], index: u64) -> &[u8] {
    &names[index as usize * 3..][..3]
}

/// Days since 1970 → (year, month from 0, day of the month from 1). Years are counted from 1 March, so that the
/// leap day is the last one of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let since_0000_march = days + 719_468;
    let (era, of_era) = (since_0000_march / 146_097, since_0000_march % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// Seconds since 1970 of a date in one of the three forms that RFC 9110 §5.6.7 wants to be read. Earlier ones are 0.
pub fn parse_http_date(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    if let &[_, _, _, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', ref time @ ..] = text
    {
        let time = time.strip_suffix(b" GMT")?;
        return seconds(number(&[y1, y2, y3, y4])?, &[m1, m2, m3], number(&[d1, d2])?, time);
    }
    // `Sunday, 06-Nov-94 08:49:37 GMT`
    if let Some(comma) = text.iter().position(|&byte| byte == b',') {
        let [b' ', day @ .., b' ', b'G', b'M', b'T'] = &text[comma + 1..] else { return None };
        let (&[d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' '], time) = day.split_first_chunk::<10>()? else {
            return None;
        };
        let year = number(&[y1, y2])?;
        let century = if year < 70 { 2000 } else { 1900 };
        return seconds(century + year, &[m1, m2, m3], number(&[d1, d2])?, time);
    }
    // `Sun Nov  6 08:49:37 1994`
    let &[_, _, _, b' ', m1, m2, m3, b' ', d1, d2, b' ', ref time @ .., b' ', _, _, _, _] = text else {
        return None;
    };
    let day = if d1 == b' ' { number(&[d2])? } else { number(&[d1, d2])? };
    seconds(number(&text[text.len() - 4..])?, &[m1, m2, m3], day, time)
}

fn number(digits: &[u8]) -> Option<u64> {
    super::bytes::parse_decimal(digits)
}

/// `time` is `08:49:37`.
fn seconds(year: u64, month: &[u8], day: u64, time: &[u8]) -> Option<u64> {
    let month = MONTHS.chunks_exact(3).position(|name| name == month)? as u64;
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    // A leap second is the first of the next minute.
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((days(year, month, day) * 86_400 + (hour * 3600 + minute * 60 + second) as i64).max(0) as u64)
}

/// The reverse of [`civil`]: days since 1970, with the month from 0.
pub fn days(year: u64, month: u64, day: u64) -> i64 {
    let year = year as i64 - i64::from(month < 2);
    let march_month = (month as i64 + 10) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day as i64 - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        let step = if cfg!(miri) { 500 } else { 1 };
        for seconds in (0..253_402_300_800).step_by(step * (86_400 * 13 + 12_345)) {
            assert_eq!(parse_http_date(&http_date(seconds)), Some(seconds));
        }
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            (" Sun, 06 Nov 1994 08:49:37 GMT ", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Monday, 07-Nov-05 00:00:00 GMT", Some(1_131_321_600)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Wed Nov 16 08:49:37 1994", Some(784_975_777)),
            ("Thu, 01 Jan 1960 00:00:00 GMT", Some(0)),
            ("Mon, 01 Jan 0000 00:00:00 GMT", Some(0)),
        ] {
            assert_eq!(parse_http_date(text.as_bytes()), expected, "{text}");
        }
        for wrong in [
            "",
            ",",
            "0",
            "yesterday",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37",
            "Sun Nov  6 8:49:37 1994",
            "Sun, -6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http_date(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&http_date(seconds)), Ok(text));
        }
    }
}
