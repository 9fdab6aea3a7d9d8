//! Times as devices print them: the text always, UTC only where the zone can be known.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::domain::state::Stamp;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A date and time without certainty where on earth it was read off a clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Printed {
    pub at: DateTime,
    /// `UTC`, or a local name such as `PDT` or `IST`, of which several places use the same.
    pub zone: Option<String>,
}

/// What stands for "no value" in the outputs of the three systems.
pub(super) fn is_nothing(text: &str) -> bool {
    let text = text.trim().trim_matches(['<', '>']);
    ["", "none", "empty", "n/a", "not configured", "disabled", "-"]
        .iter()
        .any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// `Feb 07 10:32:11 2022 UTC`, `Tue Jul 02 2024 13:13:37 UTC`, `15:09:55.102 UTC Wed Nov 10 2021`: the parts in
/// any order, nothing else among them.
pub(super) fn printed(text: &str) -> Option<Printed> {
    let (mut year, mut month, mut day, mut time, mut zone) = (None, None, None, None, None);
    for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).take(8) {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        if digits && word.len() == 4 && year.is_none() {
            year = word.parse::<i16>().ok();
        } else if digits && word.len() <= 2 && day.is_none() {
            day = word.parse::<i8>().ok();
        } else if !digits && month.is_none() && self::month(word).is_some() {
            month = self::month(word);
        } else if is_weekday(word) {
        } else if time.is_none() && clock_time(word).is_some() {
            time = clock_time(word);
        } else if zone.is_none() && !digits {
            zone = Some(word.to_owned());
        } else {
            return None;
        }
    }
    let (hour, minute, second) = time?;
    let at = DateTime::new(year?, month?, day?, hour, minute, second, 0).ok()?;
    Some(Printed { at, zone })
}

/// A printed time; `None` where the device prints that there is none. `zone` is the device's configured time
/// zone: without it a local zone name stays without UTC.
pub(super) fn stamp(text: &str, zone: Option<&TimeZone>) -> Option<Stamp> {
    let text = text.trim();
    if is_nothing(text) {
        return None;
    }
    let Some(printed) = printed(text) else { return Some(Stamp { text: text.into(), utc: None }) };
    // An agent that has no time yet gives the epoch.
    if printed.at.year() <= 1970 {
        return None;
    }
    Some(Stamp { text: text.into(), utc: printed.utc(zone) })
}

impl Printed {
    pub(super) fn utc(&self, zone: Option<&TimeZone>) -> Option<Timestamp> {
        let own = self.zone.as_deref().unwrap_or_default();
        if is_utc(own) {
            return Offset::UTC.to_timestamp(self.at).ok();
        }
        if let Some(offset) = offset(own) {
            return offset.to_timestamp(self.at).ok();
        }
        let zone = zone?;
        let ambiguous = zone.to_ambiguous_timestamp(self.at);
        if let AmbiguousOffset::Fold { before, after } = ambiguous.offset() {
            // The hour that a clock shows twice in autumn: the printed name tells which.
            let named = [before, after].into_iter().filter_map(|offset| offset.to_timestamp(self.at).ok());
            let mut named = named.filter(|at| zone.to_offset_info(*at).abbreviation().eq_ignore_ascii_case(own));
            if let Some(at) = named.next() {
                return Some(at);
            }
        }
        ambiguous.compatible().ok()
    }

    /// The same clock reading as if it were UTC: good for distances between times of one zone, and nothing else.
    pub(super) fn as_if_utc(&self) -> Option<Timestamp> {
        Offset::UTC.to_timestamp(self.at).ok()
    }
}

/// In the form in which Smart Agents print times.
pub(super) fn as_printed(at: Timestamp, zone: &str) -> String {
    format!("{} {zone}", Offset::UTC.to_datetime(at).strftime("%b %d %H:%M:%S %Y"))
}

pub(super) fn is_utc(zone: &str) -> bool {
    ["UTC", "GMT", "UCT", "Z"].iter().any(|utc| zone.eq_ignore_ascii_case(utc))
}

