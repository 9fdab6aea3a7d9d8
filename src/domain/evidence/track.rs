//! One obligation through time: the deadline in force, how it moved, how it ended.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use super::custody::ReportKey;
use super::{Move, Outcome};
use crate::domain::deadline::{Basis, Standing};
use crate::domain::fleet::Retirement;

/// A deadline that is computed anew from times to the second is the same one within this.
const SAME_SECONDS: u64 = 60;

/// What is followed of one instance or server.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub open: Option<Open>,
    /// When the one before `open` was met, at the latest.
    settled: Option<Timestamp>,
}

/// A deadline in force.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub due: Timestamp,
    pub basis: Basis,
    pub reason: String,
    pub since: Timestamp,
    pub moves: Vec<Move>,
    pub reports: BTreeSet<ReportKey>,
}

/// One that is in force no longer.
#[derive(Debug)]
pub(super) struct Closed {
    pub open: Open,
    pub ending: Ending,
}

/// How a deadline ended. `known`: when the journal learned of it.
#[derive(Debug)]
pub(super) enum Ending {
    Met {
        at: Timestamp,
        how: &'static str,
        known: Timestamp,
    },
    Retired {
        at: Timestamp,
        why: String,
    },
    /// It was asked for no longer, before it was past.
    NotRequired {
        at: Timestamp,
        why: String,
    },
    /// It was past when another took its place without an ACK.
    Superseded {
        known: Timestamp,
        why: String,
    },
    /// Nothing came until the end of the period.
    Nothing,
}

impl Ending {
    /// When it ended, where it did.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Ending::Met { at, .. } | Ending::Retired { at, .. } | Ending::NotRequired { at, .. } => Some(*at),
            Ending::Superseded { known, .. } => Some(*known),
            Ending::Nothing => None,
        }
    }

    /// When that was learned.
    pub fn known(&self) -> Option<Timestamp> {
        match self {
            Ending::Met { known, .. } => Some(*known),
            Ending::Retired { .. } | Ending::NotRequired { .. } | Ending::Superseded { .. } | Ending::Nothing => {
                self.at()
            }
        }
    }

    pub fn outcome(&self, due: Timestamp) -> Outcome {
        match self {
            Ending::Met { at, .. } if *at <= due => Outcome::Met,
            Ending::Met { .. } => Outcome::Late,
            Ending::Retired { .. } => Outcome::Retired,
            Ending::NotRequired { .. } => Outcome::NotRequired,
            Ending::Superseded { .. } | Ending::Nothing => Outcome::Missed,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Met { how, .. } => f.write_str(how),
            Ending::Retired { why, .. } => f.write_str(why),
            Ending::NotRequired { why, .. } => write!(f, "no longer asked for: {why}"),
            Ending::Superseded { why, .. } => write!(f, "another deadline took its place when it was past: {why}"),
            Ending::Nothing => f.write_str("nothing came by the end of the period"),
        }
    }
}

impl Track {
    /// Compares how it stands now with the deadline in force; returns the one that ended.
    pub fn look(
        &mut self,
        standing: &Standing<'_>,
        settled: Option<(Timestamp, &'static str)>,
        retired: Option<&Retirement>,
        reports: BTreeSet<ReportKey>,
        at: Timestamp,
    ) -> Option<Closed> {
        let met = settled.filter(|(when, _)| self.settled.is_none_or(|before| *when > before));
        let Some(mut open) = self.open.take() else {
            self.settled = settled.map(|(when, _)| when);
            self.open = opened(standing, reports, at);
            return None;
        };
        let same = |due: Timestamp| due.as_second().abs_diff(open.due.as_second()) <= SAME_SECONDS;
        let ending = match (standing.due, met) {
            (Some(due), _) if same(due) => {
                open.reports.extend(reports);
                self.open = Some(open);
                return None;
            }
            _ if retired.is_some_and(|retired| retired.at <= at) => {
                Ending::Retired { at, why: standing.reason.to_string() }
            }
            (_, Some((when, how))) => Ending::Met { at: when, how, known: at },
            (_, None) if open.due < at => Ending::Superseded { known: at, why: standing.reason.to_string() },
            (None, None) => Ending::NotRequired { at, why: standing.reason.to_string() },
            (Some(due), None) => {
                open.moves.push(Move { at, from: open.due, to: due, reason: standing.reason.to_string() });
                open.reports.extend(reports);
                (open.due, open.basis, open.reason) = (due, standing.basis, standing.reason.to_string());
                self.open = Some(open);
                return None;
            }
        };
        self.settled = settled.map(|(when, _)| when).max(self.settled);
        self.open = opened(standing, reports, at);
        Some(Closed { open, ending })
    }
}

fn opened(standing: &Standing<'_>, reports: BTreeSet<ReportKey>, at: Timestamp) -> Option<Open> {
    let reason = || standing.reason.to_string();
    let due = standing.due?;
    Some(Open { due, basis: standing.basis, reason: reason(), since: at, moves: Vec::new(), reports })
}
