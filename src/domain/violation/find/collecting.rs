//! What keeps reports from coming here and answers from coming back.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::index::Listed;
use super::{About, EVIDENCE, Evidence, Kind, Scan, Subject, Told, day};
use crate::domain::event::Progress;
use crate::domain::fleet::{Fleet, Instance};
use crate::domain::instance::Udi;
use crate::domain::plan::Settings;
use crate::domain::report::ReportId;
use crate::domain::settings::{Mode, Reporter};
use crate::domain::state::{DeviceState, Model, ReportState};

/// What is known of exchanges, for all instances at once.
pub(super) struct Exchange<'a> {
    /// Bundles handed over long enough ago at some site.
    waiting: HashMap<&'a str, Timestamp>,
    /// When each instance was last answered.
    answered: HashMap<&'a Udi, Timestamp>,
}

impl<'a> Exchange<'a> {
    pub(super) fn of(fleet: &'a Fleet, settings: &Settings, now: Timestamp) -> Self {
        let rules = std::iter::once(&settings.violations.everywhere).chain(settings.violations.sites.values());
        let shortest = rules.map(|rules| rules.ack_missing_after).min().unwrap_or(SignedDuration::MAX);
        let handed_over = |(id, at): (&'a String, Option<Timestamp>)| Some((id.as_str(), at?));
        let bundles = fleet.bundles.iter().map(|(id, bundle)| (id, bundle.handed_over));
        let submissions = fleet.submissions.iter().map(|(id, submission)| (id, submission.handed_over()));
        let waiting: HashMap<_, _> = bundles
            .chain(submissions)
            .filter_map(handed_over)
            .filter(|(_, at)| now.duration_since(*at) > shortest)
            .collect();
        let mut answered = HashMap::new();
        if !waiting.is_empty() {
            for answer in fleet.answers.values() {
                let Some(instance) = answer.udi.as_ref().and_then(|udi| fleet.resolve(udi)) else { continue };
                let last = answered.entry(&instance.udi).or_insert(answer.received);
                *last = answer.received.max(*last);
            }
        }
        Exchange { waiting, answered }
    }
}

pub(super) fn find(scan: &mut Scan<'_>, about: &About<'_>, exchange: &Exchange<'_>) {
    if !about.is_ours() {
        return;
    }
    ack_missing(scan, about, exchange);
    let Some(state) = about.instance.state.as_ref().filter(|state| state.model == Model::Slp) else { return };
    report_gap(scan, about, state);
    collection_stale(scan, about, state);
    two_reporters(scan, about, state);
}

/// Of the newest bundle that each report is in, the one handed over first.
fn ack_missing(scan: &mut Scan<'_>, about: &About<'_>, exchange: &Exchange<'_>) {
    if exchange.waiting.is_empty() {
        return;
    }
    let instance = about.instance;
    let after = scan.rules(about.site).ack_missing_after;
    let answered = exchange.answered.get(&instance.udi);
    let bundles = instance.waiting().filter_map(|owed| owed.bundle.as_deref());
    let handed_over = bundles.filter_map(|bundle| Some((*exchange.waiting.get(bundle)?, bundle)));
    let unanswered =
        handed_over.filter(|(at, _)| scan.past(*at, after) && answered.is_none_or(|answered| answered < at));
    let Some((at, bundle)) = unanswered.min() else { return };
    scan.tell(about, Kind::AckMissing, || {
        let inside = || instance.waiting().filter(|owed| owed.bundle.as_deref() == Some(bundle));
        let reports = counted(inside().count());
        let submission = scan.fleet.submissions.get(bundle);
        let kind = if submission.is_some() { "submission" } else { "bundle" };
        let twice = match submission.and_then(|submission| submission.progress.as_ref()) {
            Some(Progress::Duplicate { .. }) => {
                "; Cisco had them before, so that none comes by itself: fetch it at the portal, then `ack import`"
            }
            Some(Progress::Accepted { .. } | Progress::Answered | Progress::Failed { .. }) | None => "",
        };
        Told::new(format!(
            "{reports} left in {kind} {bundle} on {}, and no answer for this instance came since{twice}",
            day(at)
        ))
        .with([Evidence::Bundle(bundle.to_owned())])
        .with(inside().take(EVIDENCE).map(|owed| Evidence::Report(owed.report_id)))
    });
}

/// Two proofs, both weaker than the truth may be. The device counts what it purged, with telemetry and with what was
/// acknowledged: only what exceeds all reports that are here or were acknowledged is surely lost. And it lists reports
/// as deleted that are newer than the first one here and are not here; older ones may have been settled before us. The
/// ids before and after one in its chain are printed for single reports only, and nobody asks for those.
fn report_gap(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let instance = about.instance;
    let purged = state.reports.as_ref().and_then(|reports| reports.purged).unwrap_or(0);
    let purged = Some(purged).filter(|purged| *purged > 0 && *purged > held_or_settled(instance, state));
    let mut deleted = deleted_unseen(instance, state).peekable();
    if purged.is_none() && deleted.peek().is_none() {
        return;
    }
    let deleted: Vec<ReportId> = deleted.collect();
    scan.tell(about, Kind::ReportGap, || {
        let purged = purged.map(|purged| {
            format!("the device purged {purged} reports, more than were ever collected here or acknowledged")
        });
        let listed = (!deleted.is_empty())
            .then(|| format!("never collected, and deleted on the device: {}", counted(deleted.len())));
        let sentence = [purged, listed].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let printed = state.reports.as_ref().and_then(|reports| reports.purged);
        Told::new(sentence)
            .with(printed.map(|purged| Evidence::Printed(format!("Purged: {purged}"))))
            .with(deleted.iter().take(EVIDENCE).map(|id| Evidence::Report(*id)))
    });
}

fn held_or_settled(instance: &Instance, state: &DeviceState) -> u64 {
    let told = state.reports.as_ref().and_then(|reports| reports.acknowledged).unwrap_or(0);
    instance.collected.len().saturating_add(told.max(instance.acknowledged.len()))
}

fn deleted_unseen<'a>(instance: &'a Instance, state: &'a DeviceState) -> impl Iterator<Item = ReportId> + 'a {
    let deleted = state.rum_ids.iter().filter(|listed| listed.state == Some(ReportState::Deleted));
    deleted.map(|listed| listed.report_id).filter(|id| !instance.has_seen(*id))
}

/// Only where reports are known to be on the device and not here: it has more to report than is here, or they were
/// closed and none came. Polls close nothing, so that a long time without a new report alone says nothing.
fn collection_stale(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    let (instance, Some(device)) = (about.instance, about.device) else { return };
    if device.mode < Mode::Collect {
        return;
    }
    let after = scan.rules(about.site).collection_stale_after;
    let last = instance.last_collected;
    let here = instance.owed.len() as u64;
    let available = state.reports.as_ref().and_then(|reports| reports.available);
    let behind = available.filter(|available| *available > here);
    if let Some(available) = behind.filter(|_| scan.past(last.unwrap_or(instance.first_seen), after)) {
        scan.tell(about, Kind::CollectionStale, || {
            let last = match last {
                Some(last) => format!("the last one was collected on {}", day(last)),
                None => format!("none was ever collected since it was first seen on {}", day(instance.first_seen)),
            };
            Told::new(format!("the device has {available} to report, {here} of them are here, and {last}"))
                .with([Evidence::Printed(format!("Available to Report: {available}"))])
        });
        return;
    }
    let closed = about.known.and_then(|known| known.last_close).filter(|closed| last.is_none_or(|last| last < *closed));
    if let Some(closed) = closed.filter(|closed| scan.past(*closed, after)) {
        scan.tell(about, Kind::CollectionStale, || {
            Told::new(format!("its reports were closed on {}, and none was collected since", day(closed)))
                .with([Evidence::Event { at: closed, what: "reports closed".to_owned() }])
        });
    }
}

/// A device without an address for its transport, or that never reached one, reports to nobody.
fn two_reporters(scan: &mut Scan<'_>, about: &About<'_>, state: &DeviceState) {
    if about.device.is_none() {
        return;
    }
    let Some(kind) = state.transport.as_ref().and_then(|transport| transport.kind.as_deref()) else { return };
    let Some(pushed) = &state.usage_reporting.last_push else { return };
    if kind == "off" {
        return;
    }
    // Recent: within one interval of its own, and a week for its retries.
    let days = state.usage_reporting.push_interval_days.filter(|days| *days > 0).unwrap_or(30).saturating_add(7);
    let recent = pushed.utc.is_some_and(|at| !scan.past(at, SignedDuration::from_hours(i64::from(days) * 24)));
    if recent {
        scan.tell(about, Kind::TwoReporters, || {
            let text = &pushed.text;
            Told::new(format!(
                "its transport is '{kind}' and it last reported by itself on {text}, while `reporter` is `{}`",
                Reporter::Collector
            ))
            .with([Evidence::Printed(format!("Last report push: {text}"))])
        });
    }
}

/// Silence is counted from the last good answer. Where none is known, from the first failure.
pub(super) fn unreachable(scan: &mut Scan<'_>, listed: &Listed<'_>) {
    let Listed { watched, known, last_contact } = *listed;
    if !watched.within_reach {
        return;
    }
    let trouble = known.and_then(|known| known.trouble.as_ref());
    let Some(silent) = last_contact.or(trouble.map(|trouble| trouble.since)) else { return };
    if !scan.past(silent, scan.settings.stale_after) {
        return;
    }
    let heard = match last_contact {
        Some(last) => format!("it last answered as it should on {}", day(last)),
        None => format!("it has not answered as it should since {}", day(silent)),
    };
    let told = match trouble {
        Some(trouble) => Told::new(format!("{heard}: {}", trouble.cause))
            .with([Evidence::Event { at: trouble.since, what: "contact lost".to_owned() }]),
        None => Told::new(heard),
    };
    let subject = Subject::Device(watched.name.clone());
    scan.tell_of(Kind::Unreachable, subject, Some(watched), Kind::Unreachable.severity(), told);
}

fn counted(count: usize) -> String {
    if count == 1 { "1 report".to_owned() } else { format!("{count} reports") }
}
