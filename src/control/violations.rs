//! Violations as they are shown, and a person's word on them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Fact, ViolationAcknowledged};
use crate::domain::fleet::Fleet;
use crate::domain::instance::{DeviceName, Site};
use crate::domain::violation::{
    self, Acknowledgement, Evidence, Kind, Severity, Stage, Subject, Violation, ViolationId,
};
use crate::flow::{Error, House};

/// How long an acknowledgement holds where nobody says otherwise.
const ACKNOWLEDGED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Which violations are listed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ViolationQuery {
    /// Also those that are resolved.
    pub all: bool,
    pub site: Option<Site>,
    pub kind: Option<Kind>,
    /// This severity and those above it.
    pub severity: Option<Severity>,
}

/// One violation with its life, its meaning and its remedy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViolationLine {
    pub id: ViolationId,
    pub kind: Kind,
    pub severity: Severity,
    pub stage: Stage,
    pub subject: Subject,
    pub device: Option<DeviceName>,
    pub site: Site,
    pub explanation: String,
    pub evidence: Vec<Evidence>,
    pub meaning: String,
    pub remedy: String,
    pub opened: Timestamp,
    pub resolved: Option<Timestamp>,
    pub acknowledged: Option<Acknowledgement>,
    pub reopened: u32,
    /// When a message last told of it.
    pub told: Option<Timestamp>,
}

/// The record as it would be after looking now, without writing anything: without a daemon nobody has looked lately.
pub(super) fn current(house: &House, fleet: &Fleet, now: Timestamp) -> (BTreeMap<ViolationId, Violation>, Vec<Fact>) {
    let found = violation::find(fleet, &house.watched, &house.settings, now);
    let facts = violation::news(fleet, found, now);
    let mut after = Fleet::default();
    after.violations.clone_from(&fleet.violations);
    for fact in &facts {
        after.apply(&Event { by: None, at: now, fact: fact.clone() });
    }
    (after.violations, facts)
}

/// The most severe first, then the oldest.
pub(super) fn list(house: &House, query: &ViolationQuery) -> Vec<ViolationLine> {
    let now = house.clock.now();
    let violations = current(house, &house.ledger.fleet(), now).0;
    let wanted = |(id, violation): (ViolationId, Violation)| {
        let (stage, found) = (violation.stage(now), &violation.found);
        let wanted = (query.all || stage != Stage::Resolved)
            && query.site.as_ref().is_none_or(|site| *site == found.site)
            && query.kind.is_none_or(|kind| kind == found.kind)
            && query.severity.is_none_or(|severity| severity <= found.severity);
        wanted.then(|| line(id, violation, now))
    };
    let mut lines: Vec<ViolationLine> = violations.into_iter().filter_map(wanted).collect();
    lines.sort_by(|a, b| (b.severity, a.opened, &a.id).cmp(&(a.severity, b.opened, &b.id)));
    lines
}

pub(super) fn show(house: &House, id: &ViolationId) -> Result<ViolationLine, Error> {
    let now = house.clock.now();
    let mut violations = current(house, &house.ledger.fleet(), now).0;
    let violation = violations.remove(id).ok_or_else(|| unknown(id))?;
    Ok(line(id.clone(), violation, now))
}

/// Keeps a person's word on a violation that is not resolved.
pub(super) fn acknowledge(
    house: &House,
    id: &ViolationId,
    note: String,
    until: Option<Timestamp>,
) -> Result<ViolationLine, Error> {
    let now = house.clock.now();
    let until = match until {
        Some(until) => until,
        None => now.checked_add(ACKNOWLEDGED_FOR).unwrap_or(Timestamp::MAX),
    };
    if until <= now {
        return Err(Error::Input(format!("{until} is past: an acknowledgement holds until a time to come")));
    }
    if note.trim().is_empty() {
        return Err(Error::Input("an acknowledgement needs a note that says why".to_owned()));
    }
    let (violations, news) = current(house, &house.ledger.fleet(), now);
    let violation = violations.get(id).ok_or_else(|| unknown(id))?;
    if let Some(resolved) = violation.resolved {
        return Err(Error::Input(format!("{id} was resolved on {resolved}; there is nothing to acknowledge")));
    }
    // It may have been found just now, by this look.
    let found = news.into_iter().filter(|fact| matches!(fact, Fact::ViolationFound(found) if found.id() == *id));
    let acknowledged = Fact::ViolationAcknowledged(ViolationAcknowledged { id: id.clone(), note, until });
    house.ledger.append(now, found.chain([acknowledged]).collect(), Vec::new())?;
    show(house, id)
}

fn unknown(id: &ViolationId) -> Error {
    Error::Input(format!("no violation {id}; see `violation list --all`"))
}

fn line(id: ViolationId, violation: Violation, now: Timestamp) -> ViolationLine {
    let stage = violation.stage(now);
    let Violation { found, opened, resolved, acknowledged, reopened, told } = violation;
    ViolationLine {
        id,
        kind: found.kind,
        severity: found.severity,
        stage,
        subject: found.subject,
        device: found.device,
        site: found.site,
        explanation: found.explanation,
        evidence: found.evidence,
        meaning: found.kind.meaning().to_owned(),
        remedy: found.kind.remedy().to_owned(),
        opened,
        resolved,
        acknowledged,
        reopened,
        told,
    }
}
