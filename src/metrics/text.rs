//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use jiff::Timestamp;

use super::family::{
    BUILD, CONTACT, DEADLINE, FIGURES, Family, HANDOVERS, HEARTBEAT, LAST_ACK, LAST_CONTACT, LEAVE_BY, LEDGER_BATCHES,
    LEDGER_BYTES, LEDGER_RECORDS, LEDGER_SEGMENTS, LEDGER_TROUBLE, POLL_DURATION, POLLS, POSTS, SINK_ERRORS,
    SINK_MESSAGES, SITE_CONTACTS, SITE_DEADLINE, SITE_DEVICES, SITE_DOWN, SITE_LEAVE_BY, SITE_VIOLATIONS, STATE, UP,
    UPSTREAM_CERTIFICATE, UPSTREAM_DIFFERENCES, UPSTREAM_READ, VIOLATIONS,
};
use super::{BOUNDS, Metrics, PollOutcome, Posted, held};
use crate::domain::deadline::{Contact, ObligationState};
use crate::domain::overview::{Entry, Overview, Waiting, Who};
use crate::domain::plan::Watched;
use crate::domain::settings::Word;
use crate::domain::violation::{Kind, Severity};

/// The figures of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub records: u64,
    pub bytes: u64,
    pub segments: u64,
    pub batches: u64,
    pub trouble: bool,
}

