//! Snapshots for the receiver: what it is owed is on record, each try is, and what it took is never sent again.
//!
//! The bytes are those of the published file, which never changes. One that dies between a 2xx and its record sends the
//! same bytes once more under the same key, by which the receiver knows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::consumption::Snapped;
use super::{Error, House};
use crate::config::Post;
use crate::domain::event::{Fact, PostOutcome, SnapshotOwed, SnapshotPosted};
use crate::domain::fleet::{Handover, HandoverStage};
use crate::domain::handover::{Next, next};
use crate::domain::pacing::Setback;
use crate::domain::problem::with_causes;
use crate::domain::snapshot::Form;
use crate::exchange::snapshot::{Kept, Seal, SnapshotError, content, is_index, list, snapshots};
use crate::metrics::Posted;
use crate::receiver;
use crate::schedule;

/// Half of what is waited after the first failure; doubled by each.
const REST: SignedDuration = SignedDuration::from_secs(15);
/// But never longer than this, unless the receiver says so.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(1);

/// By which the receiver knows what it had before.
pub(super) fn key(seal: &Seal) -> String {
    match seal.form {
        Form::Json => seal.snapshot_id.to_string(),
        form => format!("{}-{form}", seal.snapshot_id),
    }
}

/// Puts on record that the receiver is owed these snapshots, those that are on record already left as they are. Blocks.
pub(super) fn owe(house: &House, made: &[Snapped]) -> Result<(), Error> {
    let ids: Vec<_> = made.iter().map(|snapped| &snapped.head.snapshot_id).collect();
    let mut facts = wanted(house, |kept| ids.contains(&&kept.seal.snapshot_id))?;
    facts.retain(|owed| !house.ledger.fleet().handovers.contains_key(&owed.key));
    append(house, facts)
}

fn append(house: &House, owed: Vec<SnapshotOwed>) -> Result<(), Error> {
    let facts = owed.into_iter().map(|owed| Fact::SnapshotOwed(Box::new(owed))).collect();
    Ok(house.ledger.append(house.clock.now(), facts, Vec::new())?)
}

/// The published files that the receiver gets, of those that are asked for.
fn wanted(house: &House, asked: impl Fn(&Kept) -> bool) -> Result<Vec<SnapshotOwed>, Error> {
    let snapshot = &house.config.snapshot;
    let Some(post) = &snapshot.post else { return Ok(Vec::new()) };
    let collector = &house.config.collector.name;
    let kept = list(&snapshots(&snapshot.folder)).map_err(|error| Error::Exchange(with_causes(&error)))?;
    let whole = |kept: &Kept| {
        // Several collectors may share the folder.
        post.formats.contains(&kept.seal.form) && kept.seal.collector == *collector && !is_index(&kept.path)
    };
    let owed = |kept: Kept| SnapshotOwed {
        key: key(&kept.seal),
        snapshot_id: kept.seal.snapshot_id,
        corrects: kept.seal.corrects,
        as_of: kept.seal.as_of,
        form: kept.seal.form,
        file: kept.seal.file,
        size: kept.seal.size,
        sha256: kept.seal.sha256,
    };
    Ok(kept.into_iter().filter(|kept| whole(kept) && asked(kept)).map(owed).collect())
}

/// A person asks: the snapshot of that number (or its first digits) is owed once more, though it was refused or taken;
/// without one everything that was refused or waits. Blocks; nothing is sent yet.
pub fn ask(house: &House, snapshot: Option<&str>) -> Result<(), Error> {
    if house.config.snapshot.post.is_none() {
        return Err(Error::Input("no receiver: the configuration has no [snapshot.post]".to_owned()));
    }
    let Some(id) = snapshot else {
        let open = |handover: &&Handover| !matches!(handover.stage, HandoverStage::Taken { .. });
        let fleet = house.ledger.fleet();
        let again = fleet.handovers.values().filter(open).map(|handover| handover.facts.clone()).collect();
        drop(fleet);
        return append(house, again);
    };
    let found = wanted(house, |kept| !id.is_empty() && kept.seal.snapshot_id.0.starts_with(id))?;
    let mut numbers: Vec<_> = found.iter().map(|owed| &owed.snapshot_id).collect();
    numbers.dedup();
    match numbers.as_slice() {
        [_] => append(house, found),
        [] => Err(Error::Input(format!(
            "no snapshot '{id}' in {} that has a form which the receiver gets; `snapshot publish` makes one",
            snapshots(&house.config.snapshot.folder).display()
        ))),
        [..] => Err(Error::Input(format!("more than one snapshot begins with '{id}'; write more of its number"))),
    }
}

/// What became of one snapshot in a pass, and what the receiver has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverLine {
    pub key: String,
    #[serde(flatten)]
    pub handover: Handover,
}

/// What the receiver has not, and of what it has the keys named; the oldest first.
pub fn lines(house: &House, taken: &[String]) -> Vec<HandoverLine> {
    let fleet = house.ledger.fleet();
    let shown = |(key, handover): &(&String, &Handover)| {
        !matches!(handover.stage, HandoverStage::Taken { .. }) || taken.contains(key)
    };
    let line = |(key, handover): (&String, &Handover)| HandoverLine { key: key.clone(), handover: handover.clone() };
    let mut lines: Vec<HandoverLine> = fleet.handovers.iter().filter(shown).map(line).collect();
    lines.sort_by_key(|line| (line.handover.owed, line.handover.facts.as_of));
    lines
}

