//! What a poll brought is kept: who it is, how it stands, and every report byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::deliver::all_acknowledged;
use super::poll::Polled;
use super::{Error, House};
use crate::config::Device;
use crate::device::{Fetched, Identity};
use crate::domain::delivery;
use crate::domain::digest::Sha256;
use crate::domain::event::{
    AnswerDelivered, DeviceIdentified, Fact, Outcome, ReportCollected, ReportConflict, ReportStates, Source, StateRead,
};
use crate::domain::fleet::{AnswerStatus, Confirmation, Fleet, Instance};
use crate::domain::instance::Udi;
use crate::domain::report::ReportId;
use crate::domain::report::read::{READER_VERSION, RawReport};
use crate::domain::state::{DeviceState, ListedReport, ReportState};

/// By so many seconds a clock's distance from ours must change to be kept.
const CLOCK_NEWS: u64 = 60;

/// No licence's name comes near.
const LONGEST_FEATURE: usize = 200;

/// What a device told in one poll.
pub(super) struct Seen {
    pub(super) identity: Option<Identity>,
    pub(super) state: DeviceState,
    /// Its reports: ids of every list, states where one told them.
    pub(super) listed: BTreeMap<ReportId, Option<ReportState>>,
    /// What it calls the licences of its reports, as far as a list says so.
    pub(super) features: BTreeMap<ReportId, String>,
    /// Reports of licences that it lists as deleted. Telemetry comes and goes as it likes.
    pub(super) deleted: BTreeSet<ReportId>,
    /// So far its clock is ahead of ours, where that is certain.
    pub(super) clock_skew_seconds: Option<i64>,
}

/// One list of ids out of two: whichever tells a state is believed on it.
pub(super) fn merge(listed: Vec<ListedReport>, keys: &[ListedReport]) -> BTreeMap<ReportId, Option<ReportState>> {
    let mut merged = BTreeMap::new();
    for report in listed.iter().chain(keys) {
        let state = merged.entry(report.report_id).or_insert(report.state);
        *state = report.state.or(*state);
    }
    merged
}

/// What lists call the licences of reports.
pub(super) fn features<'a>(listed: impl IntoIterator<Item = &'a ListedReport>) -> BTreeMap<ReportId, String> {
    let called = |report: &ListedReport| report.feature.clone().filter(|feature| feature.len() <= LONGEST_FEATURE);
    listed.into_iter().filter_map(|report| Some((report.report_id, called(report)?))).collect()
}

/// Those of a list that the device deleted and that count licences.
pub(super) fn deleted<'a>(listed: impl IntoIterator<Item = &'a ListedReport>) -> BTreeSet<ReportId> {
    let deleted = listed.into_iter().filter(|report| report.state == Some(ReportState::Deleted));
    deleted.filter(|report| report.feature.as_deref() != Some("TELEMETRY")).map(|report| report.report_id).collect()
}

/// Keeps identity, state and report states, as far as they are news.
pub(super) async fn keep_state(house: &House, device: &Device, seen: &Seen) -> Result<(), Error> {
    let mut facts = Vec::new();
    {
        let fleet = house.ledger.fleet();
        let instance = match &seen.identity {
            Some(identity) => {
                facts.extend(identified(house, &fleet, device, identity, seen.clock_skew_seconds));
                let instance = fleet.resolve(&identity.udi);
                facts.extend(state(instance, &identity.udi, seen));
                instance
            }
            // Nothing tells who it is today: its list is still a list of the one known here.
            None => fleet.of_device(&device.name),
        };
        let udi = seen.identity.as_ref().map(|identity| &identity.udi).or(instance.map(|instance| &instance.udi));
        facts.extend(udi.into_iter().flat_map(|udi| states(instance, udi, &seen.listed)));
        facts.extend(instance.into_iter().flat_map(|instance| found(house, &fleet, instance, device, seen)));
    }
    if facts.is_empty() {
        return Ok(());
    }
    Ok(house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?)
}

