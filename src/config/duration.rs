//! Lengths of time as text: `90s`, `6h`, `30d`, `1d12h`.

use std::time::Duration;

/// The units, largest first, in milliseconds. A day is 24 hours; a month is no length of time.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What to write for a duration.
pub const EXPECTED: &str = r#"a text such as "90s", "6h" or "30d" (units ms, s, m, h, d, w)"#;

/// Reads a duration; `None` for anything but whole numbers with a unit each, larger units first.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut smaller = &UNITS[..];
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let at = smaller.iter().position(|(unit, _)| *unit == &rest[..letters])?;
        total = total.checked_add(number.checked_mul(smaller[at].1)?)?;
        rest = rest[letters..].trim_start();
        smaller = &smaller[at + 1..];
        if rest.is_empty() {
            return Some(Duration::from_millis(total));
        }
    }
}

/// Writes a duration so that [`parse`] reads it back; what is less than a millisecond is cut off.
pub fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS.into_iter().filter(|(unit, _)| *unit != "w") {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, seconds, shown) in [
            ("0s", 0, "0s"),
            ("90s", 90, "1m30s"),
            ("6h", 21_600, "6h"),
            ("30d", 2_592_000, "30d"),
            ("2w", 1_209_600, "14d"),
            ("1d12h", 129_600, "1d12h"),
            (" 1d 12h ", 129_600, "1d12h"),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
            assert_eq!(show(Duration::from_secs(seconds)), shown);
            assert_eq!(parse(shown), parse(text));
        }
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(show(Duration::from_millis(1250)), "1s250ms");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "6", "h", "6 h", "-6h", "1.5h", "6hours", "1h1h", "1m1h", "6h,", "1y", "99999999999999w", "６h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
