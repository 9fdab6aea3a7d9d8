//! What was measured becomes a snapshot: the journal is folded into timelines, surveyed, sealed and written.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::config::Config;
use crate::domain::problem::with_causes;
use crate::domain::snapshot::{AllowedTiers, Entitlements, Head, Overall, SnapshotId, Survey, Terms, earliest_start};
use crate::domain::timeline::Consumption;
use crate::exchange::seal::Signer;
use crate::exchange::snapshot::{Form, Kept, Numbering, SnapshotError, keep, list as kept, publish as publish_as};

/// Which snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Now, if it is not given.
    pub as_of: Option<Timestamp>,
    pub window: SignedDuration,
    pub form: Form,
    /// The state folder's, if it is not given.
    pub out: Option<PathBuf>,
}

/// The snapshot that was made, or was there already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapped {
    pub path: PathBuf,
    /// It was there already, with the same content.
    pub was_there: bool,
    #[serde(flatten)]
    pub head: Head,
    /// How many stand in each list that has any.
    pub listed: Vec<(String, usize)>,
    pub entitlements: Option<Entitlements>,
}

/// A snapshot of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotLine {
    pub snapshot_id: SnapshotId,
    pub corrects: Option<SnapshotId>,
    pub as_of: Timestamp,
    pub window_start: Timestamp,
    pub form: Form,
    pub size: u64,
    pub path: PathBuf,
}

/// The longest window: what no report of any device reaches beyond.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 20);

/// Makes a snapshot. Writes nothing but its files: the journal holds what it is made of. Blocks for as long as the
/// journal takes to read, and twice for the rows, which are never held all at once.
pub fn create(house: &House, asked: &Asked) -> Result<Snapped, Error> {
    let folder = asked.out.clone().unwrap_or_else(|| house.snapshot_dir());
    let made = surveyed(house, asked.as_of, asked.window, &mut |head, overall, survey, collector, signer| {
        Ok(vec![keep(&folder, asked.form, head, overall, survey, collector, signer)?])
    })?;
    made.into_iter().next().ok_or_else(|| Error::Internal("a snapshot without a file".to_owned()))
}

/// Makes a snapshot in all the forms that the operator wants, in the folder that engines read. What is there already
/// stays as it is.
pub fn publish(house: &House, as_of: Timestamp) -> Result<Vec<Snapped>, Error> {
    let wanted = &house.config.snapshot;
    let window = SignedDuration::try_from(wanted.window).unwrap_or(LONGEST);
    surveyed(house, Some(as_of), window, &mut |head, overall, survey, collector, signer| {
        let write = |form: &Form| publish_as(&wanted.folder, *form, head, overall, survey, collector, signer);
        wanted.formats.iter().map(write).collect()
    })
}

/// Writes the files of a snapshot.
type Write<'w> = &'w mut dyn FnMut(&mut Head, &Overall, &Survey<'_>, &str, &Signer) -> Result<Vec<Kept>, SnapshotError>;

fn surveyed(
    house: &House,
    asked: Option<Timestamp>,
    window: SignedDuration,
    write: Write<'_>,
) -> Result<Vec<Snapped>, Error> {
    let _one_at_a_time = house.between.surveying.lock().unwrap_or_else(PoisonError::into_inner);
    let present = house.clock.now();
    let as_of = whole_second(asked.unwrap_or(present));
    if as_of > present {
        return Err(Error::Input(format!("{as_of} is yet to come: nothing was used then")));
    }
    if window <= SignedDuration::ZERO || window > LONGEST {
        return Err(Error::Input("expected a window of a second at least and twenty years at most".to_owned()));
    }
    let window_start = as_of.checked_sub(window).unwrap_or(Timestamp::MIN);
    let (from, to) = (window_start.as_second(), as_of.as_second());

    let terms = terms(&house.config);
    let mut consumption = Consumption::new(from, to);
    if let Some(begun) = terms.entitlements.as_deref().and_then(|bought| earliest_start(bought, as_of)) {
        consumption = consumption.reaching_back_to(begun);
    }
    house.ledger.events(None, &mut |event| {
        consumption.take(event);
        ControlFlow::Continue(())
    })?;
    // A copy: nobody is to wait with what he has to write until a snapshot is made.
    let now = house.ledger.fleet().clone();
    let past = if asked.is_some() { Some(house.ledger.fleet_at(as_of)?) } else { None };
    let survey = Survey {
        consumption: &consumption,
        then: past.as_ref().unwrap_or(&now),
        now: &now,
        watched: &house.watched,
        settings: &house.settings,
        names: &house.config.licences.names,
        terms: &terms,
        as_of,
        window,
        incomplete_before: house.ledger.kept_from(),
    };
    let mut numbering = Numbering::default();
    let (mut head, overall) = survey.overall(&mut |entry| numbering.add(entry));
    head.snapshot_id = numbering.end(&head, &overall);

    let collector = &house.config.collector.name;
    let refused = |error: &dyn std::error::Error| Error::Exchange(with_causes(error));
    let signer = Signer::open_or_create(&house.config.exchange.signer, collector, present);
    let signer = signer.map_err(|error| refused(&error))?;
    let kept = write(&mut head, &overall, &survey, collector, &signer).map_err(|error| refused(&error))?;
    let (listed, entitlements) = (overall.lists.sizes(), overall.entitlements);
    let snapped = |kept: Kept| {
        let head = Head { corrects: kept.seal.corrects, ..head.clone() };
        let (listed, entitlements) = (listed.clone(), entitlements.clone());
        Snapped { path: kept.path, was_there: kept.was_there, head, listed, entitlements }
    };
    Ok(kept.into_iter().map(snapped).collect())
}

/// What the operator says of how licences may be used.
fn terms(config: &Config) -> Terms {
    let sites = config.sites.iter().filter_map(|(site, place)| Some((site.clone(), place.allowed_tier?)));
    Terms {
        silent_after: config.terms.silent_after(),
        allowed: AllowedTiers {
            elsewhere: config.defaults.allowed_tier,
            sites: sites.collect(),
            accounts: config.terms.allowed_tier.clone(),
        },
        growth: config.terms.growth,
        entitlements: config.licences.entitlements.clone(),
    }
}

/// The snapshots of a folder, the oldest instant first.
pub fn list(house: &House, folder: Option<PathBuf>) -> Result<Vec<SnapshotLine>, Error> {
    let folder = folder.unwrap_or_else(|| house.snapshot_dir());
    let kept = kept(&folder).map_err(|error| Error::Exchange(with_causes(&error)))?;
    let line = |kept: crate::exchange::snapshot::Kept| SnapshotLine {
        snapshot_id: kept.seal.snapshot_id,
        corrects: kept.seal.corrects,
        as_of: kept.seal.as_of,
        window_start: kept.seal.window_start,
        form: kept.seal.form,
        size: kept.seal.size,
        path: kept.path,
    };
    Ok(kept.into_iter().map(line).collect())
}

/// Devices measure in whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
