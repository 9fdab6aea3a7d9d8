//! What was bought beside what is used: headroom, over-consumption and since when, growth, and where it leads.
//!
//! Prices and settlement are for others. Everything here is an estimate and says so: what is not measured is missing in
//! it, accounts are those of `as_of`, and the contract's own words decide. Each figure has beside it how much of what it
//! rests on is measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entitlement::{Entitlement, TermState};
use super::projection::{Line, Projection};
use super::rollup::{completeness, millionth, should_be_measured};
use super::row::{MeasuredState, Row};
use super::terms::{GrowthRule, Terms};
use super::total::{Sum, Turns};
use crate::domain::report::EntitlementTag;
use crate::domain::settings::words;
use crate::domain::timeline::{History, Run, Seconds};

/// All that was bought, and what is used of it. **signed**
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entitlements {
    /// In the order of the operator's file. A row that several lines cover counts in each.
    pub lines: Vec<EntitlementLine>,
    /// In use, and covered by no line that runs.
    pub unlisted: Vec<Unlisted>,
}

/// A line of the operator's file and what is used of it. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntitlementLine {
    #[serde(flatten)]
    pub said: Entitlement,
    pub term: TermState,
    /// Measured at `as_of`; `null` where nothing is.
    pub quantity: Option<u64>,
    /// What is measured, else what polls saw at `as_of`, else what was measured last.
    pub quantity_expected: Option<u64>,
    pub rows: u64,
    pub measured: u64,
    /// Of which only polls tell, or only the last measurement.
    pub expected_only: u64,
    /// Of which nothing is known.
    pub unknown: u64,
    /// The share of rows that are measured at `as_of`, of those that should be; `null` where none should be.
    pub completeness: Option<f64>,
    /// `null` outside of the term, and where nothing is measured or expected.
    pub headroom: Option<Headroom>,
    /// `null` where it never was measured to be over within the term, as of `as_of`.
    pub over: Option<Over>,
    /// What brings a True Forward before its time; empty outside of the term.
    pub growth: Vec<Growth>,
    /// `null` outside of the term, and where too little is measured to draw a line.
    pub projection: Option<Projection>,
}

/// That a figure is an estimate, how it is made, and how much of it is measured. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Always `true`.
    pub estimate: bool,
    pub how: String,
    /// The share that is measured of what it rests on, from 0 to 1; `null` where nothing should be measured.
    pub completeness: Option<f64>,
}

impl Estimate {
    fn made(how: &str, completeness: Option<f64>) -> Estimate {
        Estimate { estimate: true, how: how.to_owned(), completeness }
    }
}

/// What is left; negative: what lacks. With the quantity it makes what is entitled. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headroom {
    pub measured: Option<i64>,
    pub expected: Option<i64>,
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// More was used than is entitled. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Over {
    pub state: OverState,
    /// The first instant of the term at which the measured sum was over.
    pub first: Timestamp,
    /// It was over already when the term began.
    pub first_or_before: bool,
    /// From when on it is over without a break; gaps of reports do not break it. `null` where it is no longer over.
    pub since: Option<Timestamp>,
    /// Up to when it was measured to be over.
    pub until: Timestamp,
    /// By how much at the most, and when first.
    pub most: u64,
    pub most_at: Timestamp,
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// Is it over still?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverState {
    /// Measured at `as_of`.
    Over,
    /// When it was measured last, and nothing says otherwise.
    OverWhenLastMeasured,
    WasOver,
}
words!(OverState { Over = "over", OverWhenLastMeasured = "over-when-last-measured", WasOver = "was-over" });

/// Use that grows beyond a share of what is entitled. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// More than so many percent of what is entitled.
    pub over_percent: u32,
    pub from: Timestamp,
    /// Before this instant.
    pub until: Timestamp,
    /// The first instant at which it was measured; `null`: not yet.
    pub reached: Option<Timestamp>,
    /// The highest that was measured in that time.
    pub peak: Option<u64>,
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// A licence in use that no line covers. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlisted {
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
    pub entitlement_tag: Option<EntitlementTag>,
    pub license_name: Option<String>,
    pub quantity: Option<u64>,
    pub quantity_expected: Option<u64>,
    pub rows: u64,
    pub measured: u64,
}

const LEFT: &str = "what is entitled less the sum of the rows that are measured at as_of, and less that of measured, \
                    observed and last measured ones";
