//! Inward: one device is asked who it is, how it stands and what it has; what is new is kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Fetched, Identity, Session, Span};
use crate::domain::digest::Sha256;
use crate::domain::event::{
    Blame, DeviceIdentified, DeviceWritten, Fact, ReportCollected, ReportConflict, ReportStates, Source, StateRead,
    Write,
};
use crate::domain::fleet::{Fleet, Instance};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::plan;
use crate::domain::report::ReportId;
use crate::domain::report::read::{READER_VERSION, RawReport};
use crate::domain::settings::{Mode, Reporter};
use crate::domain::state::{DeviceState, ListedReport, ReportState};

/// What one poll may do beyond reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Close the running reports first, where mode and the 30-day rule allow it.
    pub close: bool,
    /// Read only; change nothing, here or there.
    pub dry_run: bool,
}

/// How the poll of one device ended: one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polled {
    pub device: DeviceName,
    pub udi: Option<Udi>,
    pub software: Option<String>,
    /// Reports kept now for the first time.
    pub collected: usize,
    /// Reports that the device lists and we do not hold.
    pub missing: usize,
    pub closed: bool,
    /// Why closing was asked for and not done.
    pub not_closed: Option<String>,
    /// Remarks: single reports that could not be read, conflicts.
    pub problems: Vec<String>,
    /// What went wrong, and whose turn it is.
    pub failure: Option<(Blame, String)>,
}

/// Polls one device within its time limit.
pub async fn poll(house: &House, device: &Device, ask: Ask) -> Result<Polled, Error> {
    let mut polled = Polled {
        device: device.name.clone(),
        udi: None,
        software: None,
        collected: 0,
        missing: 0,
        closed: false,
        not_closed: None,
        problems: Vec::new(),
        failure: None,
    };
    if let Some(reason) =
        house.watched(&device.name).and_then(|watched| plan::hold(&house.ledger.fleet(), watched, &house.settings))
    {
        polled.failure = Some((Blame::Refused, reason));
        return Ok(polled);
    }
    let _turn = house.turn(&device.name).await;
    let mut shown = None;
    let limit = house.config.poll.device_timeout;
    let ended = match house.session(device).await {
        Err(error) => Ok(Err(error)),
        Ok(mut session) => {
            let ended = tokio::time::timeout(limit, talk(house, device, ask, &mut session, &mut polled)).await;
            shown = session.shown();
            ended.unwrap_or_else(|_| {
                let address = device.authority().unwrap_or_default();
                let cause = format!("the whole poll took longer than {limit:?}");
                Ok(Err(device::Error::Unreachable { step: "poll", address, cause }))
            })
        }
    }?;
    if let Err(error) = &ended {
        polled.failure = Some((error.blame(), error.to_string()));
    }
    let now = house.clock.now();
    let mut facts = house.contact_facts(device, shown, ended.as_ref().err());
    if ask.dry_run {
        // Even then a refused password is remembered: it must not be tried again.
        facts.retain(|fact| matches!(fact, Fact::CredentialRefused(_)));
    }
    if !facts.is_empty() {
        house.ledger.append_async(now, facts, Vec::new()).await?;
    }
    if !ask.dry_run && (polled.udi.is_some() || ended.is_ok()) {
        house.ledger.note_contacts_async(vec![(device.name.clone(), now)]).await?;
    }
    Ok(polled)
}