/// Answers that somebody carried to the device, by what it shows now: its word on their reports, else, where a person
/// was to bring them and it tells no ids, a last ACK after they came.
fn found(house: &House, fleet: &Fleet, instance: &Instance, device: &Device, seen: &Seen) -> Vec<Fact> {
    let watched = house.watched(&device.name);
    let skew = seen.clock_skew_seconds.or(instance.clock_skew_seconds).unwrap_or(0);
    let acked = last_ack(&seen.state).and_then(|at| at.checked_sub(SignedDuration::from_secs(skew)).ok());
    let mut facts = Vec::new();
    for (key, answer) in fleet.answers_of(instance) {
        let by_word = answer.status == AnswerStatus::Confirmed(Confirmation::ByPerson);
        let outcome = if (by_word || !answer.is_settled()) && all_acknowledged(answer, seen) {
            Outcome::ConfirmedById
        } else if delivery::by_hand(watched, answer, &house.settings)
            && acked.is_some_and(|acked| acked > answer.received)
            && answer.parts.iter().any(|part| part != "authorization")
            && !answer.reports.iter().any(|id| matches!(seen.listed.get(id), Some(Some(_))))
        {
            // Other acknowledgements move that time too: weaker, and shown as such.
            Outcome::ConfirmedByTime
        } else {
            continue;
        };
        let (object, udi, device) = (key.object, key.udi.clone(), device.name.clone());
        facts.push(Fact::AnswerDelivered(AnswerDelivered { object, device, udi, outcome, found: true }));
    }
    facts
}

/// The state of an instance, where it is news.
pub(super) fn state(instance: Option<&Instance>, udi: &Udi, seen: &Seen) -> Option<Fact> {
    let state = DeviceState { rum_ids: lost(instance, seen), ..seen.state.clone() };
    (instance.and_then(|instance| instance.state.as_ref()) != Some(&state))
        .then(|| Fact::StateRead(StateRead { udi: udi.clone(), state: Box::new(state) }))
}

/// Reports that were deleted on the device and never came here. They stay in the state when the device forgets them
/// too. Only those newer than the first one here: others may have been settled before us.
fn lost(instance: Option<&Instance>, seen: &Seen) -> Vec<ListedReport> {
    const MOST: usize = 32;
    let Some(instance) = instance else { return Vec::new() };
    let oldest = |udi| instance.collected.of(udi)?.ranges().first().map(|(first, _)| *first);
    let Some(first) = instance.chassis().filter_map(oldest).min() else { return Vec::new() };
    let known = instance.state.iter().flat_map(|state| &state.rum_ids).map(|listed| listed.report_id);
    let deleted = seen.deleted.iter().copied().filter(|id| id.0 > first);
    let lost: BTreeSet<ReportId> = known.chain(deleted).filter(|id| !instance.has_seen(*id)).collect();
    let listed = |report_id| {
        let state = Some(ReportState::Deleted);
        ListedReport { report_id, state, feature: None, start: None, end: None }
    };
    lost.into_iter().rev().take(MOST).map(listed).collect()
}

fn identified(
    house: &House,
    fleet: &Fleet,
    device: &Device,
    identity: &Identity,
    clock_skew_seconds: Option<i64>,
) -> Option<Fact> {
    let known = fleet.resolve(&identity.udi);
    // An access that cannot tell members says nothing against those known.
    let members = match known.filter(|known| house.is_still(known, device)) {
        Some(known) if identity.members.is_empty() => known.members.clone(),
        _ => identity.members.clone(),
    };
    let software =
        identity.software.clone().or_else(|| known.and_then(|known| known.software.as_deref().map(str::to_owned)));
    // A clock that drifts is news by the minute, and one that was not told is none.
    let known_skew = known.and_then(|known| known.clock_skew_seconds);
    let drifted = clock_skew_seconds
        .filter(|skew| known_skew.is_none_or(|known| known.abs_diff(*skew) > CLOCK_NEWS))
        .or(known_skew);
    let same = known.is_some_and(|known| {
        known.device.as_ref() == Some(&device.name)
            && known.retired.is_none()
            && known.site == device.site
            && known.uuid == identity.uuid
            && known.members == members
            && known.software.as_deref() == software.as_deref()
            && known.hostname == identity.hostname
            && known.clock_skew_seconds == drifted
            && fleet.of_device(&device.name).is_some_and(|of_device| of_device.udi == known.udi)
    });
    (!same).then(|| {
        Fact::DeviceIdentified(DeviceIdentified {
            device: device.name.clone(),
            site: device.site.clone(),
            udi: identity.udi.clone(),
            uuid: identity.uuid.clone(),
            members,
            os: identity.os.to_owned(),
            software,
            hostname: identity.hostname.clone(),
            clock_skew_seconds: drifted,
        })
    })
}

