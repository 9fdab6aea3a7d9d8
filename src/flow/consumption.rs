//! What was measured becomes a snapshot: the journal is folded into timelines, surveyed, sealed and written.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, House, handover};
use crate::config::Config;
use crate::domain::fleet::Handover;
use crate::domain::problem::with_causes;
use crate::domain::snapshot::{AllowedTiers, Entitlements, Head, SnapshotId, Survey, Terms, earliest_start};
use crate::domain::timeline::{Reach, Unreadable};
use crate::exchange::seal::Signer;
use crate::exchange::snapshot::{
    Form, Kept, Numbering, Snapshot, SnapshotError, is_index, keep, list as kept, publish as publish_as, snapshots,
};

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
    /// Where it stands on its way to the receiver, if it is for it.
    pub handover: Option<Handover>,
}

/// The longest window: what no report of any device reaches beyond.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 20);

/// Makes a snapshot. Writes nothing but its files: the journal holds what it is made of. Blocks for as long as the
/// rows take to be made. They are never held all at once: while the number is made of them, they are set aside on disk.
pub fn create(house: &House, asked: &Asked) -> Result<Snapped, Error> {
    let folder = asked.out.clone().unwrap_or_else(|| house.snapshot_dir());
    let wanted = Wanted { as_of: asked.as_of, window: asked.window, room: &folder, forms: &[asked.form] };
    let made = surveyed(house, wanted, &mut |snapshot, collector, signer| {
        Ok(vec![keep(&folder, asked.form, snapshot, collector, signer)?])
    })?;
    made.into_iter().next().ok_or_else(|| Error::Internal("a snapshot without a file".to_owned()))
}

/// Makes a snapshot in all the forms that the operator wants, in the folder that engines read, and beside them in the
/// whole forms that the receiver gets. What is there already stays as it is.
pub fn publish(house: &House, as_of: Timestamp) -> Result<Vec<Snapped>, Error> {
    let wanted = &house.config.snapshot;
    let window = SignedDuration::try_from(wanted.window).unwrap_or(LONGEST);
    let beside = snapshots(&wanted.folder);
    let forms: Vec<Form> =
        wanted.formats.iter().chain(wanted.post.iter().flat_map(|post| &post.formats)).copied().collect();
    // Its own disk: the folder may be far away, and others write into it.
    let room = house.snapshot_dir();
    let all = Wanted { as_of: Some(as_of), window, room: &room, forms: &forms };
    surveyed(house, all, &mut |snapshot, collector, signer| {
        let mut kept = Vec::new();
        for form in &wanted.formats {
            kept.push(publish_as(&wanted.folder, *form, snapshot, collector, signer)?);
        }
        for form in wanted.post.iter().flat_map(|post| &post.formats) {
            // That one is published whole.
            if *form != Form::Json || !wanted.formats.contains(form) {
                kept.push(keep(&beside, *form, snapshot, collector, signer)?);
            }
        }
        Ok(kept)
    })
}

/// Writes the files of a snapshot.
type Write<'w> = &'w mut dyn FnMut(&mut Snapshot, &str, &Signer) -> Result<Vec<Kept>, SnapshotError>;

/// What is surveyed, and for what.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    /// Now, if it is not given.
    as_of: Option<Timestamp>,
    window: SignedDuration,
    /// A folder in which there is room for the rows while they are made.
    room: &'w Path,
    forms: &'w [Form],
}

