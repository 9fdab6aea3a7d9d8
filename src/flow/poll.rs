//! Inward: one device is asked who it is, how it stands and what it has; what is new is kept.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keep::{Seen, deleted, features, keep_reports, keep_state, merge, wanted};
use super::pace::refusal;
use super::writing::Writings;
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Complaint, Proven, Reach, Session, Span};
use crate::domain::event::{AccessLearned, Blame, Fact, Learned};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::plan;
use crate::domain::report::ReportId;
use crate::domain::settings::{Mode, Reporter};
use crate::domain::state::{Model, ReportState};

/// What the device answered; its error ends the dialogue, and is no error of ours.
macro_rules! device {
    ($asked:expr) => {
        match $asked {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        }
    };
}

/// How many reports are saved one by one in a poll: each is a file on the device's flash for a moment.
const EACH_AT_ONCE: usize = 24;

/// What one poll may do beyond reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Close the running reports first, where mode and the 30-day rule allow it.
    pub close: bool,
    /// Read only; change nothing, here or there.
    pub dry_run: bool,
    /// A person asks for just this device: no open circuit keeps it from being tried.
    #[serde(default)]
    pub insist: bool,
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
    /// Nothing was sent: the way to its site is broken, and it is not tried before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// So far the device's clock is ahead of ours; negative when it is behind. `None` where that is not certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
}

impl Polled {
    /// Nothing is known yet.
    pub(super) fn of(device: &Device) -> Self {
        Polled {
            device: device.name.clone(),
            udi: None,
            software: None,
            collected: 0,
            missing: 0,
            closed: false,
            not_closed: None,
            problems: Vec::new(),
            failure: None,
            not_before: None,
            clock_skew_seconds: None,
        }
    }

    /// Takes over what the device told of itself.
    pub(super) fn tell(&mut self, seen: &Seen) {
        self.udi = seen.identity.as_ref().map(|identity| identity.udi.clone());
        self.software = seen.identity.as_ref().and_then(|identity| identity.software.clone());
        self.clock_skew_seconds = seen.clock_skew_seconds;
    }
}

/// Polls one device within its time limit.
pub async fn poll(house: &House, device: &Device, ask: Ask) -> Result<Polled, Error> {
    let mut polled = Polled::of(device);
    // Whoever had the turn before may have been refused.
    let _turn = house.turn(&device.name).await;
    let _first = house.first_login(device).await;
    if let Some(reason) = house.hold(device) {
        polled.failure = Some((Blame::Refused, reason));
        house.metrics.not_tried();
        return Ok(polled);
    }
    let _passage = match house.passage(device, ask.insist).await {
        Ok(passage) => passage,
        Err(open) => {
            polled.not_before = Some(open.until);
            polled.failure = Some((Blame::Unreachable, refusal(device, open)));
            house.metrics.not_tried();
            return Ok(polled);
        }
    };
    let begun = Instant::now();
    let mut proven = Proven::default();
    let limit = house.config.poll.device_timeout;
    let ended = match house.session(device).await {
        Err(error) => Ok(Err(error)),
        Ok(mut session) => {
            let ended = tokio::time::timeout(limit, talk(house, device, ask, &mut session, &mut polled)).await;
            proven = session.proven();
            if !ask.dry_run && matches!(&ended, Ok(Ok(_))) {
                learn(house, device, polled.software.clone(), session.learned()).await?;
            }
            session.close().await;
            ended.unwrap_or_else(|_| {
                let address = device.host();
                let cause = format!("the whole poll took longer than {limit:?}");
                Ok(Err(device::Error::Unreachable { step: "poll", address, cause }))
            })
        }
    }?;
    if let Err(error) = &ended {
        polled.failure = Some((error.blame(), error.to_string()));
    }
    house.metrics.polled(ended.as_ref().err().map(device::Error::blame).into(), begun.elapsed());
    house.passed(device, &proven, ended.as_ref().err());
    let now = house.clock.now();
    let mut facts = house.contact_facts(device, proven, ended.as_ref().err());
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
    let seen = device!(look(house, session).await);
    let reach = session.reach();
    house.logged_in(device);
    polled.tell(&seen);
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
        polled.missing = lacking(house, device, &seen, reach).len();
        return Ok(Ok(()));
    }
    keep_state(house, device, &seen).await?;
    if device.mode < Mode::Collect || device.reporter != Reporter::Collector {
        if ask.close {
            let (mode, reporter) = (device.mode, device.reporter);
            polled.not_closed = Some(format!("not closed: mode is {mode}, and who reports is {reporter}"));
        }
        polled.missing = lacking(house, device, &seen, reach).len();
        return Ok(Ok(()));
    }

    let mut writings = Writings::of(house, device);
    Box::pin(collect(house, device, ask.close, session, seen, polled, &mut writings)).await
}

