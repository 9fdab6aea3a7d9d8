//! The sum of many rows over time.
//!
//! Two sums go side by side. `measured` adds up what reports measure at each instant: a lower bound where one is
//! missing. `carried` lets what was measured last hold until the next measurement, or until the instance is gone: with
//! it a gap in one device's reports does not look like a fall. The second is a guess and only bridges the first.

use crate::domain::timeline::{Run, Seconds};

/// What changes at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: Seconds,
    measured: i64,
    carried: i64,
    holding: i8,
}

/// The rows taken in so far. One that does not change has two turns, however many reports say so.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Vec<Turn>);

impl Turns {
    /// Takes what was measured of a row: in the order of time, without overlap. What lasts up to `to` lasts at it.
    pub(super) fn take(&mut self, runs: impl Iterator<Item = Run>, to: Seconds, gone: Option<Seconds>) {
        let (mut measured, mut carried, mut end): (Option<i64>, i64, Option<Seconds>) = (None, 0, None);
        for run in runs.filter(|run| run.is_measured() && (run.start < run.end || run.end == to)) {
            let value = i64::try_from(run.value).unwrap_or(i64::MAX);
            if let (Some(held), Some(ended)) = (measured, end)
                && ended < run.start
            {
                self.0.push(Turn { at: ended, measured: -held, carried: 0, holding: -1 });
                measured = None;
            }
            if measured != Some(value) {
                let begins = i8::from(measured.is_none());
                let more = value - measured.unwrap_or(0);
                self.0.push(Turn { at: run.start, measured: more, carried: value - carried, holding: begins });
            }
            (measured, carried, end) = (Some(value), value, Some(run.end));
        }
        let (Some(held), Some(ended)) = (measured, end) else { return };
        if ended < to {
            self.0.push(Turn { at: ended, measured: -held, carried: 0, holding: -1 });
        }
        if let Some(gone) = gone.map(|gone| gone.max(ended)).filter(|gone| *gone < to) {
            self.0.push(Turn { at: gone, measured: 0, carried: -carried, holding: 0 });
        }
    }

    pub(super) fn sum(mut self) -> Sum {
        self.0.sort_unstable();
        let mut steps: Vec<Step> = Vec::new();
        let (mut measured, mut carried, mut holding) = (0i128, 0i128, 0i64);
        let whole = |sum: i128| u64::try_from(sum.max(0)).unwrap_or(u64::MAX);
        for turn in self.0 {
            measured += i128::from(turn.measured);
            carried += i128::from(turn.carried);
            holding += i64::from(turn.holding);
            let step = Step { at: turn.at, measured: (holding > 0).then(|| whole(measured)), carried: whole(carried) };
            match steps.last_mut() {
                Some(last) if last.at == turn.at => *last = step,
                Some(_) | None => steps.push(step),
            }
        }
        Sum(steps)
    }
}

/// Both sums from an instant on, until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Seconds,
    /// `None`: nothing is measured.
    pub(super) measured: Option<u64>,
    pub(super) carried: u64,
}

/// In the order of time. Before the first step nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum(Vec<Step>);

impl Sum {
    /// The steps in force within a time, both ends included; the first one from its beginning on.
    pub(super) fn within(&self, from: Seconds, to: Seconds) -> impl DoubleEndedIterator<Item = Step> {
        let first = self.0.partition_point(|step| step.at <= from).saturating_sub(1);
        let last = self.0.partition_point(|step| step.at <= to);
        let steps = self.0.get(first..last).unwrap_or_default().iter();
        steps.map(move |step| Step { at: step.at.max(from), ..*step })
    }

    /// The highest measured sum within a time, and the first instant at which it was reached.
    pub(super) fn peak(&self, from: Seconds, to: Seconds) -> Option<(u64, Seconds)> {
        let measured = self.within(from, to).filter_map(|step| Some((step.measured?, step.at)));
        measured.fold(None, |peak, next| match peak {
            Some((highest, _)) if highest >= next.0 => peak,
            Some(_) | None => Some(next),
        })
    }

    /// The first instant within a time at which more than that was measured.
    pub(super) fn first_over(&self, most: u64, from: Seconds, to: Seconds) -> Option<Seconds> {
        self.within(from, to).find(|step| step.measured.is_some_and(|sum| sum > most)).map(|step| step.at)
    }

    /// The last instant within a time from which on the sum is over without a break, gaps bridged; `None` where it is
    /// not over at the end. It is one at which it was measured to be over.
    pub(super) fn over_since(&self, most: u64, from: Seconds, to: Seconds) -> Option<Seconds> {
        let last = self.within(from, to).rev().take_while(|step| step.carried > most);
        last.filter(|step| step.measured.is_some_and(|sum| sum > most)).last().map(|step| step.at)
    }

