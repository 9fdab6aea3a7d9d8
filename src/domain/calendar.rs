//! Deadlines as a calendar to subscribe to: iCalendar, RFC 5545.
//!
//! Whole days in UTC: a person plans a courier by days, and the exact instant stands in the description. Few of one
//! site, day and kind have an event each; many have one together with their names in it. The UID of an instance's
//! event does not depend on the day, so that a moved deadline moves the event.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::digest::Sha256;
use super::instance::Site;
use super::settings::words;
use super::status::Row;

/// Up to so many of one site, day and kind have an event each.
const FEW: usize = 5;

/// So many names stand in an event of many.
const NAMED: usize = 100;

/// What is to happen on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    LeaveBy,
    Due,
}
words!(What { LeaveBy = "leave by", Due = "due" });

/// The calendar of a register, as of an instant: the bytes of an `.ics` file.
pub fn calendar(rows: &[Row], now: Timestamp) -> String {
    let mut days: BTreeMap<(Date, &Site, What), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        // Where no courier goes, the two are one.
        let leave_by = row.leave_by.filter(|leave_by| Some(*leave_by) != row.due);
        for (what, at) in [(What::LeaveBy, leave_by), (What::Due, row.due)] {
            let Some(at) = at else { continue };
            let day = at.to_zoned(TimeZone::UTC).date();
            days.entry((day, &row.site, what)).or_default().push(row);
        }
    }
    let mut calendar = Calendar::default();
    calendar.line("BEGIN", "VCALENDAR");
    calendar.line("VERSION", "2.0");
    calendar.line("PRODID", "-//slp-collector//deadlines//EN");
    calendar.line("METHOD", "PUBLISH");
    for ((day, site, what), rows) in days {
        if rows.len() <= FEW {
            for row in rows {
                let name = row.name();
                let summary = format!("{name}: {}", summary(what));
                let key = row.instance.as_ref().map_or_else(|| name.clone(), |own| format!("{}\0{}", own.pid, own.sn));
                calendar.event(&format!("{what}\0{key}"), day, now, &summary, &description(row));
            }
        } else {
            let at = if site.0.is_empty() { String::new() } else { format!("{site}: ") };
            let summary = format!("{at}{} obligations, {}", rows.len(), summary(what));
            let mut description = String::new();
            for row in rows.iter().take(NAMED) {
                let _ = writeln!(description, "{}", row.name());
            }
            if rows.len() > NAMED {
                let _ = writeln!(description, "and {} more", rows.len() - NAMED);
            }
            calendar.event(&format!("{what}\0{day}\0site\0{site}"), day, now, &summary, description.trim_end());
        }
    }
    calendar.line("END", "VCALENDAR");
    calendar.text
}

fn summary(what: What) -> &'static str {
    match what {
        What::LeaveBy => "usage report must leave",
        What::Due => "acknowledgement due",
    }
}

fn description(row: &Row) -> String {
    let mut text = format!("State: {}\n", row.state);
    for (name, at) in [("Due", row.due), ("Leave by", row.leave_by)] {
        if let Some(at) = at {
            let _ = writeln!(text, "{name}: {at}");
        }
    }
    let account = [&row.smart_account, &row.virtual_account].into_iter().flatten().cloned().collect::<Vec<_>>();
    if !account.is_empty() {
        let _ = writeln!(text, "Account: {}", account.join(" / "));
    }
    text + &row.reason
}

#[derive(Default)]
struct Calendar {
    text: String,
}

impl Calendar {
    fn event(&mut self, key: &str, day: Date, now: Timestamp, summary: &str, description: &str) {
        self.line("BEGIN", "VEVENT");
        let uid = &Sha256::of(key.as_bytes()).to_string()[..32];
        self.line("UID", &format!("{uid}@slp-collector"));
        self.line("DTSTAMP", &now.strftime("%Y%m%dT%H%M%SZ").to_string());
        self.line("DTSTART;VALUE=DATE", &day.strftime("%Y%m%d").to_string());
        self.line("SUMMARY", &escaped(summary));
        self.line("DESCRIPTION", &escaped(description));
        // It takes nobody's time.
        self.line("TRANSP", "TRANSPARENT");
        self.line("END", "VEVENT");
    }