/// The dialogue. The outer error is ours (the ledger), the inner one the device's.
async fn talk<S: Session>(
    house: &House,
    device: &Device,
    ask: Ask,
    session: &mut S,
    polled: &mut Polled,
) -> Result<Result<(), device::Error>, Error> {
    macro_rules! device {
        ($asked:expr) => {
            match $asked {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            }
        };
    }
    let (identity, state) = device!(session.state().await);
    let listed = device!(session.list().await);
    let seen = Seen { identity, listed: merge(listed, &state.rum_ids), state };
    note(polled, &seen);
    if polled.udi.is_none() {
        // Nothing tells who it is today; what was told before is shown.
        polled.udi = house.ledger.fleet().of_device(&device.name).map(|instance| instance.udi.clone());
    }
    if seen.identity.is_none() && device.mode < Mode::Collect {
        return Ok(Err(device::Error::Unsupported {
            step: "identify",
            status: 404,
            remedy: "RESTCONF does not tell who this is: configure `restconf` on the device, or allow mode `collect` \
                     so that a report tells it",
        }));
    }
    if ask.dry_run {
        polled.missing = wanted(house, device, &seen).len();
        return Ok(Ok(()));
    }
    keep_state(house, device, &seen).await?;
    if device.mode < Mode::Collect || device.reporter != Reporter::Collector {
        polled.missing = wanted(house, device, &seen).len();
        return Ok(Ok(()));
    }

    let mut seen = seen;
    if ask.close {
        match closing_allowed(house, device) {
            Err(reason) => polled.not_closed = Some(reason),
            Ok(()) => {
                let closed = session.close_reports().await;
                written(house, device, Write::CloseReports, "all running reports".to_owned(), &closed).await?;
                device!(closed);
                polled.closed = true;
                let (identity, state) = device!(session.state().await);
                let listed = device!(session.list().await);
                seen = Seen { identity: identity.or(seen.identity), listed: merge(listed, &state.rum_ids), state };
                keep_state(house, device, &seen).await?;
            }
        }
    }

    let mut missing = wanted(house, device, &seen);
    let noted = house.between.withheld.lock().expect("no panic while it is held").get(&device.name).cloned();
    if missing.is_empty() || (!polled.closed && noted.as_ref().is_some_and(|noted| missing.is_subset(noted))) {
        polled.missing = missing.len();
        return Ok(Ok(()));
    }
    for span in spans(house, device) {
        let fetched = session.fetch(span).await;
        written(house, device, Write::FetchReports, format!("{span:?}"), &fetched).await?;
        keep_reports(house, device, &mut seen, device!(fetched), polled).await?;
        missing = wanted(house, device, &seen);
        if missing.is_empty() {
            break;
        }
    }
    polled.missing = missing.len();
    if !polled.problems.is_empty() && polled.collected == 0 {
        return Ok(Err(device::Error::Misbehaved {
            step: "fetch reports",
            expected: "signed reports of this instance",
            got: polled.problems.join("; "),
        }));
    }
    house.between.withheld.lock().expect("no panic while it is held").insert(device.name.clone(), missing);
    Ok(Ok(()))
}

/// What a device told in one poll.
struct Seen {
    identity: Option<Identity>,
    state: DeviceState,
    /// Its reports: ids of every list, states where one told them.
    listed: BTreeMap<ReportId, Option<ReportState>>,
}

fn note(polled: &mut Polled, seen: &Seen) {
    polled.udi = seen.identity.as_ref().map(|identity| identity.udi.clone());
    polled.software = seen.identity.as_ref().and_then(|identity| identity.software.clone());
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

/// Keeps identity, state and report states, as far as they are news.
async fn keep_state(house: &House, device: &Device, seen: &Seen) -> Result<(), Error> {
    let Some(identity) = &seen.identity else { return Ok(()) };
    let mut facts = Vec::new();
    {
        let fleet = house.ledger.fleet();
        facts.extend(identified(&fleet, device, identity));
        let instance = fleet.resolve(&identity.udi);
        let state = DeviceState { rum_ids: Vec::new(), ..seen.state.clone() };
        if instance.and_then(|instance| instance.state.as_ref()) != Some(&state) {
            facts.push(Fact::StateRead(StateRead { udi: identity.udi.clone(), state: Box::new(state) }));
        }
        facts.extend(states(instance, &identity.udi, &seen.listed));
    }
    if facts.is_empty() {
        return Ok(());
    }
    Ok(house.ledger.append_async(house.clock.now(), facts, Vec::new()).await?)
}

fn identified(fleet: &Fleet, device: &Device, identity: &Identity) -> Option<Fact> {
    let known = fleet.resolve(&identity.udi);
    // An access that cannot tell members says nothing against those known.
    let members = match known {
        Some(known) if identity.members.is_empty() => known.members.clone(),
        _ => identity.members.clone(),
    };
    let software = identity.software.clone().or_else(|| known.and_then(|known| known.software.clone()));
    let same = known.is_some_and(|known| {
        known.device.as_ref() == Some(&device.name)
            && known.site == device.site
            && known.uuid == identity.uuid
            && known.members == members
            && known.software == software
            && known.hostname == identity.hostname
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
        })
    })
}