    /// The last instant within a time at which it was measured to be over, or until which it was.
    pub(super) fn over_until(&self, most: u64, from: Seconds, to: Seconds) -> Option<Seconds> {
        let mut after = to;
        for step in self.within(from, to).rev() {
            if step.measured.is_some_and(|sum| sum > most) {
                return Some(after);
            }
            after = step.at;
        }
        None
    }

    /// The last instant within a time up to which anything was measured.
    pub(super) fn measured_until(&self, from: Seconds, to: Seconds) -> Option<Seconds> {
        let mut after = to;
        for step in self.within(from, to).rev() {
            if step.measured.is_some() {
                return Some(after);
            }
            after = step.at;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::ReportId;
    use crate::domain::timeline::Origin;

    fn run(start: Seconds, end: Seconds, value: u64) -> Run {
        Run { start, end, value, origin: Origin::Report { chassis: 0, report: ReportId(1) } }
    }

    /// Start, end and value of each run, and when the row is gone.
    type Measured<'a> = (&'a [(Seconds, Seconds, u64)], Option<Seconds>);

    fn sum(rows: &[Measured<'_>], to: Seconds) -> Sum {
        let mut turns = Turns::default();
        for (runs, gone) in rows {
            turns.take(runs.iter().map(|&(start, end, value)| run(start, end, value)), to, *gone);
        }
        turns.sum()
    }

    #[test]
    fn a_gap_of_one_is_bridged_and_who_is_gone_is_not_carried_on() {
        let (steady, gappy) = ([(0, 100, 60)], [(0, 40, 60), (70, 100, 60)]);
        let both = sum(&[(&steady, None), (&gappy, None)], 100);
        assert_eq!(both.first_over(100, 0, 100), Some(0));
        assert_eq!((both.over_since(100, 0, 100), both.over_until(100, 0, 100)), (Some(0), Some(100)));
        assert_eq!(both.within(50, 50).next().unwrap().measured, Some(60));
        let left = [(0, 40, 60)];
        let gone = sum(&[(&steady, None), (&left, Some(50))], 100);
        assert_eq!((gone.over_since(100, 0, 100), gone.over_until(100, 0, 100)), (None, Some(40)));
        let open = sum(&[(&steady, None), (&left, None)], 100);
        assert_eq!((open.over_since(100, 0, 100), open.over_until(100, 0, 100)), (Some(0), Some(40)));
        assert_eq!(sum(&[], 100).peak(0, 100), None);
    }

    /// Against a sum that is made second by second.
    #[test]
    fn sums_are_those_of_every_second() {
        for seed in 0..300 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let to = 60;
            let mut rows: Vec<Vec<(Seconds, Seconds, u64)>> = Vec::new();
            for _ in 0..dice.usize(1..6) {
                let (mut at, mut own) = (dice.i64(0..20), Vec::new());
                while at < to {
                    let end = (at + dice.i64(1..15)).min(to);
                    own.push((at, end, dice.u64(0..5)));
                    at = end + if dice.bool() { 0 } else { dice.i64(1..9) };
                }
                rows.push(own);
            }
            let named: Vec<_> = rows.iter().map(|own| (own.as_slice(), None)).collect();
            let sum = sum(&named, to);
            let holds = |(start, end, _): &&(Seconds, Seconds, u64), at| *start <= at && (at < *end || *end == to);
            let measured = |at: Seconds| {
                let values = rows.iter().filter_map(|own| own.iter().rev().find(|one| holds(one, at)).map(|one| one.2));
                values.fold(None, |sum: Option<u64>, value| Some(sum.unwrap_or(0) + value))
            };
            let carried = |at: Seconds| -> u64 {
                let last =
                    |own: &Vec<(Seconds, Seconds, u64)>| own.iter().rev().find(|one| one.0 <= at).map(|one| one.2);
                rows.iter().filter_map(last).sum()
            };
            for at in 0..=to {
                let step = sum.within(at, at).next().filter(|step| step.at <= at);
                assert_eq!(step.and_then(|step| step.measured), measured(at), "seed {seed} at {at}");
                assert_eq!(step.map_or(0, |step| step.carried), carried(at), "seed {seed} at {at}");
            }
            let most = dice.u64(0..10);
            let over = |at: &Seconds| measured(*at).is_some_and(|sum| sum > most);
            assert_eq!(sum.first_over(most, 0, to), (0..=to).find(over), "seed {seed}");
            let unbroken = (0..=to).rev().take_while(|at| carried(*at) > most);
            assert_eq!(sum.over_since(most, 0, to), unbroken.filter(over).last(), "seed {seed}");
            let peak = (0..=to).filter_map(measured).max();
            assert_eq!(sum.peak(0, to).map(|peak| peak.0), peak, "seed {seed}");
        }
    }
}
