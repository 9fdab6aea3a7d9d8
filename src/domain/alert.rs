//! Who is told what, and when: the ladder before a deadline, the daily word after it, violations, the digest.
//!
//! What was told is on record, so that planning twice tells nothing twice, after a restart too. What a silence or a
//! maintenance window covers is not told and not noted: it is told when that ends, if it is still so.

mod digest;
mod ladder;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::bundle;
use super::deadline::{self, ObligationState, Standing, day};
use super::digest::Sha256;
use super::event::MessageMade;
use super::fleet::{Fleet, Instance, Told};
use super::instance::{Account, Site};
use super::message::{Line, Message, Topic};
use super::on_prem;
use super::plan::{Settings, Watched, watched_as};
use super::silence;
use super::violation::{Kind, Severity, Stage, Subject, Violation, ViolationId, find};
use super::window::Windows;
pub use digest::digest;
pub use ladder::{Daily, Ladder};

/// When people are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub ladder: Ladder,
    /// What is new waits so long for company.
    pub group_wait: SignedDuration,
    /// At least so long between two messages of one site and severity.
    pub group_interval: SignedDuration,
    /// While these are open nobody is told of anything at a site; the nameless one stands for those not listed.
    pub maintenance: BTreeMap<Site, Windows>,
}

/// One message carries so many lines; what is more comes in further ones.
const MOST_LINES: usize = 5000;
/// A deadline that moved by less is the same one.
const SAME: SignedDuration = SignedDuration::from_hours(24);

/// Something to tell, before it is put together with others.
struct Item {
    site: Site,
    severity: Severity,
    topic: Topic,
    /// Since when there is reason to tell.
    since: Timestamp,
    line: Line,
    told: Option<(Subject, Option<Timestamp>)>,
}

