//! Looking through bytes a word at a time, and writing numbers without a formatter.

const LANES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = LANES << 7;
const LOW: u64 = !HIGH;

/// The eight bytes at `from`, the first in the lowest lane.
#[inline]
fn word_at(bytes: &[u8], from: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(from..)?.first_chunk()?))
}

/// The index of the first control byte (below 0x20 other than HTAB, or DEL) at or after `from`; the length when
/// there is none. Bytes above 0x7F are not controls.
#[inline]
pub fn find_control(bytes: &[u8], mut from: usize) -> usize {
    while let Some(found) = word_at(bytes, from).map(controls) {
        if found == 0 {
            from += 8;
            continue;
        }
        from += (found.trailing_zeros() / 8) as usize;
        if bytes[from] != b'\t' {
            return from;
        }
        from += 1;
    }
    while let Some(&byte) = bytes.get(from) {
        if (byte < 0x20 && byte != b'\t') || byte == 0x7F {
            break;
        }
        from += 1;
    }
    from.min(bytes.len())
}

/// The high bit of each lane that holds a control byte (HTAB included). No lane carries into the next, so every bit is exact.
#[inline]
fn controls(word: u64) -> u64 {
    let low = word & LOW;
    let not_below_space = low + LANES * 0x60;
    let delete = low + LANES;
    (!not_below_space | delete) & !word & HIGH
}

/// The index of the first byte at or after `from` that is neither a letter nor a hyphen, or from where on fewer than eight
/// bytes are left: the end of nearly every header name.
#[inline]
pub fn skip_letters(bytes: &[u8], mut from: usize) -> usize {
    while let Some(found) = word_at(bytes, from).map(not_letters) {
        if found != 0 {
            return from + (found.trailing_zeros() / 8) as usize;
        }
        from += 8;
    }
    from
}

/// The high bit of each lane that is neither a letter nor a hyphen, exactly.
#[inline]
fn not_letters(word: u64) -> u64 {
    let lower = (word | (LANES * 0x20)) & LOW;
    let from_a = lower + LANES * (0x80 - b'a' as u64);
    let above_z = lower + LANES * (0x7F - b'z' as u64);
    let hyphen = zeros(word ^ (LANES * b'-' as u64));
    (!(from_a & !above_z) | word) & !hyphen & HIGH
}

/// The index of the first `wanted` at or after `from`.
#[inline]
pub fn find_byte(bytes: &[u8], wanted: u8, mut from: usize) -> Option<usize> {
    let pattern = LANES * u64::from(wanted);
    while let Some(found) = word_at(bytes, from).map(|word| zeros(word ^ pattern)) {
        if found != 0 {
            return Some(from + (found.trailing_zeros() / 8) as usize);
        }
        from += 8;
    }
    bytes.get(from..)?.iter().position(|&byte| byte == wanted).map(|at| from + at)
}

/// The high bit of each lane that is zero, exactly.
#[inline]
fn zeros(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word) & HIGH
}

/// `bytes` without the spaces and tabs at its two ends (OWS, RFC 9110 §5.6.3).
#[inline]
pub fn trim_ows(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// A run of decimal digits and nothing else. `None` when it is anything else; saturates at `u64::MAX`.
pub fn parse_decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_radix::<10>(out, number);
}

/// Appends `number` in lower-case hexadecimal without leading zeros.
pub fn push_hex(out: &mut Vec<u8>, number: u64) {
    push_radix::<16>(out, number);
}

fn push_radix<const RADIX: u64>(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(number % RADIX) as usize];
        number /= RADIX;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_classed_at_every_offset() {
        for byte in (0..=255u8).step_by(if cfg!(miri) { 31 } else { 1 }) {
            let control = byte != b'\t' && byte.is_ascii_control();
            for at in 0..24 {
                let mut bytes = [0xFFu8; 24];
                bytes[at] = byte;
                assert_eq!(find_control(&bytes, 0), if control { at } else { 24 }, "{byte:#x} at {at}");
                assert_eq!(find_byte(&bytes, byte, 0), Some(if byte == 0xFF { 0 } else { at }));
                let mut name = [b'a'; 24];
                name[at] = byte;
                let letter = byte.is_ascii_alphabetic() || byte == b'-';
                assert_eq!(skip_letters(&name, 0), if letter { 24 } else { at });
            }
        }
    }

    #[test]
    fn tabs_do_not_hide_what_follows() {
        assert_eq!(find_control(b"\t\t\t\ta\tb\t\r\n", 0), 8);
        assert_eq!(find_control(b"abc", 7), 3);
        assert_eq!(find_byte(b"abc", b'a', 9), None);
    }

    #[test]
    fn numbers() {
        let text = |push: fn(&mut Vec<u8>, u64), number| {
            let mut out = Vec::new();
            push(&mut out, number);
            String::from_utf8(out).unwrap()
        };
        for number in [0, 7, 10, 255, 4096, u64::MAX] {
            assert_eq!(text(push_decimal, number), number.to_string());
            assert_eq!(text(push_hex, number), format!("{number:x}"));
            assert_eq!(parse_decimal(number.to_string().as_bytes()), Some(number));
        }
        assert_eq!(parse_decimal(b"99999999999999999999999"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", "1 ", "0x1", "1,1"] {
            assert_eq!(parse_decimal(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
