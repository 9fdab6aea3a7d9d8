//! Inward: one device is asked who it is, how it stands and what it has; what is new is kept.

use serde::{Deserialize, Serialize};

use super::keep::{Seen, keep_reports, keep_state, merge, wanted};
use super::writing::Writing;
use super::{Error, House};
use crate::config::Device;
use crate::device::{self, Session, Span};
use crate::domain::event::{Blame, Fact, Write};
use crate::domain::instance::{DeviceName, Udi};
use crate::domain::plan;
use crate::domain::settings::{Mode, Reporter};
use crate::domain::state::Model;

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

impl Polled {
    /// Takes over what the device told of itself.
    pub(super) fn tell(&mut self, seen: &Seen) {
        self.udi = seen.identity.as_ref().map(|identity| identity.udi.clone());
        self.software = seen.identity.as_ref().and_then(|identity| identity.software.clone());
    }
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
    // Whoever had the turn before may have been refused.
    let _turn = house.turn(&device.name).await;
    let _first = house.first_login(device).await;
    if let Some(reason) = house.hold(device) {
        polled.failure = Some((Blame::Refused, reason));
        return Ok(polled);
    }
    let mut proven = None;
    let limit = house.config.poll.device_timeout;
    let ended = match house.session(device).await {
        Err(error) => Ok(Err(error)),
        Ok(mut session) => {
            let ended = tokio::time::timeout(limit, talk(house, device, ask, &mut session, &mut polled)).await;
            proven = session.proven();
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
    macro_rules! device {
        ($asked:expr) => {
            match $asked {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(error)),
            }
        };
    }
    let mut seen = device!(look(session).await);
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
        polled.missing = wanted(house, device, &seen).len();
        return Ok(Ok(()));
    }
    keep_state(house, device, &seen).await?;
    if device.mode < Mode::Collect || device.reporter != Reporter::Collector {
        if ask.close {
            let (mode, reporter) = (device.mode, device.reporter);
            polled.not_closed = Some(format!("not closed: mode is {mode}, and who reports is {reporter}"));
        }
        polled.missing = wanted(house, device, &seen).len();
        return Ok(Ok(()));
    }

    if ask.close {
        match closing_allowed(house, device, &seen) {
            Err(reason) => polled.not_closed = Some(reason),
            Ok(()) => {
                let closing = Writing::begin(house, device, Write::CloseReports, "all running reports").await?;
                device!(closing.end(session.close_reports().await).await?);
                polled.closed = true;
                let after = device!(look(session).await);
                seen = Seen { identity: after.identity.or(seen.identity), ..after };
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
        let fetching = Writing::begin(house, device, Write::FetchReports, &format!("{span:?}")).await?;
        let fetched = device!(fetching.end(session.fetch(span).await).await?);
        keep_reports(house, device, &mut seen, fetched, polled).await?;
        missing = wanted(house, device, &seen);
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

/// State and list in one look. The licensing service exists only under Smart Licensing Using
/// Policy, so an answer of it proves the model, whatever an older image's RESTCONF says.
pub(super) async fn look<S: Session>(session: &mut S) -> Result<Seen, device::Error> {
    let (identity, mut state) = session.state().await?;
    let listed = session.list().await?;
    state.model = Model::Slp;
    Ok(Seen { identity, listed: merge(listed, &state.rum_ids), state })
}

/// May the reports be closed, by the rule and by what the device lists just now? Something listed
/// and not collected is a close that worked and whose fetch did not: it is fetched first.
fn closing_allowed(house: &House, device: &Device, seen: &Seen) -> Result<(), String> {
    let (allowed, closed_before) = {
        let fleet = house.ledger.fleet();
        let watched = house.watched(&device.name);
        let allowed =
            watched.is_some_and(|watched| plan::may_close(&fleet, watched, &house.settings, house.clock.now()));
        (allowed, fleet.devices.get(&device.name).is_some_and(|known| known.last_close.is_some()))
    };
    match (allowed, wanted(house, device, seen).len()) {
        (true, 0) => Ok(()),
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