/// The device's word on reports, where it is news. An id that vanished is not mentioned.
pub(super) fn states(
    instance: Option<&Instance>,
    udi: &Udi,
    listed: &BTreeMap<ReportId, Option<ReportState>>,
) -> Vec<Fact> {
    let mut news: BTreeMap<&Udi, Vec<(ReportId, ReportState)>> = BTreeMap::new();
    for (id, state) in listed {
        let Some(state) = *state else { continue };
        let signer = signer(instance, udi, *id);
        let owed = instance.and_then(|instance| instance.owed(signer, *id));
        let acknowledged = instance.is_some_and(|instance| instance.acknowledged.contains(signer, *id));
        let known = if acknowledged { Some(ReportState::Acknowledged) } else { owed.and_then(|owed| owed.state) };
        if (state == ReportState::Acknowledged || owed.is_some()) && known != Some(state) {
            news.entry(signer).or_default().push((*id, state));
        }
    }
    news.into_iter().map(|(udi, states)| Fact::ReportStates(ReportStates { udi: udi.clone(), states })).collect()
}

/// Whose report an id of the device's list is: after a switch-over the list still holds those of
/// the chassis that was active before.
fn signer<'a>(instance: Option<&'a Instance>, active: &'a Udi, id: ReportId) -> &'a Udi {
    let Some(instance) = instance else { return active };
    if instance.collected.contains(active, id) {
        return active;
    }
    let members = instance.members.iter().map(|member| &member.udi).chain([&instance.udi]);
    members.into_iter().find(|udi| instance.collected.contains(udi, id)).unwrap_or(active)
}

/// Reports that the device lists as finished and of which we hold no bytes.
pub(super) fn wanted(house: &House, device: &Device, seen: &Seen) -> BTreeSet<ReportId> {
    let fleet = house.ledger.fleet();
    let instance = match &seen.identity {
        Some(identity) => fleet.resolve(&identity.udi),
        None => fleet.of_device(&device.name),
    };
    let active = seen.identity.as_ref().map(|identity| &identity.udi);
    let held = |id: ReportId| {
        instance.is_some_and(|instance| {
            instance.collected.contains(signer(Some(instance), active.unwrap_or(&instance.udi), id), id)
        })
    };
    let finished = |state: Option<ReportState>| match state {
        None
        | Some(ReportState::Closed | ReportState::Pending | ReportState::Unacknowledged | ReportState::Acknowledged) => {
            true
        }
        Some(ReportState::Open | ReportState::Invalid | ReportState::Deleted) => false,
    };
    seen.listed.iter().filter(|(id, state)| finished(**state) && !held(**id)).map(|(id, _)| *id).collect()
}

/// One append carries so many reports; each report is kept whole or not at all.
pub(super) const REPORTS_AT_ONCE: usize = 1000;
/// And so many of their bytes.
pub(super) const BYTES_AT_ONCE: usize = 4 << 20;