/// What is to be told now; planned again at the next judgement. The sinks are for the caller to name.
pub fn tell(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Vec<MessageMade> {
    let mut items = obligations(fleet, watched, settings, now);
    items.extend(met(fleet, watched, settings, now));
    items.extend(on_prem(fleet, settings, now));
    items.extend(violations(fleet));
    items.retain(|item| !hushed(fleet, &settings.alerts, item, now));
    grouped(fleet, items, &settings.alerts, now)
}

/// Obligations that passed a rung of the ladder since they were told of last.
fn obligations(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Vec<Item> {
    let longest = watched.iter().map(|device| device.exchange_lead).max().unwrap_or_default();
    let horizon = now.saturating_add(longest).expect("a duration of time saturates");
    let mut items = Vec::new();
    for instance in fleet.instances.values() {
        // Most are far from their deadline: they are passed over without looking anything else up.
        let far = deadline::standing(instance, SignedDuration::ZERO, &settings.rules, now);
        let Some(due) = far.due else { continue };
        if settings.alerts.ladder.begins(due) > horizon {
            continue;
        }
        let device = listed(watched, instance);
        let lead = device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
        let standing = deadline::standing(instance, lead, &settings.rules, now);
        let subject = Subject::Instance(instance.udi.clone());
        let last = fleet.told.get(&subject);
        // Its deadline or, where somebody has said that he knows, just that it is past.
        let daily = standing.state != ObligationState::Overdue || !acknowledged(fleet, &subject, now);
        let Some(since) = settings.alerts.ladder.passed(&standing, daily, now) else { continue };
        if is_told(last, due, since) {
            continue;
        }
        let line = line(fleet, instance, device, &standing, now);
        let (topic, severity) = match standing.state {
            ObligationState::Overdue => (Topic::Overdue, severity(settings, &line.site, line.kind)),
            ObligationState::DueSoon
            | ObligationState::NotSlp
            | ObligationState::NeverReported
            | ObligationState::Ok
            | ObligationState::NotRequired
            | ObligationState::NothingToReport
            | ObligationState::Unknown => {
                let left = standing.leave_by.map(|leave_by| leave_by.duration_since(now));
                // A week, and a day for the hour at which people are told.
                let near = left.is_none_or(|left| left <= SignedDuration::from_hours(8 * 24));
                (Topic::Reminder, if near { Severity::Warning } else { Severity::Info })
            }
        };
        let site = line.site.clone();
        items.push(Item { site, severity, topic, since, line, told: Some((subject, Some(due))) });
    }
    items
}

/// Was the passing of this rung told? A deadline that moved by days is another one.
fn is_told(last: Option<&Told>, due: Timestamp, since: Timestamp) -> bool {
    let Some((told, at)) = last.and_then(|told| Some((told.due?, told.at))) else { return false };
    told.duration_since(due).abs() <= SAME && since <= at
}

/// Does a person know that this is overdue?
fn acknowledged(fleet: &Fleet, subject: &Subject, now: Timestamp) -> bool {
    let of = |kind| fleet.violations.get(&ViolationId::of(kind, subject));
    let kinds = [Kind::AckOverdue, Kind::FirstReportOverdue, Kind::OnPremSyncOverdue];
    kinds.into_iter().filter_map(of).any(|violation| violation.stage(now) == Stage::Acknowledged)
}

/// Obligations that were told of and are so no longer.
fn met(fleet: &Fleet, watched: &[Watched], settings: &Settings, now: Timestamp) -> Vec<Item> {
    let mut items = Vec::new();
    for (subject, told) in &fleet.told {
        let (Some(before), Subject::Instance(udi)) = (told.due, subject) else { continue };
        let Some(instance) = fleet.resolve(udi) else { continue };
        let device = listed(watched, instance);
        let lead = device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
        let standing = deadline::standing(instance, lead, &settings.rules, now);
        // What nobody can say any more is not met.
        let known = standing.state != ObligationState::Unknown;
        let later = known && standing.due.is_none_or(|due| due.duration_since(before) > SAME);
        if !later || settings.alerts.ladder.passed(&standing, true, now).is_some() {
            continue;
        }
        let line = line(fleet, instance, device, &standing, now);
        let (site, told) = (line.site.clone(), Some((subject.clone(), None)));
        items.push(Item { site, severity: Severity::Info, topic: Topic::Met, since: now, line, told });
    }
    items
}

/// License On-Prem servers and their own duty.
fn on_prem(fleet: &Fleet, settings: &Settings, now: Timestamp) -> Vec<Item> {
    let rules = &settings.alerts;
    let mut items = Vec::new();
    for (name, server) in &fleet.on_prem {
        let standing = on_prem::standing(server, now);
        let Some(due) = standing.due else { continue };
        let subject = Subject::OnPrem(name.clone());
        let last = fleet.told.get(&subject);
        let overdue = standing.state == ObligationState::Overdue;
        // Its own warning is the first rung, before any of ours.
        let warned = on_prem::warns(server).filter(|warns| *warns <= now);
        let passed = rules.ladder.passed(&standing, !acknowledged(fleet, &subject, now), now).or(warned);
        let kind = passed.map(|_| Kind::OnPremSyncOverdue);
        let usual = if overdue { Severity::Critical } else { Severity::Warning };
        let usual = settings.violations.of(&Site::default()).severity(Kind::OnPremSyncOverdue, usual);
        let (topic, severity, told) = match (passed, last.and_then(|told| told.due)) {
            (Some(since), _) if is_told(last, due, since) => continue,
            (Some(_), _) if overdue => (Topic::Overdue, usual, Some(due)),
            (Some(_), _) => (Topic::Reminder, usual, Some(due)),
            (None, Some(_)) => (Topic::Met, Severity::Info, None),
            (None, None) => continue,
        };
        let line = Line {
            name: subject.to_string(),
            device: None,
            udi: None,
            site: Site::default(),
            account: Account::default(),
            state: Some(standing.state),
            due: Some(due),
            leave_by: standing.leave_by,
            violation: kind.and_then(|kind| open(fleet, kind, &subject)),
            kind,
            what: standing.reason.to_string(),
            remedy: told.map(|_| Kind::OnPremSyncOverdue.remedy().to_owned()),
        };
        let (site, since) = (Site::default(), passed.unwrap_or(now));
        items.push(Item { site, severity, topic, since, line, told: Some((subject, told)) });
    }
    items
}

/// Violations that were found or resolved since they were told of last.
fn violations(fleet: &Fleet) -> Vec<Item> {
    let mut items = Vec::new();
    for (id, violation) in &fleet.violations {
        let (topic, since) = match (violation.resolved, violation.told) {
            // The ladder tells of these.
            _ if of_a_deadline(violation.found.kind) => continue,
            (None, told) if told.is_none_or(|told| told < violation.opened) => (Topic::Violation, violation.opened),
            // What was never told needs no end.
            (Some(resolved), Some(told)) if (violation.opened..resolved).contains(&told) => (Topic::Resolved, resolved),
            (None | Some(_), _) => continue,
        };
        let Violation { found, .. } = violation;
        let udi = match &found.subject {
            Subject::Instance(udi) => Some(udi.clone()),
            Subject::Device(_) | Subject::OnPrem(_) => None,
        };
        let instance = udi.as_ref().and_then(|udi| fleet.resolve(udi));
        let severity = if topic == Topic::Resolved { Severity::Info } else { found.severity };
        let line = Line {
            name: found.device.as_ref().map_or_else(|| found.subject.to_string(), ToString::to_string),
            device: found.device.clone(),
            udi,
            site: found.site.clone(),
            account: bundle::account(None, instance),
            state: None,
            due: None,
            leave_by: None,
            violation: Some(id.clone()),
            kind: Some(found.kind),
            what: found.explanation.clone(),
            remedy: (topic == Topic::Violation).then(|| found.kind.remedy().to_owned()),
        };
        items.push(Item { site: found.site.clone(), severity, topic, since, line, told: None });
    }
    items
}

/// The severity of an obligation that is past its deadline: that of its violation at the site.
fn severity(settings: &Settings, site: &Site, kind: Option<Kind>) -> Severity {
    kind.map_or(Severity::Critical, |kind| settings.violations.of(site).severity(kind, kind.severity()))
}

/// The violation on record by which a person can acknowledge what is told.
fn open(fleet: &Fleet, kind: Kind, subject: &Subject) -> Option<ViolationId> {
    let id = ViolationId::of(kind, subject);
    fleet.violations.get(&id).is_some_and(|violation| violation.resolved.is_none()).then_some(id)
}

fn of_a_deadline(kind: Kind) -> bool {
    matches!(kind, Kind::AckOverdue | Kind::FirstReportOverdue | Kind::OnPremSyncOverdue)
}

/// Does a silence or a maintenance window cover it?
fn hushed(fleet: &Fleet, rules: &Rules, item: &Item, now: Timestamp) -> bool {
    let maintenance = rules.maintenance.get(&item.site).or_else(|| rules.maintenance.get(&Site::default()));
    let (device, kind) = (item.line.device.as_ref(), item.line.kind);
    maintenance.is_some_and(|windows| !windows.is_empty() && windows.contains(now))
        || silence::silenced(fleet, &item.site, device, kind, item.severity, now).is_some()
}

/// One message a site, severity and topic, once what is new has waited for company.
fn grouped(fleet: &Fleet, items: Vec<Item>, rules: &Rules, now: Timestamp) -> Vec<MessageMade> {
    if items.is_empty() {
        return Vec::new();
    }
    let mut groups: BTreeMap<(Site, Severity, Topic), Vec<Item>> = BTreeMap::new();
    for item in items {
        groups.entry((item.site.clone(), item.severity, item.topic)).or_default().push(item);
    }
    let last = last_told(fleet);
    let mut made = Vec::new();
    for ((site, severity, topic), mut items) in groups {
        let first = items.iter().map(|item| item.since).min().unwrap_or(now);
        let since_last = last.get(&(&site, severity)).map(|last| now.duration_since(*last));
        if now.duration_since(first) < rules.group_wait && topic != Topic::Met
            || since_last.is_some_and(|since| since < rules.group_interval)
        {
            continue;
        }
        items.sort_by(|a, b| (a.line.due, &a.line.name).cmp(&(b.line.due, &b.line.name)));
        let parts = items.len().div_ceil(MOST_LINES);
        let mut items = items.into_iter().peekable();
        for part in 1..=parts {
            let (lines, told): (Vec<Line>, Vec<_>) =
                items.by_ref().take(MOST_LINES).map(|item| (item.line, item.told)).unzip();
            let mut title = title(topic, lines.len(), &site);
            if parts > 1 {
                title.push_str(&format!(" (part {part} of {parts})"));
            }
            let message = message(now, topic, severity, Some(site.clone()), title, String::new(), lines);
            made.push(MessageMade { message, sinks: Vec::new(), told: told.into_iter().flatten().collect() });
        }
    }
    made
}

/// When a message of each site and severity was made last.
fn last_told(fleet: &Fleet) -> BTreeMap<(&Site, Severity), Timestamp> {
    let mut last: BTreeMap<(&Site, Severity), Timestamp> = BTreeMap::new();
    let mut note = |site, severity, at: Timestamp| {
        let known = last.entry((site, severity)).or_insert(at);
        *known = at.max(*known);
    };
    for (subject, told) in &fleet.told {
        if let Subject::Instance(udi) = subject
            && let Some(instance) = fleet.resolve(udi)
        {
            note(&instance.site, told.severity, told.at);
        }
    }
    for violation in fleet.violations.values() {
        if let Some(told) = violation.told.filter(|_| violation.resolved.is_none()) {
            note(&violation.found.site, violation.found.severity, told);
        }
    }
    last
}

fn title(topic: Topic, count: usize, site: &Site) -> String {
    let at = if site.0.is_empty() { String::new() } else { format!(" at {site}") };
    let some = |one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
    match topic {
        Topic::Reminder => format!("{} due{at}", some("obligation is", "obligations are")),
        Topic::Overdue => format!("{} overdue{at}", some("obligation is", "obligations are")),
        Topic::Met => format!("{} met{at}", some("obligation is", "obligations are")),
        Topic::Violation => format!("{} found{at}", some("violation was", "violations were")),
        Topic::Resolved => format!("{} resolved{at}", some("violation is", "violations are")),
        Topic::Digest => "Smart Licensing reporting, this week".to_owned(),
        Topic::Test => "A test message".to_owned(),
    }
}

/// A message, named by what is in it.
pub fn message(
    at: Timestamp,
    topic: Topic,
    severity: Severity,
    site: Option<Site>,
    title: String,
    text: String,
    lines: Vec<Line>,
) -> Message {
    let mut message = Message { id: String::new(), at, topic, severity, site, title, text, lines };
    let content = serde_json::to_vec(&message).expect("a message has string keys only");
    message.id = format!("m-{}", &Sha256::of(&content).to_string()[..10]);
    message
}

fn listed<'a>(watched: &'a [Watched], instance: &Instance) -> Option<&'a Watched> {
    watched_as(watched, instance.device.as_ref()?)
}

fn line(fleet: &Fleet, instance: &Instance, device: Option<&Watched>, standing: &Standing<'_>, now: Timestamp) -> Line {
    let kind = find::overdue(instance, standing);
    let mut what = match (standing.due, standing.leave_by) {
        (Some(due), _) if due < now => format!("due {}, and no acknowledgement: ", day(due)),
        (Some(due), Some(leave_by)) => format!("due {}, leave by {}: ", day(due), day(leave_by)),
        (Some(due), None) => format!("due {}: ", day(due)),
        (None, _) => String::new(),
    };
    what.push_str(&standing.reason.to_string());
    Line {
        name: instance.device.as_ref().map_or_else(|| instance.udi.to_string(), ToString::to_string),
        device: instance.device.clone(),
        udi: Some(instance.udi.clone()),
        site: device.map_or_else(|| instance.site.clone(), |device| device.site.clone()),
        account: bundle::account(device, Some(instance)),
        state: Some(standing.state),
        due: standing.due,
        leave_by: standing.leave_by,
        violation: kind.and_then(|kind| open(fleet, kind, &Subject::Instance(instance.udi.clone()))),
        kind,
        what,
        remedy: kind.map(|kind| kind.remedy().to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests;
