//! What some rows used together, over time: what a plot shows.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::row::{Entry, Row};

/// A time in which nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub start: Timestamp,
    pub end: Timestamp,
    /// The sum of what reports measure.
    pub measured: u64,
    /// The sum of what only polls saw, beside it.
    pub observed: u64,
    /// Rows of which nothing is known, though they had been seen by then.
    pub unknown: u64,
    /// Rows of which something is.
    pub known: u64,
}

impl Step {
    /// Is nothing known of it at all?
    pub fn is_gap(&self) -> bool {
        self.known == 0
    }

    fn same_as(&self, other: &Step) -> bool {
        let told = |step: &Step| (step.measured, step.observed, step.unknown, step.known);
        told(self) == told(other)
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    measured: i128,
    observed: i128,
    known: i64,
    seen: i64,
}

/// The steps of the rows from one instant to another, in the order of time, without a hole between them. `gone`: from
/// when on nothing more is to be known of a row.
pub fn curve<'e>(
    rows: impl Iterator<Item = &'e Entry>,
    gone: impl Fn(&Row) -> Option<Timestamp>,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Step> {
    let mut turns: BTreeMap<Timestamp, Sums> = BTreeMap::from([(from, Sums::default()), (to, Sums::default())]);
    for Entry { row, detail } in rows {
        let first = detail.runs.first().map(|run| run.start).into_iter().chain(row.first_seen).min();
        let seen = first.unwrap_or(from).clamp(from, to);
        turns.entry(seen).or_default().seen += 1;
        // What was still measured of it was there.
        let gone = gone(row).map(|gone| detail.runs.last().map_or(gone, |last| gone.max(last.end)));
        if let Some(gone) = gone.filter(|gone| *gone < to) {
            turns.entry(gone.max(seen)).or_default().seen -= 1;
        }
        for run in &detail.runs {
            let (start, end) = (run.start.clamp(from, to), run.end.clamp(from, to));
            if start < end {
                let value = i128::from(run.quantity);
                let mut turn = |at, sign: i128, count: i64| {
                    let sums = turns.entry(at).or_default();
                    sums.known += count;
                    let sum = if run.report_id.is_some() { &mut sums.measured } else { &mut sums.observed };
                    *sum += sign * value;
                };
                turn(start, 1, 1);
                turn(end, -1, -1);
            }
        }
    }
    let (mut sums, mut steps) = (Sums::default(), Vec::<Step>::new());
    let mut turns = turns.into_iter().peekable();
    while let Some((start, turn)) = turns.next() {
        sums.measured += turn.measured;
        sums.observed += turn.observed;
        sums.known += turn.known;
        sums.seen += turn.seen;
        let Some((end, _)) = turns.peek() else { break };
        let whole = |sum: i128| u64::try_from(sum).unwrap_or(if sum < 0 { 0 } else { u64::MAX });
        let step = Step {
            start,
            end: *end,
            measured: whole(sums.measured),
            observed: whole(sums.observed),
            unknown: u64::try_from(sums.seen - sums.known).unwrap_or(0),
            known: u64::try_from(sums.known).unwrap_or(0),
        };
        match steps.last_mut() {
            Some(last) if last.same_as(&step) => last.end = step.end,
            Some(_) | None => steps.push(step),
        }
    }
    steps
}
