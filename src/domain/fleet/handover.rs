//! Snapshots on their way to the receiver: what is owed to it, what it took and what it refused.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Fleet, RecordKey};
use crate::domain::digest::Sha256;
use crate::domain::event::{PostOutcome, SnapshotOwed, SnapshotPosted};

/// So many that the receiver has are remembered, so that none of them goes out again: more than any run looks at.
const REMEMBERED: usize = 1000;

/// A snapshot in one form that is for the receiver. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Since when it is owed.
    pub owed: Timestamp,
    pub facts: SnapshotOwed,
    /// How often it was tried.
    pub tries: u32,
    pub stage: HandoverStage,
}

/// Where it stands. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandoverStage {
    /// Not taken yet.
    Owed {
        /// From when on it may be tried again, and why it was not taken; none of them before the first try.
        again: Option<Timestamp>,
        cause: Option<String>,
        /// How often the receiver failed over just this one.
        failures: u32,
    },
    Taken {
        at: Timestamp,
    },
    /// Not tried again until a person asks, or `settings` are others.
    Refused {
        at: Timestamp,
        cause: String,
        login: bool,
        settings: Sha256,
    },
}

impl HandoverStage {
    pub(super) fn new() -> Self {
        HandoverStage::Owed { again: None, cause: None, failures: 0 }
    }
}

impl fmt::Display for HandoverStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandoverStage::Owed { cause: None, .. } => f.write_str("owed"),
            HandoverStage::Owed { cause: Some(cause), again: Some(again), .. } => {
                write!(f, "owed, tried again at {again}: {cause}")
            }
            HandoverStage::Owed { cause: Some(cause), again: None, .. } => write!(f, "owed: {cause}"),
            HandoverStage::Taken { at } => write!(f, "taken at {at}"),
            HandoverStage::Refused { at, cause, .. } => write!(f, "refused at {at}: {cause}"),
        }
    }
}

impl Fleet {
    pub(super) fn posted(&mut self, at: Timestamp, fact: &SnapshotPosted) -> Vec<RecordKey> {
        let Some(handover) = self.handovers.get_mut(&fact.key) else { return Vec::new() };
        handover.tries = handover.tries.saturating_add(1);
        let failures = match &handover.stage {
            HandoverStage::Owed { failures, .. } => *failures,
            HandoverStage::Taken { .. } | HandoverStage::Refused { .. } => 0,
        };
        handover.stage = match &fact.outcome {
            PostOutcome::Taken { .. } => HandoverStage::Taken { at },
            PostOutcome::Failed { cause, again, over_it } => HandoverStage::Owed {
                again: Some(*again),
                cause: Some(cause.clone()),
                failures: failures.saturating_add(u32::from(*over_it)),
            },
            PostOutcome::Refused { cause, login, settings } => {
                HandoverStage::Refused { at, cause: cause.clone(), login: *login, settings: *settings }
            }
        };
        let mut touched = vec![RecordKey::Handover(fact.key.clone())];
        let taken = |handover: &&Handover| matches!(handover.stage, HandoverStage::Taken { .. });
        if self.handovers.values().filter(taken).count() > REMEMBERED {
            let oldest = self.handovers.values().filter(taken).min_by_key(|known| (known.facts.as_of, known.owed));
            if let Some(key) = oldest.map(|oldest| oldest.facts.key.clone()) {
                self.handovers.remove(&key);
                touched.push(RecordKey::Handover(key));
            }
        }
        touched
    }
}