/// Keeps what was fetched: each report with its facts and its bytes.
pub(super) async fn keep_reports(
    house: &House,
    device: &Device,
    seen: &mut Seen,
    mut fetched: Fetched,
    polled: &mut Polled,
) -> Result<(), Error> {
    polled.problems.extend(fetched.problems.iter().cloned());
    if seen.identity.is_none() {
        seen.identity = fetched.reports.last().map(told_by);
        polled.tell(seen);
    }
    let Some(identity) = &mut seen.identity else { return Ok(()) };
    // In the order of time, in which changes of use show.
    fetched.reports.sort_by_key(|report| report.facts.start());
    // RESTCONF knows no members; the newest report of this chassis does.
    if identity.members.is_empty() {
        let newest = fetched.reports.iter().filter(|report| report.facts.udi == identity.udi);
        if let Some(newest) = newest.max_by_key(|report| report.facts.report_id)
            && newest.facts.members.len() > 1
        {
            identity.members = newest.facts.members.clone();
        }
    }
    let seen = &*seen;
    let Some(identity) = &seen.identity else { return Ok(()) };
    let (mut about, mut reports, mut after) = (Vec::new(), Vec::new(), Vec::new());
    {
        let fleet = house.ledger.fleet();
        about.extend(identified(house, &fleet, device, identity, None));
        let known = fleet.resolve(&identity.udi);
        if known.is_none() {
            about.extend(state(known, &identity.udi, seen));
        }
        // Only what was there before we came can have been settled by somebody else.
        let first_contact = known.is_none_or(|known| known.collected.is_empty());
        let ours = |udi: &Udi| {
            *udi == identity.udi
                || identity.members.iter().any(|member| member.udi == *udi)
                || known.is_some_and(|known| known.udi == *udi || known.members.iter().any(|m| m.udi == *udi))
        };
        let last_ack = seen.state.usage_reporting.last_ack.as_ref().and_then(|stamp| stamp.utc);
        let mut taken = BTreeSet::new();
        for report in fetched.reports {
            let (udi, id) = (report.facts.udi.clone(), report.facts.report_id);
            // What a chassis signed for its stack stays the stack's when it leaves, and says so itself.
            if !ours(&udi) && !report.facts.members.iter().any(|member| ours(&member.udi)) {
                polled.problems.push(format!("report {id} is signed by {udi}, not by {}; not kept", identity.udi));
                continue;
            }
            let holder = fleet.resolve(&udi).or(known);
            if holder.is_some_and(|holder| holder.collected.contains(&udi, id)) || !taken.insert((udi.clone(), id)) {
                if let Some(conflict) = conflict(house, holder, &report) {
                    polled.problems.push(format!("report {id} came again with other bytes; both are kept"));
                    reports.push((conflict, report.raw));
                }
                continue;
            }
            let state = seen.listed.get(&id).copied().flatten();
            let before_ack = report.facts.end().zip(last_ack).is_some_and(|(end, ack)| end <= ack);
            let raw = report.raw;
            let collected = Fact::ReportCollected(ReportCollected {
                device: Some(device.name.clone()),
                object: Sha256::of(&raw),
                source: Source::Rest,
                parser: READER_VERSION,
                presumed_acknowledged: first_contact && state.is_none() && before_ack,
                report: report.facts,
                feature: seen.features.get(&id).cloned(),
            });
            reports.push((collected, raw));
        }
        // Those just kept have a state now that had nothing to stand at before.
        let kept: Vec<(ReportId, ReportState)> = taken
            .iter()
            .filter(|(udi, _)| *udi == identity.udi)
            .filter_map(|(_, id)| Some((*id, seen.listed.get(id).copied().flatten()?)))
            .collect();
        if !kept.is_empty() {
            after.push(Fact::ReportStates(ReportStates { udi: identity.udi.clone(), states: kept }));
        }
    }
    append(house, about, Vec::new()).await?;
    let mut rest = reports.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut facts, mut objects, mut bytes) = (Vec::new(), Vec::new(), 0);
        while facts.len() < REPORTS_AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some((fact, raw)) = rest.next()
        {
            bytes += raw.len();
            facts.push(fact);
            objects.push(raw);
        }
        let collected = facts.iter().filter(|fact| matches!(fact, Fact::ReportCollected(_))).count();
        match append(house, facts, objects).await {
            Ok(()) => polled.collected += collected,
            Err(Error::Ledger(error @ crate::ledger::Error::TooLarge { .. })) => {
                polled.problems.push(error.to_string())
            }
            Err(error) => return Err(error),
        }
    }
    append(house, after, Vec::new()).await
}

async fn append(house: &House, facts: Vec<Fact>, objects: Vec<Vec<u8>>) -> Result<(), Error> {
    if facts.is_empty() {
        return Ok(());
    }
    Ok(house.ledger.append_async(house.clock.now(), facts, objects).await?)
}

pub(super) fn conflict(house: &House, known: Option<&Instance>, report: &RawReport) -> Option<Fact> {
    let (udi, id) = (&report.facts.udi, report.facts.report_id);
    let owed = known?.owed(udi, id)?;
    // The same bytes told once are told.
    let told = |object: &Sha256| house.ledger.object(object).is_ok_and(|kept| kept.is_some());
    (owed.payload_sha256 != report.facts.payload_sha256 && !told(&Sha256::of(&report.raw))).then(|| {
        Fact::ReportConflict(ReportConflict {
            udi: udi.clone(),
            report_id: id,
            kept: owed.object,
            differing: Sha256::of(&report.raw),
        })
    })
}

/// The identity that a report tells, where no other access does.
fn told_by(report: &RawReport) -> Identity {
    Identity {
        udi: report.facts.udi.clone(),
        uuid: None,
        members: report.facts.members.clone(),
        os: "ios-xe",
        software: report.facts.software_version.clone(),
        hostname: None,
        clock: None,
    }
}

/// The instant of the last ACK in a state.
pub(super) fn last_ack(state: &DeviceState) -> Option<Timestamp> {
    state.usage_reporting.last_ack.as_ref()?.utc
}
