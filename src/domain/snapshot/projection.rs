//! A straight line through what was measured, drawn on to the next milestone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::headroom::Estimate;
use super::rollup::millionth;
use super::total::Sum;
use crate::domain::timeline::Seconds;

/// No line is drawn through less than this.
const LEAST: Seconds = 7 * DAY;
const DAY: Seconds = 86_400;

const HOW: &str = "the straight line of least squares through the sum of what was measured in the window, what was \
                   measured last held until the next measurement";

/// Where the line leads. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    /// The next instant at which use is compared with what was bought.
    pub milestone: Timestamp,
    /// What the line shows then, never less than 0.
    pub quantity: f64,
    /// What would be left of the entitlement then; negative: what would lack.
    pub headroom: f64,
    pub per_day: f64,
    /// When the line crosses the entitlement, if that is to come and within the term.
    pub over_on: Option<Timestamp>,
    /// What the line is drawn through.
    pub from: Timestamp,
    pub to: Timestamp,
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// A line over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) from: Seconds,
    pub(super) to: Seconds,
    /// In the middle of them.
    mean: f64,
    per_day: f64,
}

impl Line {
    /// The line of least squares through a sum from the first instant that is known on, up to the last that is measured.
    pub(super) fn through(sum: &Sum, from: Seconds, to: Seconds) -> Option<Line> {
        let from = sum.within(from, to).next()?.at;
        let to = sum.measured_until(from, to)?;
        if to - from < LEAST {
            return None;
        }
        let middle = from.midpoint(to) as f64;
        let days = |at: Seconds| (at as f64 - middle) / DAY as f64;
        let (mut area, mut moment) = (0.0, 0.0);
        let mut steps = sum.within(from, to).peekable();
        while let Some(step) = steps.next() {
            let (start, end) = (days(step.at), days(steps.peek().map_or(to, |next| next.at)));
            area += step.carried as f64 * (end - start);
            moment += step.carried as f64 * (end * end - start * start) / 2.0;
        }
        let length = days(to) - days(from);
        Some(Line { from, to, mean: area / length, per_day: 12.0 * moment / length.powi(3) })
    }

    pub(super) fn at(&self, at: Timestamp) -> f64 {
        let middle = self.from.midpoint(self.to);
        self.mean + self.per_day * at.as_second().saturating_sub(middle) as f64 / DAY as f64
    }

    /// When it comes to more than that, if it rises.
    fn over(&self, most: u64) -> Option<Timestamp> {
        let days = (most as f64 - self.mean) / self.per_day;
        let seconds = days * DAY as f64;
        let near = self.per_day > 0.0 && seconds.abs() < 1e11;
        let at = self.from.midpoint(self.to).checked_add(near.then_some(seconds as Seconds)?)?;
        Timestamp::from_second(at).ok()
    }

    /// Drawn on to a milestone; `ends`: the term is over then.
    pub(super) fn to(
        &self,
        milestone: Timestamp,
        entitled: u64,
        as_of: Timestamp,
        ends: Timestamp,
        estimate: impl FnOnce(&str) -> Estimate,
    ) -> Option<Projection> {
        let quantity = self.at(milestone).max(0.0);
        Some(Projection {
            milestone,
            quantity: millionth(quantity),
            headroom: millionth(entitled as f64 - quantity),
            per_day: millionth(self.per_day),
            over_on: self.over(entitled).filter(|at| *at > as_of && *at < ends),
            from: Timestamp::from_second(self.from).ok()?,
            to: Timestamp::from_second(self.to).ok()?,
            estimate: estimate(HOW),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::total::Turns;
    use super::*;
    use crate::domain::report::ReportId;
    use crate::domain::timeline::{Origin, Run};

    fn sum(rows: &[Vec<(Seconds, Seconds, u64)>], to: Seconds) -> Sum {
        let mut turns = Turns::default();
        let origin = Origin::Report { chassis: 0, report: ReportId(1) };
        for row in rows {
            turns.take(row.iter().map(|&(start, end, value)| Run { start, end, value, origin }), to, None);
        }
        turns.sum()
    }

    fn stairs(dice: &mut fastrand::Rng, to: Seconds) -> Vec<(Seconds, Seconds, u64)> {
        let (mut at, mut stairs) = (0, Vec::new());
        while at < to {
            let end = (at + dice.i64(1..30) * DAY).min(to);
            stairs.push((at, end, dice.u64(0..100)));
            at = end;
        }
        stairs
    }

    #[test]
    fn the_line_of_a_sum_is_the_sum_of_the_lines() {
        let (to, at) = (100 * DAY, |day: Seconds| Timestamp::from_second(day * DAY).unwrap());
        for seed in 0..300 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let (one, other) = (stairs(&mut dice, to), stairs(&mut dice, to));
            let line = |rows: &[Vec<_>]| Line::through(&sum(rows, to), 0, to).unwrap();
            let (apart, both) =
                ([line(std::slice::from_ref(&one)), line(std::slice::from_ref(&other))], line(&[one, other]));
            for day in [100, 150, 400] {
                let added: f64 = apart.iter().map(|line| line.at(at(day))).sum();
                assert!((both.at(at(day)) - added).abs() < 1e-6, "seed {seed}");
                let straight = both.at(at(100)) + both.per_day * (day - 100) as f64;
                assert!((both.at(at(day)) - straight).abs() < 1e-6, "seed {seed}");
            }
        }
    }

    #[test]
    fn steady_use_stays_and_steady_growth_goes_on() {
        let to = 100 * DAY;
        let flat = Line::through(&sum(&[vec![(0, to, 7)]], to), 0, to).unwrap();
        assert_eq!((flat.at(Timestamp::from_second(5 * to).unwrap()), flat.over(6)), (7.0, None));
        let growing = (0..100u64).map(|day| (day as i64 * DAY, (day as i64 + 1) * DAY, 10 + day)).collect();
        let growing = Line::through(&sum(&[growing], to), 0, to).unwrap();
        let later = growing.at(Timestamp::from_second(200 * DAY).unwrap());
        assert!((later - 209.5).abs() < 0.1, "{later}");
        let over = growing.over(150).unwrap().as_second();
        assert!((over - 140 * DAY - DAY / 2).abs() < DAY / 10, "{over}");
        assert_eq!(Line::through(&sum(&[vec![(0, DAY, 7)]], to), 0, to), None);
        assert_eq!(Line::through(&Sum::default(), 0, to), None);
    }
}
