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

#[cfg(test)]
mod tests {
    use super::*;

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
