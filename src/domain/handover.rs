//! Which snapshot the receiver gets next: one at a time, the oldest first, a correction behind what it corrects.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::digest::Sha256;
use super::fleet::{Handover, HandoverStage};

/// Over which the receiver failed so often goes behind the others, so that it keeps none of them.
const PATIENCE: u32 = 5;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    Send(&'a Handover),
    /// Nothing before this instant.
    Wait(Timestamp),
    /// Nothing is owed.
    Rest,
    /// The receiver refused who we are, for this cause: nothing is sent as the same.
    Held(&'a str),
}

/// Decides. `settings` are what the configuration says of the receiver: what was refused under others is owed again.
pub fn next(handovers: &BTreeMap<String, Handover>, settings: Sha256, now: Timestamp) -> Next<'_> {
    let held = handovers.values().find_map(|handover| match &handover.stage {
        HandoverStage::Refused { cause, login: true, settings: then, .. } if *then == settings => Some(cause),
        HandoverStage::Refused { .. } | HandoverStage::Owed { .. } | HandoverStage::Taken { .. } => None,
    });
    if let Some(cause) = held {
        return Next::Held(cause);
    }
    let open = || handovers.values().filter(|handover| is_owed(handover, settings));
    let behind = |handover: &&Handover| {
        let same = |other: &Handover| {
            other.facts.form == handover.facts.form
                && Some(&other.facts.snapshot_id) == handover.facts.corrects.as_ref()
        };
        handover.facts.corrects.is_some() && open().any(same)
    };
    let first = open().filter(|handover| !behind(handover)).min_by_key(|handover| {
        let (_, failures) = tried(handover);
        (failures >= PATIENCE, handover.owed, handover.facts.as_of, handover.facts.key.as_str())
    });
    match first.map(|first| (first, tried(first).0)) {
        None => Next::Rest,
        Some((_, Some(again))) if again > now => Next::Wait(again),
        Some((first, _)) => Next::Send(first),
    }
}

/// Is it still to be handed over to the receiver that the configuration names now?
pub fn is_owed(handover: &Handover, settings: Sha256) -> bool {
    match &handover.stage {
        HandoverStage::Owed { .. } => true,
        HandoverStage::Taken { .. } => false,
        HandoverStage::Refused { settings: then, .. } => *then != settings,
    }
}

/// Not before when it may be tried, and how often the receiver failed over it.
fn tried(handover: &Handover) -> (Option<Timestamp>, u32) {
    match &handover.stage {
        HandoverStage::Owed { again, failures, .. } => (*again, *failures),
        HandoverStage::Taken { .. } | HandoverStage::Refused { .. } => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::SnapshotOwed;
    use crate::domain::snapshot::{Form, SnapshotId};

    const OURS: Sha256 = Sha256([1; 32]);
    const OTHERS: Sha256 = Sha256([2; 32]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Owed since that second, in that stage.
    fn all(handovers: &[(&str, Option<&str>, i64, HandoverStage)]) -> BTreeMap<String, Handover> {
        let one = |(key, corrects, owed, stage): &(&str, Option<&str>, i64, HandoverStage)| {
            let facts = SnapshotOwed {
                key: (*key).to_owned(),
                snapshot_id: SnapshotId((*key).to_owned()),
                corrects: corrects.map(|old| SnapshotId(old.to_owned())),
                as_of: at(0),
                form: Form::Json,
                file: String::new(),
                size: 0,
                sha256: OURS,
            };
            ((*key).to_owned(), Handover { owed: at(*owed), facts, tries: 0, stage: stage.clone() })
        };
        handovers.iter().map(one).collect()
    }

    fn owed(again: Option<i64>, failures: u32) -> HandoverStage {
        HandoverStage::Owed { again: again.map(at), cause: None, failures }
    }

    fn refused(login: bool, settings: Sha256) -> HandoverStage {
        HandoverStage::Refused { at: at(0), cause: "HTTP 4xx".to_owned(), login, settings }
    }

    #[test]
    fn the_oldest_goes_first_and_a_correction_never_before_what_it_corrects() {
        let taken = || HandoverStage::Taken { at: at(1) };
        let (new, none) = (|| owed(None, 0), None);
        for (handovers, expected) in [
            (all(&[]), "rest"),
            (all(&[("a", none, 1, taken())]), "rest"),
            (all(&[("a", none, 2, new()), ("b", none, 1, new())]), "b"),
            // The first rests, and so does the receiver.
            (all(&[("a", none, 1, owed(Some(200), 0)), ("b", none, 2, new())]), "200"),
            (all(&[("a", none, 1, owed(Some(100), 0)), ("b", none, 2, new())]), "a"),
            // One over which it fails again and again keeps no other, but its own correction.
            (all(&[("a", none, 1, owed(Some(200), 5)), ("b", none, 2, new())]), "b"),
            (all(&[("a", none, 1, owed(Some(200), 5)), ("b", Some("a"), 2, new())]), "200"),
            (all(&[("a", none, 1, taken()), ("b", Some("a"), 2, new())]), "b"),
            (all(&[("a", none, 1, refused(false, OURS)), ("b", Some("a"), 2, new())]), "b"),
            // Another word of the configuration, and it is owed again.
            (all(&[("a", none, 1, refused(false, OTHERS)), ("b", none, 2, new())]), "a"),
            (all(&[("a", none, 1, refused(true, OTHERS)), ("b", none, 2, new())]), "a"),
            (all(&[("a", none, 2, refused(true, OURS)), ("b", none, 1, new())]), "held"),
        ] {
            let got = match next(&handovers, OURS, at(100)) {
                Next::Send(handover) => handover.facts.key.clone(),
                Next::Wait(again) => again.as_second().to_string(),
                Next::Rest => "rest".to_owned(),
                Next::Held(_) => "held".to_owned(),
            };
            assert_eq!(got, expected, "{handovers:#?}");
        }
    }
}
