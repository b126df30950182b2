//! Numbers as people read them, in few columns.

use super::latency::Latency;

/// `812`, `12.3k`: at most six columns.
pub fn count(number: u64) -> String {
    if number < 1_000_000 {
        number.to_string()
    } else {
        scaled(number as f64, 1000.0, &["", "k", "M", "G", "T", "P"])
    }
}

/// `812`, `12.3M`, of 1024.
pub fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &["", "k", "M", "G", "T", "P"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut number = number;
    let mut at = 0;
    while number >= step - 0.5 && at + 1 < units.len() {
        number /= step;
        at += 1;
    }
    let digits = usize::from(at > 0 && number < 99.95);
    format!("{number:.digits$}{}", units[at])
}

pub fn rate(number: f64) -> String {
    if number < 99_999.5 {
        format!("{number:.digits$}", digits = usize::from(number < 999.95))
    } else {
        bytes_free(number)
    }
}

fn bytes_free(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G"])
}

/// Of what runs: `12ms`, `1.2s`, `3m05s`, `2h10m`.
pub fn age(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => span(ms / 1000),
    }
}

/// Of what has been up for long: `3m05s`, `2h10m`, `4d07h`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

pub fn ms(number: f64) -> String {
    match number {
        ..9.95 => format!("{number:.1}ms"),
        ..999.5 => format!("{number:.0}ms"),
        ..9_950.0 => format!("{:.1}s", number / 1000.0),
        _ => format!("{:.0}s", number / 1000.0),
    }
}

pub fn latency(latency: Latency) -> String {
    match latency {
        Latency::Within(time) => ms(time),
        Latency::Over(time) => format!(">{}", ms(time)),
    }
}

/// A curve of one line, its highest point a full block; a terminal without UTF-8 gets ASCII.
pub fn curve(points: &[f64], utf8: bool) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
    let highest = points.iter().copied().fold(0.0, f64::max);
    let level = |point: f64| if highest > 0.0 { (point / highest * 7.0).round() as usize } else { 0 };
    points.iter().map(|&point| if utf8 { BLOCKS } else { ASCII }[level(point).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 999_999, 1_000_000, 12_345_678].map(count), ["0", "999999", "1.0M", "12.3M"]);
        assert_eq!(
            [0.0, 1023.0, 1024.0, 1023.9 * 1024.0, 3e9].map(bytes),
            ["0", "1023", "1.0k", "1.0M", "2.8G"]
        );
        assert_eq!(
            [0.0, 12.34, 999.9, 1000.4, 250_000.0].map(rate),
            ["0.0", "12.3", "999.9", "1000", "250k"]
        );
        assert_eq!([5, 1_234, 61_000, 7_300_000].map(age), ["5ms", "1.2s", "1m01s", "2h01m"]);
        assert_eq!([0.25, 12.0, 1500.0, 60_000.0].map(ms), ["0.2ms", "12ms", "1.5s", "60s"]);
        assert_eq!(span(86_400 * 3 + 3600), "3d01h");
    }

    #[test]
    fn a_curve_reaches_from_bottom_to_top() {
        assert_eq!(curve(&[0.0, 5.0, 10.0], true), "▁▅█");
        assert_eq!(curve(&[0.0, 10.0], false), "_#");
        assert_eq!(curve(&[0.0, 0.0], true), "▁▁");
    }
}