/// The device's word on reports, where it is news. An id that vanished is not mentioned.
pub(super) fn states(
    instance: Option<&Instance>,
    udi: &Udi,
    listed: &BTreeMap<ReportId, Option<ReportState>>,
) -> Option<Fact> {
    let news: Vec<(ReportId, ReportState)> = listed
        .iter()
        .filter_map(|(id, state)| {
            let state = (*state)?;
            let Some(instance) = instance else { return (state == ReportState::Acknowledged).then_some((*id, state)) };
            let known = if instance.acknowledged.contains(udi, *id) {
                Some(ReportState::Acknowledged)
            } else {
                instance.owed(udi, *id).and_then(|owed| owed.state)
            };
            let matters = state == ReportState::Acknowledged || instance.owed(udi, *id).is_some();
            (matters && known != Some(state)).then_some((*id, state))
        })
        .collect();
    (!news.is_empty()).then(|| Fact::ReportStates(ReportStates { udi: udi.clone(), states: news }))
}

/// Reports that the device lists as finished and of which we hold no bytes.
fn wanted(house: &House, device: &Device, seen: &Seen) -> BTreeSet<ReportId> {
    let fleet = house.ledger.fleet();
    let instance = match &seen.identity {
        Some(identity) => fleet.resolve(&identity.udi),
        None => fleet.of_device(&device.name),
    };
    let held = |id: ReportId| {
        instance.is_some_and(|instance| {
            let udi = seen.identity.as_ref().map_or(&instance.udi, |identity| &identity.udi);
            instance.collected.contains(udi, id)
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

fn closing_allowed(house: &House, device: &Device) -> Result<(), String> {
    let allowed = house
        .watched(&device.name)
        .is_some_and(|watched| plan::may_close(&house.ledger.fleet(), watched, &house.settings, house.clock.now()));
    if allowed {
        return Ok(());
    }
    Err("not closed: the reports of the last close are neither acknowledged nor 30 days old".to_owned())
}

/// What to ask for: everything at first, later the days since the last success and two more;
/// all of it once more if that does not bring what is listed.
fn spans(house: &House, device: &Device) -> Vec<Span> {
    let last = house.ledger.fleet().of_device(&device.name).and_then(|instance| instance.last_collected);
    let Some(last) = last else { return vec![Span::All] };
    let days = house.clock.now().duration_since(last).as_hours() / 24 + 2;
    vec![Span::Days(u32::try_from(days.max(2)).unwrap_or(u32::MAX)), Span::All]
}

/// Records a write to the device, taken or refused.
pub(super) async fn written<T>(
    house: &House,
    device: &Device,
    write: Write,
    detail: String,
    result: &Result<T, device::Error>,
) -> Result<(), Error> {
    let refused = result.as_ref().err().map(ToString::to_string);
    let fact = Fact::DeviceWritten(DeviceWritten { device: device.name.clone(), write, detail, refused });
    Ok(house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?)
}

/// Keeps what was fetched in one piece: all facts and bytes, or nothing.
async fn keep_reports(
    house: &House,
    device: &Device,
    seen: &mut Seen,
    fetched: Fetched,
    polled: &mut Polled,
) -> Result<(), Error> {
    polled.problems.extend(fetched.problems.iter().cloned());
    if seen.identity.is_none() {
        seen.identity = fetched.reports.last().map(told_by);
        note(polled, seen);
    }
    let Some(identity) = &mut seen.identity else { return Ok(()) };
    // RESTCONF knows no members; the newest report of this chassis does.
    if identity.members.is_empty() {
        let newest = fetched.reports.iter().filter(|report| report.facts.udi == identity.udi);
        if let Some(newest) = newest.max_by_key(|report| report.facts.report_id)
            && newest.facts.members.len() > 1
        {
            identity.members = newest.facts.members.clone();
        }
    }
    let identity = &*identity;
    let (mut facts, mut objects) = (Vec::new(), Vec::new());
    {
        let fleet = house.ledger.fleet();
        facts.extend(identified(&fleet, device, identity));
        let known = fleet.resolve(&identity.udi);
        let ours = |udi: &Udi| {
            *udi == identity.udi
                || identity.members.iter().any(|member| member.udi == *udi)
                || known.is_some_and(|known| known.udi == *udi || known.members.iter().any(|m| m.udi == *udi))
        };
        let last_ack = seen.state.usage_reporting.last_ack.as_ref().and_then(|stamp| stamp.utc);
        let mut taken = BTreeSet::new();
        for report in fetched.reports {
            let (udi, id) = (report.facts.udi.clone(), report.facts.report_id);
            if !ours(&udi) {
                polled.problems.push(format!("report {id} is signed by {udi}, not by {}; not kept", identity.udi));
                continue;
            }
            if known.is_some_and(|known| known.collected.contains(&udi, id)) || !taken.insert((udi.clone(), id)) {
                if let Some(conflict) = conflict(known, &report) {
                    polled.problems.push(format!("report {id} came again with other bytes; both are kept"));
                    facts.push(conflict);
                    objects.push(report.raw);
                }
                continue;
            }
            let state = seen.listed.get(&id).copied().flatten();
            let before_ack = report.facts.end().zip(last_ack).is_some_and(|(end, ack)| end <= ack);
            facts.push(Fact::ReportCollected(ReportCollected {
                device: Some(device.name.clone()),
                object: Sha256::of(&report.raw),
                source: Source::Rest,
                parser: READER_VERSION,
                presumed_acknowledged: state.is_none() && before_ack,
                report: report.facts,
            }));
            objects.push(report.raw);
            polled.collected += 1;
        }
        // Those just kept have a state now that had nothing to stand at before.
        let kept: Vec<(ReportId, ReportState)> = taken
            .iter()
            .filter(|(udi, _)| *udi == identity.udi)
            .filter_map(|(_, id)| Some((*id, seen.listed.get(id).copied().flatten()?)))
            .collect();
        if !kept.is_empty() {
            facts.push(Fact::ReportStates(ReportStates { udi: identity.udi.clone(), states: kept }));
        }
        if known.is_none() && seen.state != DeviceState::default() {
            let state = DeviceState { rum_ids: Vec::new(), ..seen.state.clone() };
            facts.push(Fact::StateRead(StateRead { udi: identity.udi.clone(), state: Box::new(state) }));
        }
    }
    if facts.is_empty() {
        return Ok(());
    }
    Ok(house.ledger.append_async(house.clock.now(), facts, objects).await?)
}

fn conflict(known: Option<&Instance>, report: &RawReport) -> Option<Fact> {
    let (udi, id) = (&report.facts.udi, report.facts.report_id);
    let owed = known?.owed(udi, id)?;
    (owed.payload_sha256 != report.facts.payload_sha256).then(|| {
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
    }
}

/// The instant of the last ACK in a state.
pub(super) fn last_ack(state: &DeviceState) -> Option<Timestamp> {
    state.usage_reporting.last_ack.as_ref()?.utc
}
