//! The life of a fleet by a person's word: what is retired or replaced, On-Prem's own duty, silences.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answered, require_known};
use crate::domain::event::{Covers, Fact};
use crate::domain::fleet::{Fleet, Silence};
use crate::domain::instance::Udi;
use crate::domain::silence::{self, Phase};
use crate::domain::status::{self, Row};
use crate::domain::{on_prem, retirement};
use crate::flow::{Error, House};

/// One silence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilenceLine {
    pub id: String,
    pub phase: Phase,
    #[serde(flatten)]
    pub silence: Silence,
}

pub(super) async fn retire(house: &Arc<House>, whom: &str, note: String) -> Result<Answered, Error> {
    let retired = retirement::retire(&house.ledger.fleet(), &house.watched, whom, note).map_err(input)?;
    let udi = retired.udi.clone();
    append(house, Fact::DeviceRetired(retired)).await?;
    Ok(Answered::Rows(rows_of(house, udi.iter())))
}

pub(super) async fn replace(house: &Arc<House>, old: &str, new: &str, note: Option<String>) -> Result<Answered, Error> {
    let replaced = retirement::replace(&house.ledger.fleet(), &house.watched, old, new, note).map_err(input)?;
    let both = [replaced.old.clone(), replaced.new.clone()];
    append(house, Fact::DeviceReplaced(replaced)).await?;
    Ok(Answered::Rows(rows_of(house, both.iter())))
}

/// The rows of these instances, as the register shows them now.
fn rows_of<'a>(house: &House, udis: impl Iterator<Item = &'a Udi>) -> Vec<Row> {
    let (fleet, now) = (house.ledger.fleet(), house.clock.now());
    let instances = udis.filter_map(|udi| fleet.resolve(udi));
    let row = |instance| {
        let device = house.watched.iter().find(|watched| fleet.of_device(&watched.name) == Some(instance));
        status::row(&fleet, &status::Open::of(&fleet, now), Some(instance), device, &house.settings, now, now)
    };
    instances.map(row).collect()
}

pub(super) fn on_prem(house: &House) -> Answered {
    let now = house.clock.now();
    let fleet = house.ledger.fleet();
    Answered::Rows(fleet.on_prem.iter().map(|(name, server)| status::on_prem(name, server, now)).collect())
}

pub(super) async fn synced(
    house: &Arc<House>,
    name: &str,
    at: Option<Timestamp>,
    note: Option<String>,
) -> Result<Answered, Error> {
    let now = house.clock.now();
    let synced = on_prem::synced(name, at.unwrap_or(now), note, now).map_err(input)?;
    append(house, Fact::OnPremSynced(synced)).await?;
    Ok(on_prem(house))
}

pub(super) fn silences(house: &House, all: bool) -> Answered {
    let now = house.clock.now();
    let mut lines = lines(&house.ledger.fleet(), now);
    lines.retain(|line| all || line.phase != Phase::Over);
    Answered::Silences(lines)
}

fn lines(fleet: &Fleet, now: Timestamp) -> Vec<SilenceLine> {
    let line = |(id, silence): (&String, &Silence)| SilenceLine {
        id: id.clone(),
        phase: silence.phase(now),
        silence: silence.clone(),
    };
    let mut lines: Vec<SilenceLine> = fleet.silences.iter().map(line).collect();
    lines.sort_by_key(|line| line.silence.until);
    lines
}

pub(super) async fn silence(
    house: &Arc<House>,
    covers: Covers,
    from: Option<Timestamp>,
    until: Timestamp,
    note: String,
) -> Result<Answered, Error> {
    // A slip in a name would silence nothing, and nobody would know.
    require_known(house, covers.site.as_ref())?;
    let unlisted = |name| house.device(name).is_none() && !house.ledger.fleet().devices.contains_key(name);
    if let Some(name) = covers.device.as_ref().filter(|name| unlisted(name)) {
        return Err(Error::Input(format!("no device '{name}' in the inventory, and nothing is known of one")));
    }
    let now = house.clock.now();
    let set = silence::set(covers, from.unwrap_or(now), until, note, now).map_err(input)?;
    let id = set.id.clone();
    append(house, Fact::SilenceSet(set)).await?;
    let mut lines = lines(&house.ledger.fleet(), now);
    lines.retain(|line| line.id == id);
    Ok(Answered::Silences(lines))
}

pub(super) async fn end_silence(house: &Arc<House>, id: &str) -> Result<Answered, Error> {
    let ended = silence::end(&house.ledger.fleet(), id);
    let ended = ended.ok_or_else(|| Error::Input(format!("no silence '{id}'; see `silence list`")))?;
    append(house, Fact::SilenceEnded(ended)).await?;
    Ok(silences(house, false))
}

async fn append(house: &Arc<House>, fact: Fact) -> Result<(), Error> {
    Ok(house.ledger.append_async(house.clock.now(), vec![fact], Vec::new()).await?)
}

/// What the asker got wrong.
fn input(error: impl ToString) -> Error {
    Error::Input(error.to_string())
}