pub(super) fn month(word: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|month| word.eq_ignore_ascii_case(month))?;
    i8::try_from(at + 1).ok()
}

pub(super) fn is_weekday(word: &str) -> bool {
    WEEKDAYS.iter().any(|day| word.eq_ignore_ascii_case(day))
}

/// `13:48:07`, `13:48:07.272`; a clock that is not set, or not in step, has `*` or `.` before it.
pub(super) fn clock_time(word: &str) -> Option<(i8, i8, i8)> {
    let whole = word.trim_start_matches(['*', '.']).split('.').next()?;
    let mut parts = whole.split(':');
    let mut part = || {
        let part = parts.next()?;
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<i8>().ok())?
    };
    let time = (part()?, part()?, part()?);
    parts.next().is_none().then_some(time)
}

/// `+02:00`, `-0700`.
fn offset(zone: &str) -> Option<Offset> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    Offset::from_seconds(sign * ((number / 100) * 3600 + (number % 100) * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str, zone: Option<&str>) -> Option<String> {
        let zone = zone.map(|zone| TimeZone::get(zone).expect("the zone is known"));
        stamp(text, zone.as_ref()).and_then(|stamp| stamp.utc).map(|at| at.to_string())
    }

    #[test]
    fn utc_is_told_where_the_text_says_so_or_the_zone_is_given() {
        assert_eq!(utc("Feb 07 10:32:11 2022 UTC", None).as_deref(), Some("2022-02-07T10:32:11Z"));
        assert_eq!(utc("Feb 07 10:32:11 2022 gmt", None).as_deref(), Some("2022-02-07T10:32:11Z"));
        assert_eq!(utc("Tue Jul 02 2024 13:13:37 UTC", None).as_deref(), Some("2024-07-02T13:13:37Z"));
        assert_eq!(utc(".13:28:08.565 UTC Tue Jan 11 2022", None).as_deref(), Some("2022-01-11T13:28:08Z"));
        assert_eq!(utc("Jan 11 13:28:08 2022 +05:30", None).as_deref(), Some("2022-01-11T07:58:08Z"));
        assert_eq!(utc("Feb 27 11:18:06 2024 IST", None), None);
        assert_eq!(utc("Feb 27 11:18:06 2024 IST", Some("Asia/Kolkata")).as_deref(), Some("2024-02-27T05:48:06Z"));
        assert_eq!(utc("Feb 27 11:18:06 2024", Some("Asia/Kolkata")).as_deref(), Some("2024-02-27T05:48:06Z"));
        assert_eq!(utc("Feb 27 11:18:06 2024 UTC", Some("Asia/Kolkata")).as_deref(), Some("2024-02-27T11:18:06Z"));
    }

    #[test]
    fn the_hour_shown_twice_is_told_by_the_name_of_the_zone() {
        let berlin = Some("Europe/Berlin");
        assert_eq!(utc("Oct 25 02:30:00 2026 CEST", berlin).as_deref(), Some("2026-10-25T00:30:00Z"));
        assert_eq!(utc("Oct 25 02:30:00 2026 CET", berlin).as_deref(), Some("2026-10-25T01:30:00Z"));
        assert_eq!(utc("Mar 29 02:30:00 2026 CET", berlin).as_deref(), Some("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn nothing_is_nothing_and_what_is_no_time_keeps_its_text() {
        for nothing in ["<none>", "", "None", "Jan 01 00:00:00 1970 UTC"] {
            assert_eq!(stamp(nothing, None), None, "{nothing}");
        }
        for (text, kept) in [("Feb 30 10:32:11 2022 UTC", true), ("Feb 07 10:32", true), ("99:99:99", true)] {
            assert_eq!(stamp(text, None).map(|stamp| stamp.utc), kept.then_some(None), "{text}");
        }
        let later: Timestamp = "2022-02-07T10:32:11Z".parse().unwrap();
        assert_eq!(as_printed(later, "PDT"), "Feb 07 10:32:11 2022 PDT");
    }
}
