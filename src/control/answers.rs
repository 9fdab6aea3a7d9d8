//! Answers and reports that a person brings, and the queue of those on their way to devices.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{AnswerLine, Answered, Reply, Tell, aside};
use crate::domain::delivery;
use crate::domain::digest::Sha256;
use crate::domain::fleet::{Answer, AnswerKey, Fleet};
use crate::domain::instance::DeviceName;
use crate::domain::pacing::Pacing;
use crate::domain::plan;
use crate::flow::homeward::{self, TakenAs};
use crate::flow::{Error, House, brought, deliver};

/// Files as they travel over the control socket: name and base64 of the bytes.
pub(super) type Files = Vec<(String, String)>;

fn decoded(name: &str, base64: &str) -> Result<Vec<u8>, Error> {
    let bytes = data_encoding::BASE64.decode(base64.as_bytes());
    bytes.map_err(|error| Error::Input(format!("{name}: not base64 on the control socket: {error}")))
}

pub(super) async fn import(house: &Arc<House>, files: Files, deliver: bool, tell: &Tell) -> Result<Answered, Error> {
    let mut accepted = Vec::new();
    let decode = |(name, base64): (String, String)| decoded(&name, &base64).map(|bytes| (name, bytes));
    let files: Vec<_> = files.into_iter().map(decode).collect::<Result<_, _>>()?;
    let mut all = aside(house, move |house| homeward::import(house, files)).await?;
    {
        let (fleet, look) = (house.ledger.fleet(), Look::of(house));
        for taken in &mut all {
            if let (TakenAs::Accepted | TakenAs::Known, Some(key)) = (&taken.result, taken.key()) {
                let answer = fleet.answers.get(&key);
                taken.waits_for = answer.and_then(|answer| look.at(&fleet, &key, answer).waits_for);
                accepted.push(key);
            }
        }
    }
    all.into_iter().for_each(|taken| drop(tell.send(Reply::Taken(taken))));
    if deliver {
        deliver_waiting(house, &accepted, tell).await?;
    }
    Ok(Answered::Nothing)
}

pub(super) async fn import_reports(
    house: &Arc<House>,
    files: Files,
    device: Option<DeviceName>,
    tell: &Tell,
) -> Result<Answered, Error> {
    for (name, base64) in files {
        let (bytes, device) = (decoded(&name, &base64)?, device.clone());
        for brought in aside(house, move |house| brought::import(house, &name, &bytes, device.as_ref())).await? {
            drop(tell.send(Reply::Brought(brought)));
        }
    }
    Ok(Answered::Nothing)
}

pub(super) async fn assign(
    house: &Arc<House>,
    object: Sha256,
    devices: Vec<DeviceName>,
    note: String,
    tell: &Tell,
) -> Result<Vec<AnswerLine>, Error> {
    let keys = aside(house, move |house| homeward::assign(house, object, &devices, &note)).await?;
    deliver_waiting(house, &keys, tell).await?;
    Ok(of_keys(house, &keys))
}

/// Delivers those of `keys` that the plan would deliver now.
async fn deliver_waiting(house: &Arc<House>, keys: &[AnswerKey], tell: &Tell) -> Result<(), Error> {
    let now = house.clock.now();
    let due =
        plan::plan(&house.ledger.fleet(), &house.watched, &house.settings, &house.pacing(), None, None, now).deliver;
    let mut due = due.into_iter().filter(|key| keys.contains(key));
    let mut running = JoinSet::new();
    let mut failed = None;
    loop {
        while running.len() < house.config.poll.concurrency
            && let Some(key) = due.next()
        {
            let house = house.clone();
            running.spawn(async move { deliver::deliver(&house, &key).await });
        }
        match running.join_next().await {
            // The others were not cut off for it: they may be in the middle of an import.
            None => return failed.map_or(Ok(()), Err),
            Some(Ok(Ok(delivered))) => drop(tell.send(Reply::Delivered(delivered))),
            Some(Ok(Err(error))) => failed = failed.or(Some(error)),
            Some(Err(panic)) => {
                failed = failed.or(Some(Error::Internal(format!("a delivery ended abnormally: {panic}"))));
            }
        }
    }
}

/// Every answer, the newest first.
pub(super) fn list(house: &House) -> Vec<AnswerLine> {
    let (fleet, look) = (house.ledger.fleet(), Look::of(house));
    let mut lines: Vec<AnswerLine> = fleet.answers.iter().map(|(key, answer)| look.at(&fleet, key, answer)).collect();
    lines.sort_by(|a, b| (b.answer.received, &a.answer.name).cmp(&(a.answer.received, &b.answer.name)));
    lines
}

/// These, as they stand now.
pub(super) fn of_keys(house: &House, keys: &[AnswerKey]) -> Vec<AnswerLine> {
    let (fleet, look) = (house.ledger.fleet(), Look::of(house));
    keys.iter().filter_map(|key| Some(look.at(&fleet, key, fleet.answers.get(key)?))).collect()
}

/// What an answer's standing rests on beside the fleet.
struct Look<'a> {
    house: &'a House,
    pacing: Pacing,
    now: Timestamp,
}

impl<'a> Look<'a> {
    fn of(house: &'a House) -> Self {
        Look { house, pacing: house.pacing(), now: house.clock.now() }
    }

    fn at(&self, fleet: &Fleet, key: &AnswerKey, answer: &Answer) -> AnswerLine {
        let Look { house, pacing, now } = self;
        let instance = answer.udi.as_ref().and_then(|udi| fleet.resolve(udi));
        let device = instance.and_then(|instance| instance.device.clone());
        let site = instance.map(|instance| instance.site.clone());
        let watched = device.as_ref().and_then(|device| house.watched(device));
        AnswerLine {
            object: key.object,
            site: watched.map(|watched| watched.site.clone()).or(site),
            by_hand: delivery::by_hand(watched, answer, &house.settings),
            next_try: delivery::next_try(fleet, &house.watched, &house.settings, pacing, answer, *now),
            waits_for: delivery::waits_for(fleet, watched, answer, &house.settings, *now),
            device,
            answer: answer.clone(),
        }
    }
}