const OVER: &str = "the sum of what reports measured at each instant of the term, which is a lower bound where any is \
                    missing, by the accounts as of as_of";
const GREW: &str = "the highest sum of what reports measured, as a share of what is entitled";

type LicenceKey = (Option<Arc<str>>, Option<Arc<str>>, Option<EntitlementTag>, Option<String>);

/// Adds up while rows go by.
pub(super) struct Tally<'a> {
    lines: Vec<(&'a Entitlement, Used)>,
    unlisted: BTreeMap<LicenceKey, Used>,
    growth: GrowthRule,
    as_of: Timestamp,
    /// What a line is drawn through begins here.
    from: Seconds,
}

/// Of the rows of one line.
#[derive(Default)]
struct Used {
    quantity: Option<u64>,
    expected: Option<u64>,
    rows: u64,
    expected_only: u64,
    unknown: u64,
    states: BTreeMap<MeasuredState, u64>,
    /// Of the term so far, row by row, in which each was there.
    coverage: f64,
    turns: Turns,
}

impl Used {
    /// Who is gone is not expected to use what was measured last.
    fn add(&mut self, row: &Row, gone: bool) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            *sum = more.map(|more| sum.unwrap_or(0).saturating_add(more)).or(*sum);
        };
        let expected = if gone { row.quantity } else { expected(row) };
        add(&mut self.quantity, row.quantity);
        add(&mut self.expected, expected);
        self.rows += 1;
        self.expected_only += u64::from(row.quantity.is_none() && expected.is_some());
        self.unknown += u64::from(expected.is_none() && !gone && should_be_measured(row.measured_state));
        *self.states.entry(row.measured_state).or_default() += 1;
    }

    fn measured(&self) -> u64 {
        self.states.get(&MeasuredState::Measured).copied().unwrap_or(0)
    }

    /// On the average of the rows that should be measured.
    fn coverage(&self) -> Option<f64> {
        let should = self.states.iter().filter(|(state, _)| should_be_measured(**state)).map(|(_, rows)| rows);
        let should = should.sum::<u64>();
        (should > 0).then(|| millionth(self.coverage / should as f64))
    }
}

/// What a row most probably uses at the instant, if anything is known of it.
pub(super) fn expected(row: &Row) -> Option<u64> {
    row.quantity.or(row.quantity_observed).or(row.quantity_last)
}

