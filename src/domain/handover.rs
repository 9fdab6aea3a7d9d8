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