/// Is there something to be sent now, or from when on?
pub fn due(house: &House, now: Timestamp) -> Option<Timestamp> {
    let post = house.config.snapshot.post.as_ref()?;
    match next(&house.ledger.fleet().handovers, post.digest(), now) {
        Next::Send(_) => Some(now),
        Next::Wait(again) => Some(again),
        Next::Rest | Next::Held(_) => None,
    }
}

/// Sends what is owed, one after the other, until nothing is or the receiver wants a rest. The keys of what it took.
pub async fn pass(house: &House) -> Result<Vec<String>, Error> {
    let Some(post) = &house.config.snapshot.post else { return Ok(Vec::new()) };
    let _one_at_a_time = house.between.handing_over.lock().await;
    let mut taken = Vec::new();
    loop {
        let now = house.clock.now();
        let handover = match next(&house.ledger.fleet().handovers, post.digest(), now) {
            Next::Send(handover) => handover.clone(),
            Next::Wait(_) | Next::Rest | Next::Held(_) => return Ok(taken),
        };
        let outcome = attempt(house, post, &handover).await;
        let (key, goes_on) = (handover.facts.key, matches!(outcome, PostOutcome::Taken { .. }));
        let fact = SnapshotPosted { key: key.clone(), outcome };
        house.ledger.append_async(house.clock.now(), vec![Fact::SnapshotPosted(fact)], Vec::new()).await?;
        if goes_on {
            taken.push(key);
        }
    }
}

async fn attempt(house: &House, post: &Post, handover: &Handover) -> PostOutcome {
    let (key, as_of, place) = (&handover.facts.key, handover.facts.as_of, receiver::place(post));
    let error = match sent(house, post, &handover.facts).await {
        Ok(status) => {
            house.metrics.posted(Posted::Taken);
            tracing::info!(snapshot = %key, %as_of, %place, status, "snapshot handed over");
            return PostOutcome::Taken { status };
        }
        Err(error) => error,
    };
    let (outcome, remedy) = (failure(house, post, handover, &error), error.remedy());
    match &outcome {
        PostOutcome::Refused { cause, .. } => {
            house.metrics.posted(Posted::Refused);
            tracing::error!(snapshot = %key, %as_of, cause, remedy, "snapshot refused; it is not sent again by itself");
        }
        PostOutcome::Failed { cause, again, .. } => {
            house.metrics.posted(Posted::Failed);
            tracing::warn!(snapshot = %key, %as_of, cause, remedy, %again, "snapshot not handed over yet");
        }
        PostOutcome::Taken { .. } => {}
    }
    outcome
}

/// Sends the published file, if it still is what it was: the same key never carries other bytes.
async fn sent(house: &House, post: &Post, owed: &SnapshotOwed) -> Result<u16, receiver::Error> {
    let path = snapshots(&house.config.snapshot.folder).join(&owed.file);
    let (own, size, sha256) = (path.clone(), owed.size, owed.sha256);
    let checked = tokio::task::spawn_blocking(move || content(&own, size, sha256)).await;
    match checked {
        Ok(Ok(())) => receiver::send(post, owed, &path, house.clock.now()).await,
        Ok(Err(error @ SnapshotError::Content { .. })) => Err(receiver::Error::Changed(error.to_string())),
        // The folder may be one that is mounted again by then.
        Ok(Err(error)) => Err(receiver::Error::Ours(with_causes(&error))),
        Err(panic) => Err(receiver::Error::Ours(format!("ended abnormally: {panic}"))),
    }
}

/// What a try that failed means for the next one.
fn failure(house: &House, post: &Post, handover: &Handover, error: &receiver::Error) -> PostOutcome {
    use receiver::Error;
    let cause = error.to_string();
    let failed = |after: &Option<Timestamp>, over_it| {
        let now = house.clock.now();
        let name = format!("{} {} {}", house.config.collector.name, handover.facts.key, handover.tries);
        let jitter = schedule::offset(&name, Duration::from_secs(1)).as_secs_f64();
        let setback = Setback { failures: handover.tries.saturating_add(1), last: now };
        let longest = now.checked_add(LONGEST_REST).unwrap_or(Timestamp::MAX);
        let again = setback.next_try(REST, jitter).min(longest).max(after.unwrap_or(now));
        PostOutcome::Failed { cause: cause.clone(), again, over_it }
    };
    let refused = |login| PostOutcome::Refused { cause: cause.clone(), login, settings: post.digest() };
    match error {
        Error::Unreachable { .. } | Error::TooSlow { .. } | Error::Untrusted { .. } => failed(&None, false),
        Error::Secret(_) | Error::Ours(_) => failed(&None, false),
        Error::Busy { after, .. } => failed(after, false),
        Error::Failed { after, .. } => failed(after, true),
        Error::LoginRefused { .. } => refused(true),
        Error::Refused { .. } | Error::Changed(_) => refused(false),
    }
}