impl<'a> Tally<'a> {
    /// `None` where the operator names no entitlements.
    pub(super) fn of(terms: &'a Terms, from: Seconds, as_of: Timestamp) -> Option<Tally<'a>> {
        let lines = terms.entitlements.as_ref()?.iter().map(|line| (line, Used::default())).collect();
        Some(Tally { lines, unlisted: BTreeMap::new(), growth: terms.growth, as_of, from })
    }

    /// Takes a row; `there`: it is one as of the instant, and not only of the past. `gone`: from then on it is none.
    pub(super) fn add(&mut self, row: &Row, history: &History, there: bool, gone: Option<Timestamp>) {
        let to = self.as_of.as_second();
        let mut listed = false;
        for (line, used) in self.lines.iter_mut().filter(|(line, _)| line.covers(row)) {
            let running = line.state_at(self.as_of) == TermState::Running;
            let begins = line.begins().as_second();
            listed |= running;
            if there {
                used.add(row, gone.is_some());
                let first = row.first_seen.map_or(begins, |first| first.as_second().max(begins));
                if should_be_measured(row.measured_state) && first < to {
                    used.coverage += history.share(first, to).measured;
                }
            }
            if running {
                let runs = history.within(begins.min(self.from), to).filter(Run::is_measured);
                used.turns.take(runs, to, gone.map(Timestamp::as_second));
            }
        }
        let in_use = || gone.is_none() && expected(row).is_some_and(|used| used > 0);
        if there && !listed && (row.entitlement_tag.is_some() || row.license_name.is_some()) && in_use() {
            let key = (
                row.smart_account.clone(),
                row.virtual_account.clone(),
                row.entitlement_tag.clone(),
                row.license_name.clone(),
            );
            self.unlisted.entry(key).or_default().add(row, gone.is_some());
        }
    }

    pub(super) fn end(self) -> Entitlements {
        let (growth, as_of, from) = (self.growth, self.as_of, self.from);
        let unlisted = |((smart_account, virtual_account, entitlement_tag, license_name), used): (LicenceKey, Used)| {
            let measured = used.measured();
            let (quantity, quantity_expected, rows) = (used.quantity, used.expected, used.rows);
            Unlisted {
                smart_account,
                virtual_account,
                entitlement_tag,
                license_name,
                quantity,
                quantity_expected,
                rows,
                measured,
            }
        };
        Entitlements {
            lines: self.lines.into_iter().map(|(said, used)| line(said, used, growth, from, as_of)).collect(),
            unlisted: self.unlisted.into_iter().map(unlisted).collect(),
        }
    }
}

fn line(said: &Entitlement, mut used: Used, rule: GrowthRule, from: Seconds, as_of: Timestamp) -> EntitlementLine {
    let sum = std::mem::take(&mut used.turns).sum();
    let term = said.state_at(as_of);
    let running = term == TermState::Running;
    let complete = completeness(&used.states);
    let coverage = used.coverage();
    let left = |quantity: Option<u64>| quantity.map(|quantity| difference(said.quantity, quantity));
    let headroom = Headroom {
        measured: left(used.quantity),
        expected: left(used.expected),
        estimate: Estimate::made(LEFT, complete),
    };
    let projection = || {
        let to = as_of.as_second();
        let drawn = Line::through(&sum, from, to)?;
        let milestone = said.next_milestone(as_of)?;
        drawn.to(milestone, said.quantity, as_of, said.ends(), |how| Estimate::made(how, coverage))
    };
    EntitlementLine {
        said: said.clone(),
        term,
        quantity: used.quantity,
        quantity_expected: used.expected,
        rows: used.rows,
        measured: used.measured(),
        expected_only: used.expected_only,
        unknown: used.unknown,
        completeness: complete,
        headroom: (running && used.expected.is_some()).then_some(headroom),
        over: if running { over(said, &sum, as_of, coverage) } else { None },
        growth: if running { growth(said, &sum, rule, as_of, coverage) } else { Vec::new() },
        projection: if running { projection() } else { None },
    }
}

fn over(said: &Entitlement, sum: &Sum, as_of: Timestamp, coverage: Option<f64>) -> Option<Over> {
    let (from, to) = (said.begins().as_second(), as_of.as_second());
    let instant = |at: Seconds| Timestamp::from_second(at).ok();
    let first = sum.first_over(said.quantity, from, to)?;
    let since = sum.over_since(said.quantity, from, to);
    let until = sum.over_until(said.quantity, from, to)?;
    let (most, most_at) = sum.peak(from, to)?;
    let state = match since {
        Some(_) if sum.first_over(said.quantity, to, to).is_some() => OverState::Over,
        Some(_) => OverState::OverWhenLastMeasured,
        None => OverState::WasOver,
    };
    Some(Over {
        state,
        first: instant(first)?,
        first_or_before: sum.first_over(said.quantity, Seconds::MIN, to) <= Some(from),
        since: since.and_then(instant),
        until: instant(until)?,
        most: most.saturating_sub(said.quantity),
        most_at: instant(most_at)?,
        estimate: Estimate::made(OVER, coverage),
    })
}

fn growth(said: &Entitlement, sum: &Sum, rule: GrowthRule, as_of: Timestamp, coverage: Option<f64>) -> Vec<Growth> {
    let allowance = said.growth_allowance.map(|percent| percent.saturating_add(100));
    let limits = [(rule.early_percent, said.early_until()), (allowance.unwrap_or(rule.term_percent), said.ends())];
    let begins = said.begins();
    let limits = limits.into_iter().map(|(over_percent, until)| {
        let (from, to) = (begins.as_second(), as_of.as_second().min(until.as_second().saturating_sub(1)));
        // More than the share is more than its whole part.
        let most = u128::from(said.quantity) * u128::from(over_percent) / 100;
        let reached = sum.first_over(u64::try_from(most).unwrap_or(u64::MAX), from, to);
        Growth {
            over_percent,
            from: begins,
            until,
            reached: reached.and_then(|at| Timestamp::from_second(at).ok()),
            peak: sum.peak(from, to).map(|(peak, _)| peak),
            estimate: Estimate::made(GREW, coverage),
        }
    });
    limits.collect()
}

/// The first less the second, as far as a number goes.
fn difference(first: u64, second: u64) -> i64 {
    let less = i128::from(first) - i128::from(second);
    i64::try_from(less).unwrap_or(if less < 0 { i64::MIN } else { i64::MAX })
}