/// What is not held yet is fetched and kept; the running reports are closed first where that is asked for and allowed.
pub(super) async fn collect<S: Session>(
    house: &House,
    device: &Device,
    close: bool,
    session: &mut S,
    mut seen: Seen,
    polled: &mut Polled,
    writings: &mut Writings<'_>,
) -> Result<Result<(), device::Error>, Error> {
    let reach = session.reach();
    if reach.fetches_each {
        // One by one, which ends nothing.
        let each: Vec<ReportId> = lacking(house, device, &seen, reach).into_iter().rev().take(EACH_AT_ONCE).collect();
        if !withheld(house, device, &each) {
            for id in each {
                let fetched = session.fetch(&Span::One(id), writings).await;
                match writings.settle(fetched)? {
                    Ok(fetched) => keep_reports(house, device, &mut seen, fetched, polled).await?,
                    // This software saves no single report: they come with the next closing.
                    Err(device::Error::CommandRefused { complaint: Complaint::Unknown, .. }) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
    }
    let first = house.ledger.fleet().of_device(&device.name).is_none_or(|known| known.collected.is_empty());
    if close {
        match closing_allowed(house, device, &seen, reach) {
            Err(reason) => polled.not_closed = Some(reason),
            Ok(()) => {
                if reach.fetching_closes {
                    let span = if first { Span::All } else { Span::Unreported };
                    let fetched = session.fetch(&span, writings).await;
                    polled.closed = writings.closed;
                    let fetched = device!(writings.settle(fetched)?);
                    keep_reports(house, device, &mut seen, fetched, polled).await?;
                } else {
                    let closed = session.close_reports(writings).await;
                    device!(writings.settle(closed)?);
                    polled.closed = true;
                }
                let after = device!(look(house, session).await);
                seen = Seen { identity: after.identity.or(seen.identity), ..after };
                keep_state(house, device, &seen).await?;
            }
        }
    }

    let mut missing = lacking(house, device, &seen, reach);
    let spans = if reach.fetching_closes { Vec::new() } else { spans(house, device) };
    if missing.is_empty() || (!polled.closed && withheld(house, device, &missing)) {
        polled.missing = missing.len();
        return Ok(Ok(()));
    }
    for span in spans {
        let fetched = session.fetch(&span, writings).await;
        let fetched = device!(writings.settle(fetched)?);
        keep_reports(house, device, &mut seen, fetched, polled).await?;
        missing = lacking(house, device, &seen, reach);
        if missing.is_empty() {
            break;
        }
    }
    polled.missing = missing.len();
    house.between.withheld.lock().expect("no panic while it is held").insert(device.name.clone(), missing);
    if !polled.problems.is_empty() && polled.collected == 0 {
        return Ok(Err(device::Error::Misbehaved {
            step: "fetch reports",
            expected: "signed reports of this instance",
            got: polled.problems.join("; "),
        }));
    }
    Ok(Ok(()))
}

/// State and list in one look. The licensing service of IOS XE exists only under Smart Licensing Using
/// Policy, so an answer of it proves the model, whatever an older image's RESTCONF says.
pub(super) async fn look<S: Session>(house: &House, session: &mut S) -> Result<Seen, device::Error> {
    let asked = house.clock.now();
    let (identity, mut state) = session.state().await?;
    let clock = identity.as_ref().and_then(|identity| identity.clock.as_ref()?.utc);
    let clock_skew_seconds = clock.map(|clock| skew(clock, asked, house.clock.now()));
    let listed = session.list().await?;
    if !session.reach().by_file {
        state.model = Model::Slp;
    }
    let features = features(listed.iter().chain(&state.rum_ids));
    let deleted = deleted(listed.iter().chain(&state.rum_ids));
    Ok(Seen { identity, listed: merge(listed, &state.rum_ids), features, deleted, state, clock_skew_seconds })
}

/// How far a clock that was read at some instant from `from` to `to` is ahead, at least.
fn skew(clock: Timestamp, from: Timestamp, to: Timestamp) -> i64 {
    clock.duration_since(clock.clamp(from, to.max(from))).as_secs()
}

/// What is still to be fetched. Where fetching costs a file on the device, what is acknowledged already owes nobody
/// anything.
fn lacking(house: &House, device: &Device, seen: &Seen, reach: Reach) -> BTreeSet<ReportId> {
    let acknowledged = |id: &ReportId| seen.listed.get(id) == Some(&Some(ReportState::Acknowledged));
    wanted(house, device, seen).into_iter().filter(|id| !reach.by_file || !acknowledged(id)).collect()
}

/// Were all of these asked for before, and not handed out?
fn withheld<'a>(house: &House, device: &Device, ids: impl IntoIterator<Item = &'a ReportId>) -> bool {
    let withheld = house.between.withheld.lock().expect("no panic while it is held");
    let Some(noted) = withheld.get(&device.name) else { return false };
    ids.into_iter().all(|id| noted.contains(id))
}

/// Remembers what worked, where that is news.
pub(super) async fn learn(
    house: &House,
    device: &Device,
    software: Option<String>,
    learned: Learned,
) -> Result<(), Error> {
    let fact = {
        let fleet = house.ledger.fleet();
        let known = fleet.devices.get(&device.name);
        let before = known.map(|known| known.learned.clone()).unwrap_or_default();
        let software = software
            .or_else(|| fleet.of_device(&device.name).and_then(|known| known.software.as_deref().map(str::to_owned)));
        if before == learned
            && (learned == Learned::default() || known.is_some_and(|k| k.learned_on.as_deref() == software.as_deref()))
        {
            return Ok(());
        }
        Fact::AccessLearned(AccessLearned { device: device.name.clone(), software, learned })
    };
    Ok(house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?)
}

/// May the reports be closed, by the rule and by what the device lists just now? Something listed
/// and not collected is a close that worked and whose fetch did not: it is fetched first.
fn closing_allowed(house: &House, device: &Device, seen: &Seen, reach: Reach) -> Result<(), String> {
    let (allowed, closed_before) = {
        let fleet = house.ledger.fleet();
        let watched = house.watched(&device.name);
        let allowed =
            watched.is_some_and(|watched| plan::may_close(&fleet, watched, &house.settings, house.clock.now()));
        (allowed, fleet.devices.get(&device.name).is_some_and(|known| known.last_close.is_some()))
    };
    match (allowed, lacking(house, device, seen, reach).len()) {
        (true, 0) => Ok(()),
        // Saving again is the only way to what a save before did not bring home.
        (true, _) if reach.fetching_closes => Ok(()),
        (true, _) if !closed_before => Ok(()),
        (true, missing) => Err(format!("not closed: {missing} closed reports have to be collected first")),
        (false, _) => {
            Err("not closed: the reports of the last close are neither acknowledged nor 30 days old".to_owned())
        }
    }
}

/// What to ask for: everything at first, later the days since the last success and two more;
/// all of it once more if that does not bring what is listed.
fn spans(house: &House, device: &Device) -> Vec<Span> {
    let last = house.ledger.fleet().of_device(&device.name).and_then(|instance| instance.last_collected);
    let Some(last) = last else { return vec![Span::All] };
    let days = house.clock.now().duration_since(last).as_hours() / 24 + 2;
    vec![Span::Days(u32::try_from(days.max(2)).unwrap_or(u32::MAX)), Span::All]
}
