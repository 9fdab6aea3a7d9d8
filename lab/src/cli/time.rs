//! Times as the three systems print them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::spec::Spec;

/// Thousandths that every printed clock of the lab shows: its time moves in whole seconds.
const MILLIS: &str = "118";

/// `Oct 08 13:56:07 2021 UTC`, as in everything about licensing; `<none>` where there is none.
pub fn stamp(spec: &Spec, unix: Option<i64>) -> String {
    let text = |unix| format!("{} {}", local(spec, unix).strftime("%b %d %H:%M:%S %Y"), zone(spec));
    unix.map_or_else(|| "<none>".to_string(), text)
}

/// `15:09:55.118 UTC Wed Nov 10 2021`, as `show clock` has it.
pub fn clock(spec: &Spec, unix: i64) -> String {
    let time = local(spec, unix);
    format!("{}.{MILLIS} {} {}", time.strftime("%H:%M:%S"), zone(spec), time.strftime("%a %b %-d %Y"))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as a web server dates its answers.
pub fn date(unix: i64) -> String {
    let time = Timestamp::from_second(unix).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `Tue Jul  2 13:48:07.118 UTC`, the line before every output of IOS XR.
pub fn heading(spec: &Spec, unix: i64) -> String {
    format!("{}.{MILLIS} {}", local(spec, unix).strftime("%a %b %e %H:%M:%S"), zone(spec))
}

/// `Nov 10 2021 15:09:55 +00:00`, as `dir` has it on IOS XE; other systems leave something out.
pub fn listed(spec: &Spec, unix: i64, format: &str) -> String {
    local(spec, unix).strftime(format).to_string()
}

/// `2 weeks, 1 day, 4 hours, 10 minutes`.
pub fn uptime(seconds: i64) -> String {
    let parts = [("week", 604_800, i64::MAX), ("day", 86_400, 7), ("hour", 3600, 24), ("minute", 60, 60)];
    let counted = parts.map(|(unit, length, most)| (unit, seconds.max(0) / length % most));
    let plural = |(unit, count): (&str, i64)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    let texts: Vec<String> = counted.into_iter().filter(|(_, count)| *count > 0).map(plural).collect();
    if texts.is_empty() { "0 minutes".to_string() } else { texts.join(", ") }
}

fn local(spec: &Spec, unix: i64) -> DateTime {
    let offset = Offset::from_seconds(spec.knobs.timezone_minutes * 60).unwrap_or(Offset::UTC);
    TimeZone::fixed(offset).to_datetime(Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A name as an operator would have configured it.
fn zone(spec: &Spec) -> &'static str {
    match spec.knobs.timezone_minutes {
        0 => "UTC",
        60 => "CET",
        330 => "IST",
        -480 => "PST",
        _ => "LOC",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs;

    #[test]
    fn times_look_as_on_the_boxes() {
        let mut spec = specs::switch("edge-001");
        assert_eq!(stamp(&spec, None), "<none>");
        assert_eq!(stamp(&spec, Some(1_633_701_367)), "Oct 08 13:56:07 2021 UTC");
        assert_eq!(clock(&spec, 1_633_701_367), "13:56:07.118 UTC Fri Oct 8 2021");
        spec.knobs.timezone_minutes = -480;
        assert_eq!(heading(&spec, 1_633_701_367), "Fri Oct  8 05:56:07.118 PST");
        assert_eq!(uptime(700_000), "1 week, 1 day, 2 hours, 26 minutes");
        assert_eq!(uptime(5), "0 minutes");
    }
}
