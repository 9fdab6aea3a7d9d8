//! Snapshots that are made by themselves: when one is due, and what a run makes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::consumption::{self, Snapped};
use super::{Error, House, handover};
use crate::domain::event::{Fact, ScheduleRan};
use crate::domain::problem::with_causes;
use crate::exchange::snapshot::{list, snapshots};

/// The name under which a run is remembered.
const SNAPSHOT: &str = "snapshot";

/// The run that is owed: the latest one, however many were missed. The first start only notes that it began.
pub fn due(house: &House, now: Timestamp) -> Option<Timestamp> {
    let schedule = house.config.snapshot.schedule.as_ref()?;
    let last = house.ledger.fleet().schedules.get(SNAPSHOT).map(|ran| ran.due);
    schedule.missed(Some(last?), now)
}

/// Has no run been noted yet, so that the schedule begins now?
pub fn begins(house: &House) -> bool {
    house.config.snapshot.schedule.is_some() && !house.ledger.fleet().schedules.contains_key(SNAPSHOT)
}

/// When the next run is due; `None`: there is no schedule.
pub fn next(house: &House, now: Timestamp) -> Option<Timestamp> {
    house.config.snapshot.schedule.as_ref().map(|schedule| schedule.next(now))
}

/// Notes that a run is done.
pub async fn note(house: &House, due: Timestamp, made: u64) -> Result<(), Error> {
    let ran = ScheduleRan { schedule: SNAPSHOT.to_owned(), due, polled: made, failed: 0 };
    house.ledger.append_async(house.clock.now(), vec![Fact::ScheduleRan(ran)], Vec::new()).await?;
    Ok(())
}

/// Makes a snapshot where the operator wants them; the receiver is owed what it gets of it, on record before anybody is
/// told that it is made. Blocks.
pub fn publish(house: &House, as_of: Timestamp) -> Result<Vec<Snapped>, Error> {
    let made = consumption::publish(house, as_of)?;
    handover::owe(house, &made)?;
    Ok(made)
}

/// Makes the snapshot of a run, and the latest earlier ones again: those that say something else by now are corrected.
/// Blocks. What it answers is new; nothing is where nothing changed.
pub fn run(house: &House, due: Timestamp) -> Result<Vec<Snapped>, Error> {
    let wanted = &house.config.snapshot;
    let lag = SignedDuration::try_from(wanted.lag).unwrap_or_default();
    let as_of = due.checked_sub(lag).unwrap_or(due);
    let mut made = publish(house, as_of)?;
    let folder = snapshots(&wanted.folder);
    let kept = list(&folder).map_err(|error| Error::Exchange(with_causes(&error)))?;
    let collector = &house.config.collector.name;
    let earlier: BTreeSet<Timestamp> = kept
        .iter()
        .filter(|kept| kept.seal.collector == *collector && kept.seal.as_of < as_of)
        .filter(|kept| kept.seal.window_start == window_start(house, kept.seal.as_of))
        .map(|kept| kept.seal.as_of)
        .collect();
    for as_of in earlier.into_iter().rev().take(wanted.revise as usize) {
        made.extend(publish(house, as_of)?);
    }
    made.retain(|snapped| !snapped.was_there);
    Ok(made)
}

/// Another window is another snapshot, and no reason to make it again.
fn window_start(house: &House, as_of: Timestamp) -> Timestamp {
    let window = SignedDuration::try_from(house.config.snapshot.window).unwrap_or_default();
    as_of.checked_sub(window).unwrap_or(Timestamp::MIN)
}