    /// One content line: folded after 75 octets, never within a character.
    fn line(&mut self, name: &str, value: &str) {
        let mut octets = 0;
        for char in format!("{name}:{value}").chars() {
            if octets + char.len_utf8() > 75 {
                self.text.push_str("\r\n ");
                octets = 1;
            }
            self.text.push(char);
            octets += char.len_utf8();
        }
        self.text.push_str("\r\n");
    }
}

/// Text as RFC 5545 has it: other control characters than a new line are in no text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            ';' => escaped.push_str("\\;"),
            ',' => escaped.push_str("\\,"),
            '\n' => escaped.push_str("\\n"),
            char if char.is_control() => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::tests::row;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn written(rows: &[Row]) -> String {
        calendar(rows, NOW.parse().unwrap())
    }

    /// Reads a calendar back: the properties of each event, unfolded and unescaped.
    fn read(text: &str) -> Vec<BTreeMap<String, String>> {
        assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        let (mut events, mut event) = (Vec::new(), BTreeMap::new());
        for line in text.replace("\r\n ", "").lines() {
            let (name, value) = line.split_once(':').unwrap();
            match (name, value) {
                ("BEGIN", "VEVENT") => event = BTreeMap::new(),
                ("END", "VEVENT") => events.push(std::mem::take(&mut event)),
                _ => {
                    let mut plain = String::new();
                    let mut chars = value.chars();
                    while let Some(char) = chars.next() {
                        let next = if char == '\\' { chars.next().unwrap() } else { char };
                        plain.push(if char == '\\' && next == 'n' { '\n' } else { next });
                    }
                    assert_eq!(event.insert(name.to_owned(), plain), None, "{name} twice");
                }
            }
        }
        events
    }

    #[test]
    fn few_have_an_event_each_whose_name_stays_when_the_day_moves() {
        let events = read(&written(&[row("edge-1", "a", "2026-06-20T23:30:00Z", 10)]));
        let days: Vec<&str> = events.iter().map(|event| event["DTSTART;VALUE=DATE"].as_str()).collect();
        assert_eq!(days, ["20260610", "20260620"]);
        assert_eq!(events[1]["SUMMARY"], "edge-1: acknowledgement due");
        assert!(events[1]["DESCRIPTION"].contains("Due: 2026-06-20T23:30:00Z\n"));
        assert_eq!(events[0]["DTSTAMP"], "20260301T120000Z");
        assert_ne!(events[0]["UID"], events[1]["UID"]);
        let moved = read(&written(&[row("edge-1", "a", "2026-07-20T23:30:00Z", 10)]));
        assert_eq!(moved[1]["UID"], events[1]["UID"]);
    }

    #[test]
    fn many_of_one_site_and_day_have_one_together() {
        let mut rows: Vec<Row> =
            (0..150).map(|n| row(&format!("edge-{n:03}"), "dark-1", "2026-06-20T01:00:00Z", 10)).collect();
        rows.push(row("core-1", "dark-2", "2026-06-20T01:00:00Z", 0));
        let events = read(&written(&rows));
        let summaries: Vec<&str> = events.iter().map(|event| event["SUMMARY"].as_str()).collect();
        assert_eq!(
            summaries,
            [
                "dark-1: 150 obligations, usage report must leave",
                "dark-1: 150 obligations, acknowledgement due",
                "core-1: acknowledgement due"
            ]
        );
        let names = &events[0]["DESCRIPTION"];
        assert!(names.starts_with("edge-000\nedge-001\n") && names.ends_with("\nand 50 more"), "{names}");
    }

    #[test]
    fn any_text_comes_back_as_it_was_however_it_is_folded() {
        for pad in 0..80 {
            let name = format!("{}\u{e9}\u{1F4C5};a,b\\n\tc", "x".repeat(pad));
            let mut row = row("edge-1", "a", "2026-06-20T01:00:00Z", 0);
            row.device = Some(crate::domain::instance::DeviceName::from(name.clone()));
            let events = read(&written(&[row]));
            assert_eq!(events[0]["SUMMARY"], format!("{}: acknowledgement due", name.replace('\t', " ")));
        }
    }

    #[test]
    fn nothing_owed_is_an_empty_calendar() {
        assert_eq!(
            written(&[]),
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//slp-collector//deadlines//EN\r\nMETHOD:PUBLISH\r\nEND:VCALENDAR\r\n"
        );
    }
}