/// What the program tells of itself: cheap, so it is written anew for each scrape.
pub fn own(metrics: &Metrics, ledger: Ledger) -> String {
    let mut text = Text::default();
    text.head(BUILD);
    text.sample(BUILD.name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.head(HEARTBEAT);
    if let Some((_, at)) = *held(&metrics.turned) {
        text.sample(HEARTBEAT.name, &[], at.as_second());
    }
    let polls = held(&metrics.polls).clone();
    text.head(POLLS);
    for outcome in PollOutcome::ALL {
        let count = polls.outcomes.get(outcome).copied().unwrap_or_default();
        text.sample(POLLS.name, &[("outcome", outcome.word())], count);
    }
    text.head(POLL_DURATION);
    let mut below = 0;
    for (bound, count) in BOUNDS.iter().zip(polls.durations) {
        below += count;
        text.sample("slp_poll_duration_seconds_bucket", &[("le", &bound.to_string())], below);
    }
    let all = below + polls.longer;
    text.sample("slp_poll_duration_seconds_bucket", &[("le", "+Inf")], all);
    text.sample("slp_poll_duration_seconds_sum", &[], polls.seconds);
    text.sample("slp_poll_duration_seconds_count", &[], all);
    let sinks = held(&metrics.sinks).clone();
    text.head(SINK_MESSAGES);
    for (name, sink) in &sinks {
        text.sample(SINK_MESSAGES.name, &[("sink", name)], sink.messages);
    }
    text.head(SINK_ERRORS);
    for (name, sink) in &sinks {
        text.sample(SINK_ERRORS.name, &[("sink", name)], sink.errors);
    }
    let posts = held(&metrics.posts).clone();
    text.head(POSTS);
    for outcome in Posted::ALL {
        let count = posts.get(outcome).copied().unwrap_or_default();
        text.sample(POSTS.name, &[("outcome", outcome.word())], count);
    }
    for (family, value) in [
        (LEDGER_RECORDS, ledger.records),
        (LEDGER_BYTES, ledger.bytes),
        (LEDGER_SEGMENTS, ledger.segments),
        (LEDGER_BATCHES, ledger.batches),
        (LEDGER_TROUBLE, u64::from(ledger.trouble)),
    ] {
        text.head(family);
        text.sample(family.name, &[], value);
    }
    text.0
}

/// What the fleet adds up to, and each device where `per_device` says so.
pub fn fleet(overview: &Overview, watched: &[Watched], per_device: bool) -> String {
    let mut text = Text::default();
    text.head(FIGURES);
    text.sample(FIGURES.name, &[], overview.at.as_second());
    violations(&mut text, overview);
    sites(&mut text, overview);
    upstreams(&mut text, overview);
    text.head(HANDOVERS);
    let Waiting { owed, refused } = overview.handovers;
    for (stage, count) in [("owed", owed), ("refused", refused)] {
        text.sample(HANDOVERS.name, &[("stage", stage)], count);
    }
    if per_device {
        devices(&mut text, overview, watched);
    }
    text.0
}

fn violations(text: &mut Text, overview: &Overview) {
    let mut kinds = std::collections::BTreeMap::new();
    // Every kind has a series, so that the first one found is an increase.
    for kind in Kind::ALL {
        kinds.insert((*kind, kind.severity()), 0);
    }
    let mut sites = std::collections::BTreeMap::new();
    for ((site, kind, severity), count) in &overview.violations {
        *kinds.entry((*kind, *severity)).or_default() += count;
        *sites.entry((site, *severity)).or_insert(0) += count;
    }
    text.head(VIOLATIONS);
    for ((kind, severity), count) in kinds {
        text.sample(VIOLATIONS.name, &[("kind", kind.word()), ("severity", severity.word())], count);
    }
    text.head(SITE_VIOLATIONS);
    for ((site, severity), count) in sites {
        let severity: Severity = severity;
        text.sample(SITE_VIOLATIONS.name, &[("site", &site.0), ("severity", severity.word())], count);
    }
}

fn sites(text: &mut Text, overview: &Overview) {
    let sites = || overview.sites.iter().map(|(site, tally)| (&*site.0, tally));
    text.head(SITE_DEVICES);
    for (site, tally) in sites() {
        for (state, count) in ObligationState::ALL.iter().zip(tally.states) {
            text.sample(SITE_DEVICES.name, &[("site", site), ("state", state.word())], count);
        }
    }
    text.head(SITE_CONTACTS);
    for (site, tally) in sites() {
        for (contact, count) in Contact::ALL.iter().zip(tally.contacts) {
            text.sample(SITE_CONTACTS.name, &[("site", site), ("contact", contact.word())], count);
        }
    }
    text.head(SITE_DOWN);
    for (site, tally) in sites() {
        text.sample(SITE_DOWN.name, &[("site", site)], tally.down);
    }
    text.head(SITE_DEADLINE);
    for (site, due) in sites().filter_map(|(site, tally)| Some((site, tally.due?))) {
        text.sample(SITE_DEADLINE.name, &[("site", site)], due.as_second());
    }
    text.head(SITE_LEAVE_BY);
    for (site, leave_by) in sites().filter_map(|(site, tally)| Some((site, tally.leave_by?))) {
        text.sample(SITE_LEAVE_BY.name, &[("site", site)], leave_by.as_second());
    }
}

fn upstreams(text: &mut Text, overview: &Overview) {
    text.head(UPSTREAM_READ);
    for (name, read) in &overview.upstreams {
        text.sample(UPSTREAM_READ.name, &[("upstream", name)], read.at.as_second());
    }
    text.head(UPSTREAM_DIFFERENCES);
    for (name, read) in &overview.upstreams {
        for (kind, count) in read.counts.by_kind() {
            text.sample(UPSTREAM_DIFFERENCES.name, &[("upstream", name), ("kind", kind.word())], count);
        }
    }
    text.head(UPSTREAM_CERTIFICATE);
    for (name, until) in overview.upstreams.iter().filter_map(|(name, read)| Some((name, read.certificate_until?))) {
        text.sample(UPSTREAM_CERTIFICATE.name, &[("upstream", name)], until.as_second());
    }
}

fn devices(text: &mut Text, overview: &Overview, watched: &[Watched]) {
    // Written and escaped once, used by each family.
    let named: Vec<(&Entry, String)> =
        overview.entries.iter().filter_map(|entry| Some((entry, labels(entry, watched)?))).collect();
    let listed = || named.iter().filter(|(entry, _)| matches!(entry.who, Who::Listed(_)));
    text.head(UP);
    for (entry, labels) in listed() {
        if let Some(up) = entry.up {
            text.line(UP.name, labels, u8::from(up));
        }
    }
    text.head(LAST_CONTACT);
    for (entry, labels) in listed().filter(|(entry, _)| entry.up.is_some() || entry.last_contact.is_some()) {
        text.line(LAST_CONTACT.name, labels, entry.last_contact.map_or(0, Timestamp::as_second));
    }
    text.head(CONTACT);
    for (entry, labels) in listed() {
        text.line(CONTACT.name, format_args!("{labels},contact=\"{}\"", entry.contact), 1);
    }
    text.head(STATE);
    for (entry, labels) in &named {
        text.line(STATE.name, format_args!("{labels},state=\"{}\"", entry.state), 1);
    }
    let mut instants = |family: &Family, instant: fn(&Entry) -> Option<Timestamp>| {
        text.head(family);
        for (at, labels) in named.iter().filter_map(|(entry, labels)| Some((instant(entry)?, labels))) {
            text.line(family.name, labels, at.as_second());
        }
    };
    instants(DEADLINE, |entry| entry.due);
    instants(LEAVE_BY, |entry| entry.leave_by);
    instants(LAST_ACK, |entry| entry.last_ack);
}

/// `device="…",site="…"`: by one name only, or a scrape would be refused as a whole.
fn labels(entry: &Entry, watched: &[Watched]) -> Option<String> {
    let mut labels = String::with_capacity(48);
    let site = entry.site(watched)?;
    match &entry.who {
        Who::Listed(at) => label(&mut labels, "device", &watched.get(*at)?.name.0),
        Who::Gone(gone) => match &gone.device {
            Some(name) => label(&mut labels, "device", &name.0),
            None => label(&mut labels, "device", &gone.udi.to_string()),
        },
    }
    labels.push(',');
    label(&mut labels, "site", &site.0);
    Some(labels)
}

fn label(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    for char in value.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// The page as it grows. Writing into a text cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let mut written = String::new();
        for (at, (key, value)) in labels.iter().enumerate() {
            if at > 0 {
                written.push(',');
            }
            label(&mut written, key, value);
        }
        match written.is_empty() {
            true => drop(writeln!(self.0, "{name} {value}")),
            false => self.line(name, written, value),
        }
    }

    fn line(&mut self, name: &str, labels: impl Display, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::metrics::FAMILIES;

    #[test]
    fn foreign_text_cannot_leave_its_label() {
        let mut text = Text::default();
        text.sample("slp_x", &[("sink", "a\\b\"} 1\nslp_y 2")], 3);
        assert_eq!(text.0, "slp_x{sink=\"a\\\\b\\\"} 1\\nslp_y 2\"} 3\n");
    }

    #[test]
    fn a_histogram_counts_upwards() {
        let metrics = Metrics::default();
        for seconds in [0.05, 0.1, 7.0, 4000.0] {
            metrics.polled(PollOutcome::Answered, Duration::from_secs_f64(seconds));
        }
        let text = own(&metrics, Ledger::default());
        for line in [
            "slp_poll_duration_seconds_bucket{le=\"0.1\"} 2",
            "slp_poll_duration_seconds_bucket{le=\"5\"} 2",
            "slp_poll_duration_seconds_bucket{le=\"10\"} 3",
            "slp_poll_duration_seconds_bucket{le=\"+Inf\"} 4",
            "slp_poll_duration_seconds_sum 4007.15",
            "slp_poll_duration_seconds_count 4",
            "slp_polls_total{outcome=\"answered\"} 4",
            "slp_polls_total{outcome=\"not-tried\"} 0",
        ] {
            assert!(text.lines().any(|own| own == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn sinks_begin_at_nothing() {
        let metrics = Metrics::default();
        metrics.sinks(["mail", "hook"]);
        metrics.sink_error("hook");
        metrics.sink_sent("hook");
        let text = own(&metrics, Ledger::default());
        for line in ["slp_sink_errors_total{sink=\"mail\"} 0", "slp_sink_errors_total{sink=\"hook\"} 1"] {
            assert!(text.lines().any(|own| own == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_list_says() {
        let metrics = Metrics::default();
        let overview = Overview::begun(Timestamp::UNIX_EPOCH);
        let text = own(&metrics, Ledger::default()) + &fleet(&overview, &[], true);
        let heads: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let listed: Vec<String> =
            FAMILIES.iter().map(|family| format!("{} {}", family.name, family.kind.word())).collect();
        assert_eq!(heads, listed);
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len());
    }
}
