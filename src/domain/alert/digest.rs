//! The weekly word, also when all is well: silence would mean nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Topic, line, listed, message};
use crate::domain::deadline::{self, ObligationState};
use crate::domain::fleet::Fleet;
use crate::domain::message::{Line, Message};
use crate::domain::plan::{Settings, Watched};
use crate::domain::settings::Word as _;
use crate::domain::violation::{Kind, Severity, Stage};

/// So many of the soonest are listed.
const LISTED: usize = 100;

/// How the whole fleet stands at `now`.
pub fn digest(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Message {
    let mut states: BTreeMap<ObligationState, usize> = BTreeMap::new();
    let mut near: Vec<Line> = Vec::new();
    for instance in fleet.instances.values().filter(|instance| instance.retired.is_none()) {
        let device = listed(watched, instance);
        let lead = device.map_or_else(Default::default, |device| device.exchange_lead);
        let standing = deadline::standing(instance, lead, &settings.rules, now);
        *states.entry(standing.state).or_default() += 1;
        if matches!(standing.state, ObligationState::Overdue | ObligationState::DueSoon) {
            near.push(line(fleet, instance, device, &standing, now));
        }
    }
    near.sort_by(|a, b| (a.due, &a.name).cmp(&(b.due, &b.name)));
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for violation in fleet.violations.values().filter(|violation| violation.stage(now) != Stage::Resolved) {
        *kinds.entry(violation.found.kind).or_default() += 1;
    }
    let mut text = format!("{} product instances", states.values().sum::<usize>());
    for (state, count) in &states {
        write!(text, ", {count} {}", state.word()).expect("memory");
    }
    text.push_str(if kinds.is_empty() { ". No violation is open." } else { ". Violations:" });
    for (index, (kind, count)) in kinds.iter().enumerate() {
        write!(text, "{} {count} {}", if index == 0 { "" } else { "," }, kind.word()).expect("memory");
    }
    let failed = fleet.devices.values().filter(|device| device.trouble.is_some()).count();
    write!(text, "{} {failed} devices do not answer as they should.", if kinds.is_empty() { "" } else { "." })
        .expect("memory");
    if near.len() > LISTED {
        write!(text, " The {LISTED} soonest of {} near or past their deadline:", near.len()).expect("memory");
        near.truncate(LISTED);
    }
    let severity = if states.contains_key(&ObligationState::Overdue) { Severity::Warning } else { Severity::Info };
    message(now, Topic::Digest, severity, None, super::title(Topic::Digest, 0, &Default::default()), text, near)
}