fn surveyed(house: &House, wanted: Wanted<'_>, write: Write<'_>) -> Result<Vec<Snapped>, Error> {
    let _one_at_a_time = house.between.surveying.lock().unwrap_or_else(PoisonError::into_inner);
    let present = house.clock.now();
    let as_of = whole_second(wanted.as_of.unwrap_or(present));
    if as_of > present {
        return Err(Error::Input(format!("{as_of} is yet to come: nothing was used then")));
    }
    if wanted.window <= SignedDuration::ZERO || wanted.window > LONGEST {
        return Err(Error::Input("expected a window of a second at least and twenty years at most".to_owned()));
    }
    let mut snapshot = match pass(house, wanted, as_of)? {
        Ok(snapshot) => snapshot,
        // Runs that turn out to be damaged are made anew.
        Err(unreadable) => {
            tracing::warn!(%unreadable, "the snapshot is begun again");
            let again = pass(house, wanted, as_of)?;
            again.map_err(|again| Error::Exchange(format!("{unreadable}; then {again}")))?
        }
    };

    let collector = &house.config.collector.name;
    let refused = |error: &dyn std::error::Error| Error::Exchange(with_causes(error));
    let signer = Signer::open_or_create(&house.config.exchange.signer, collector, present);
    let signer = signer.map_err(|error| refused(&error))?;
    let kept = write(&mut snapshot, collector, &signer).map_err(|error| refused(&error))?;
    let Snapshot { head, overall, .. } = snapshot;
    let (listed, entitlements) = (overall.lists.sizes(), overall.entitlements);
    let snapped = |kept: Kept| {
        let head = Head { corrects: kept.seal.corrects, ..head.clone() };
        let (listed, entitlements) = (listed.clone(), entitlements.clone());
        Snapped { path: kept.path, was_there: kept.was_there, head, listed, entitlements }
    };
    Ok(kept.into_iter().map(snapped).collect())
}

/// Lets all rows pass by once. What they are made of is let go of before anything is written.
fn pass(house: &House, wanted: Wanted<'_>, as_of: Timestamp) -> Result<Result<Snapshot, Unreadable>, Error> {
    let Wanted { as_of: asked, window, room, forms } = wanted;
    let no_room = |error: std::io::Error| {
        Error::Exchange(format!("cannot write the rows of a snapshot into {}: {error}", room.display()))
    };
    let mut numbering = Numbering::new(room, forms).map_err(no_room)?;
    let window_start = as_of.checked_sub(window).unwrap_or(Timestamp::MIN);
    let terms = terms(&house.config);
    let mut reach = Reach::window(window_start.as_second(), as_of.as_second());
    if let Some(begun) = terms.entitlements.as_deref().and_then(|bought| earliest_start(bought, as_of)) {
        reach = reach.back_to(begun);
    }
    let runs = house.ledger.runs(reach)?;
    // A copy: nobody is to wait with what he has to write until a snapshot is made.
    let now = house.ledger.fleet().clone();
    let past = if asked.is_some() { Some(house.ledger.fleet_at(as_of)?) } else { None };
    let survey = Survey {
        consumption: &runs,
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
    let mut written = Ok(());
    let passed = survey.overall(numbering.maker(), |made| {
        if written.is_ok() {
            written = numbering.add(&made);
        }
    });
    let (head, overall) = match passed {
        Ok(passed) => passed,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    written.and_then(|()| numbering.end(head, overall)).map(Ok).map_err(no_room)
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

/// The snapshots of a folder, the oldest instant first; of those kept and those published where none is given.
pub fn list(house: &House, folder: Option<PathBuf>) -> Result<Vec<SnapshotLine>, Error> {
    let folders = folder
        .map_or_else(|| vec![house.snapshot_dir(), snapshots(&house.config.snapshot.folder)], |folder| vec![folder]);
    let mut found = Vec::new();
    for folder in folders {
        found.extend(kept(&folder).map_err(|error| Error::Exchange(with_causes(&error)))?);
    }
    found.sort_by(|a, b| (a.seal.as_of, &a.seal.file).cmp(&(b.seal.as_of, &b.seal.file)));
    let fleet = house.ledger.fleet();
    let line = |kept: Kept| SnapshotLine {
        handover: fleet.handovers.get(&handover::key(&kept.seal)).filter(|_| !is_index(&kept.path)).cloned(),
        snapshot_id: kept.seal.snapshot_id,
        corrects: kept.seal.corrects,
        as_of: kept.seal.as_of,
        window_start: kept.seal.window_start,
        form: kept.seal.form,
        size: kept.seal.size,
        path: kept.path,
    };
    Ok(found.into_iter().map(line).collect())
}

/// Devices measure in whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
