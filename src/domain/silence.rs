//! Silences: no messages about something, for a time. What is so stays so: register, metrics and `monitor` do not rest.

use jiff::{SignedDuration, Timestamp};

use super::digest::Sha256;
use super::event::{Covers, SilenceEnded, SilenceSet};
use super::fleet::{Fleet, Silence};
use super::instance::{DeviceName, Site};
use super::settings::words;
use super::violation::{Kind, Severity};

/// The longest time for which messages may be silenced; a forgotten silence must end by itself.
const LONGEST_DAYS: i64 = 90;

impl Covers {
    /// Does it cover what is told about this? A thing without a device, or a reminder before a deadline, which has no kind, is covered
    /// only where the silence names none.
    pub fn covers(&self, site: &Site, device: Option<&DeviceName>, kind: Option<Kind>, severity: Severity) -> bool {
        self.site.as_ref().is_none_or(|wanted| wanted == site)
            && self.device.as_ref().is_none_or(|wanted| Some(wanted) == device)
            && self.kind.is_none_or(|wanted| Some(wanted) == kind)
            && self.severity.is_none_or(|most| severity <= most)
    }
}

impl Silence {
    /// Whether it holds at an instant: from its beginning on, until just before its end.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    pub fn phase(&self, at: Timestamp) -> Phase {
        match (at < self.from, at < self.until) {
            (true, _) => Phase::Coming,
            (false, true) => Phase::Holds,
            (false, false) => Phase::Over,
        }
    }
}

/// Where a silence stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Coming,
    Holds,
    Over,
}
words!(Phase { Coming = "coming", Holds = "holds", Over = "over" });

/// The silence that keeps a message from being sent now; of several the one that holds longest.
pub fn silenced<'a>(
    fleet: &'a Fleet,
    site: &Site,
    device: Option<&DeviceName>,
    kind: Option<Kind>,
    severity: Severity,
    now: Timestamp,
) -> Option<&'a Silence> {
    let holding = fleet.silences.values().filter(|silence| silence.holds(now));
    holding.filter(|silence| silence.covers.covers(site, device, kind, severity)).max_by_key(|silence| silence.until)
}

/// Why a silence is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSilenced {
    #[error("a silence that ends at {until} would be over before it begins")]
    Over { until: Timestamp },
    #[error(
        "a silence lasts at most {LONGEST_DAYS} days, so that a forgotten one ends by itself; this one would last {days}"
    )]
    TooLong { days: i64 },
    #[error("a silence needs a note that says why")]
    NoNote,
}

/// Checks a silence and gives it its id.
pub fn set(
    covers: Covers,
    from: Timestamp,
    until: Timestamp,
    note: String,
    now: Timestamp,
) -> Result<SilenceSet, NotSilenced> {
    if until <= from || until <= now {
        return Err(NotSilenced::Over { until });
    }
    let lasts = until.duration_since(from);
    if lasts > SignedDuration::from_hours(24 * LONGEST_DAYS) {
        return Err(NotSilenced::TooLong { days: (lasts.as_secs() + 86_399).div_euclid(86_400) });
    }
    if note.trim().is_empty() {
        return Err(NotSilenced::NoNote);
    }
    // Debug of plain values: nothing but a seed that differs where the silences do.
    let named = format!("{covers:?} {from} {until} {note:?} {now}");
    let id = format!("s-{}", &Sha256::of(named.as_bytes()).to_string()[..10]);
    Ok(SilenceSet { id, covers, from, until, note })
}

/// The fact that a silence is ended before its time.
pub fn end(fleet: &Fleet, id: &str) -> Option<SilenceEnded> {
    fleet.silences.contains_key(id).then(|| SilenceEnded { id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Fact};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn site(name: &str) -> Site {
        Site::from(name)
    }

    #[test]
    fn what_is_not_given_covers_all_and_severity_covers_what_is_below() {
        let edge: DeviceName = "edge-1".into();
        let all = Covers::default();
        assert!(all.covers(&site("a"), None, None, Severity::Critical));
        let of_site = Covers { site: Some(site("a")), ..Covers::default() };
        assert!(of_site.covers(&site("a"), Some(&edge), Some(Kind::ClockSkew), Severity::Warning));
        assert!(!of_site.covers(&site("b"), Some(&edge), Some(Kind::ClockSkew), Severity::Warning));
        let of_device = Covers { device: Some(edge.clone()), ..Covers::default() };
        assert!(of_device.covers(&site("a"), Some(&edge), None, Severity::Info));
        assert!(!of_device.covers(&site("a"), Some(&"edge-2".into()), None, Severity::Info));
        assert!(!of_device.covers(&site("a"), None, None, Severity::Info), "an On-Prem server is no device");
        let of_kind = Covers { kind: Some(Kind::ClockSkew), ..Covers::default() };
        assert!(!of_kind.covers(&site("a"), Some(&edge), None, Severity::Info), "a reminder has no kind");
        let mild = Covers { severity: Some(Severity::Warning), ..Covers::default() };
        assert!(mild.covers(&site("a"), None, None, Severity::Warning));
        assert!(!mild.covers(&site("a"), None, None, Severity::Critical));
    }

    #[test]
    fn it_holds_from_its_beginning_until_its_end_and_the_longest_is_named() {
        let mut fleet = Fleet::default();
        let now = at("2026-01-01T00:00:00Z");
        let mut set = |from: &str, until: &str| {
            let set = set(Covers::default(), at(from), at(until), "lift".to_owned(), now).unwrap();
            let id = set.id.clone();
            fleet.apply(&Event { by: None, at: now, fact: Fact::SilenceSet(set) });
            id
        };
        let short = set("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
        let long = set("2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z");
        let until = |fleet: &Fleet, now: &str| {
            silenced(fleet, &site("a"), None, None, Severity::Critical, at(now)).map(|silence| silence.until)
        };
        assert_eq!(until(&fleet, "2026-01-01T23:59:59Z"), None);
        assert_eq!(until(&fleet, "2026-01-02T00:00:00Z"), Some(at("2026-01-05T00:00:00Z")));
        assert_eq!(until(&fleet, "2026-01-05T00:00:00Z"), None);
        assert_eq!(fleet.silences[&short].phase(at("2026-01-04T00:00:00Z")), Phase::Over);
        let ended = end(&fleet, &long).unwrap();
        fleet.apply(&Event { by: None, at: now, fact: Fact::SilenceEnded(ended) });
        assert_eq!(until(&fleet, "2026-01-02T00:00:00Z"), Some(at("2026-01-03T00:00:00Z")));
        assert_eq!(end(&fleet, &long), None);
    }

    #[test]
    fn one_that_is_over_too_long_or_without_a_reason_is_refused() {
        let now = at("2026-01-01T00:00:00Z");
        let set = |from: Timestamp, until: &str, note: &str| {
            set(Covers::default(), from, at(until), note.to_owned(), now).map(|set| set.id)
        };
        let id = set(now, "2026-04-01T00:00:00Z", "why").unwrap();
        assert!(id.len() == 12 && id.starts_with("s-"), "{id}");
        assert_eq!(set(now, "2026-04-02T00:00:00Z", "why"), Err(NotSilenced::TooLong { days: 91 }));
        assert!(matches!(set(now, "2026-01-01T00:00:00Z", "why"), Err(NotSilenced::Over { .. })));
        let before = at("2025-12-01T00:00:00Z");
        assert!(matches!(set(before, "2025-12-31T00:00:00Z", "why"), Err(NotSilenced::Over { .. })));
        assert_eq!(set(now, "2026-01-02T00:00:00Z", " "), Err(NotSilenced::NoNote));
    }
}
