//! Rows added up: by account, site, environment and entitlement.
//!
//! A roll-up is the sum of its rows at every instant: its quantity is the sum of what is measured at `as_of`, its peak
//! the highest sum that was reached at one time (not the sum of peaks that were reached at different times), its
//! average that sum over the time in which anything of it was measured. What is not measured adds nothing, so that a
//! roll-up is a lower bound where its completeness is below 1.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::{MeasuredState, Row};
use crate::domain::report::EntitlementTag;
use crate::domain::timeline::{Run, Seconds};

/// What rows are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    SmartAccount,
    VirtualAccount,
    Site,
    Environment,
    Entitlement,
}

/// Rows added up. **signed**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollUp {
    pub by: By,
    /// Of a Virtual Account: the Smart Account it is in.
    pub smart_account: Option<String>,
    /// The account, site or environment; `null`: of none that is known, and for `entitlement` all there are.
    pub name: Option<String>,
    /// `null`: all licences together.
    pub entitlement_tag: Option<EntitlementTag>,
    /// `null` where no row has any.
    pub quantity: Option<u64>,
    pub quantity_peak: Option<u64>,
    pub quantity_peak_at: Option<Timestamp>,
    pub quantity_average: Option<f64>,
    pub quantity_reserved: Option<u64>,
    pub instances: u64,
    pub rows: u64,
    pub measured: u64,
    pub stale: u64,
    /// Not yet measured, or of a model without usage reports.
    pub unmeasured: u64,
    /// The share of rows that are measured at `as_of`, of those that should be; `null` where none should be.
    pub completeness: Option<f64>,
    /// The share of the window that was measured, on the average of those rows.
    pub coverage: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    by: By,
    smart_account: Option<String>,
    name: Option<String>,
    entitlement_tag: Option<EntitlementTag>,
}

/// Adds up while rows go by; of each it keeps its runs and the numbers of its groups.
#[derive(Debug)]
pub struct RollUps {
    from: Seconds,
    to: Seconds,
    groups: BTreeMap<Key, usize>,
    sums: Vec<Sum>,
    runs: Vec<(Seconds, Seconds, u64)>,
    /// What each row has of `runs`.
    rows: Vec<(usize, [usize; GROUPS])>,
    instances: u64,
}

/// Five ways, each with all licences together; a row's own licence has its own group in each.
const GROUPS: usize = 10;

#[derive(Clone, Debug, Default)]
struct Sum {
    quantity: Option<u64>,
    reserved: Option<u64>,
    instances: u64,
    last_instance: u64,
    rows: u64,
    states: BTreeMap<MeasuredState, u64>,
    coverage: f64,
}

impl Sum {
    fn add(&mut self, row: &Row, instance: u64) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0).saturating_add(more));
            }
        };
        add(&mut self.quantity, row.quantity);
        add(&mut self.reserved, row.quantity_reserved);
        if self.last_instance != instance {
            self.last_instance = instance;
            self.instances += 1;
        }
        self.rows += 1;
        *self.states.entry(row.measured_state).or_default() += 1;
        if should_be_measured(row.measured_state) {
            self.coverage += row.coverage;
        }
    }
}

/// Does it count against completeness where it is not measured?
pub(super) fn should_be_measured(state: MeasuredState) -> bool {
    match state {
        MeasuredState::Measured
        | MeasuredState::NotYetMeasured
        | MeasuredState::Stale
        | MeasuredState::Unmeasurable => true,
        MeasuredState::NothingToReport | MeasuredState::Reserved => false,
    }
}

/// The share that is measured of what should be.
pub(super) fn completeness(states: &BTreeMap<MeasuredState, u64>) -> Option<f64> {
    let count = |wanted: &dyn Fn(MeasuredState) -> bool| -> u64 {
        states.iter().filter(|(state, _)| wanted(**state)).map(|(_, rows)| rows).sum()
    };
    let should = count(&should_be_measured);
    (should > 0).then(|| millionth(count(&|state| state == MeasuredState::Measured) as f64 / should as f64))
}

/// Rounded, so that a form of another writer shows the same digits.
pub(super) fn millionth(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

impl RollUps {
    pub fn new(from: Seconds, to: Seconds) -> RollUps {
        RollUps {
            from,
            to,
            groups: BTreeMap::new(),
            sums: Vec::new(),
            runs: Vec::new(),
            rows: Vec::new(),
            instances: 0,
        }
    }

    /// The rows that follow are of another instance.
    pub(super) fn next_instance(&mut self) {
        self.instances += 1;
    }

    pub(super) fn instances(&self) -> u64 {
        self.instances
    }

    /// Takes a row and what was measured of it within the window.
    pub(super) fn add(&mut self, row: &Row, measured: impl Iterator<Item = Run>) {
        let named = |by, smart_account: &Option<String>, name: &Option<String>| Key {
            by,
            smart_account: smart_account.clone(),
            name: name.clone(),
            entitlement_tag: None,
        };
        let site = (!row.site.0.is_empty()).then(|| row.site.0.clone());
        let keys = [
            named(By::SmartAccount, &None, &row.smart_account),
            named(By::VirtualAccount, &row.smart_account, &row.virtual_account),
            named(By::Site, &None, &site),
            named(By::Environment, &None, &row.environment),
            named(By::Entitlement, &None, &None),
        ];
        let mut groups = [usize::MAX; GROUPS];
        for (at, key) in keys.into_iter().enumerate() {
            if row.entitlement_tag.is_some() {
                let own = Key { entitlement_tag: row.entitlement_tag.clone(), ..key.clone() };
                groups[2 * at] = self.add_to(own, row);
            }
            groups[2 * at + 1] = self.add_to(key, row);
        }
        let before = self.runs.len();
        for run in measured {
            match self.runs.get_mut(before..).and_then(|own| own.last_mut()) {
                Some(last) if last.1 == run.start && last.2 == run.value => last.1 = run.end,
                Some(_) | None => self.runs.push((run.start, run.end, run.value)),
            }
        }
        self.rows.push((self.runs.len() - before, groups));
    }

    fn add_to(&mut self, key: Key, row: &Row) -> usize {
        let next = self.sums.len();
        let group = *self.groups.entry(key).or_insert(next);
        if group == next {
            self.sums.push(Sum::default());
        }
        if let Some(sum) = self.sums.get_mut(group) {
            sum.add(row, self.instances);
        }
        group
    }

    /// All groups, in a fixed order.
    pub fn end(self) -> Vec<RollUp> {
        let mut curves: Vec<Curve> = Vec::new();
        curves.resize_with(self.sums.len(), Curve::default);
        // One way of adding up after the other: each needs all the runs once, and only then.
        for way in 0..GROUPS {
            let mut turns: BTreeMap<usize, Vec<Turn>> = BTreeMap::new();
            let mut at = 0;
            for (count, groups) in &self.rows {
                let own = self.runs.get(at..at + count).unwrap_or_default();
                at += count;
                if groups[way] != usize::MAX && !own.is_empty() {
                    turns_of(own, self.to, turns.entry(groups[way]).or_default());
                }
            }
            for (group, turns) in turns {
                if let Some(curve) = curves.get_mut(group) {
                    *curve = Curve::of(turns, self.from, self.to);
                }
            }
        }
        let roll_up = |(key, group): (Key, usize)| {
            let (sum, curve) = (self.sums.get(group)?, curves.get(group)?);
            let count = |state| sum.states.get(&state).copied().unwrap_or(0);
            let should: u64 =
                sum.states.iter().filter(|(state, _)| should_be_measured(**state)).map(|(_, rows)| rows).sum();
            Some(RollUp {
                by: key.by,
                smart_account: key.smart_account,
                name: key.name,
                entitlement_tag: key.entitlement_tag,
                quantity: sum.quantity,
                quantity_peak: curve.peak.map(|(value, _)| value),
                quantity_peak_at: curve.peak.and_then(|(_, at)| Timestamp::from_second(at).ok()),
                quantity_average: curve.average.map(millionth),
                quantity_reserved: sum.reserved,
                instances: sum.instances,
                rows: sum.rows,
                measured: count(MeasuredState::Measured),
                stale: count(MeasuredState::Stale),
                unmeasured: count(MeasuredState::NotYetMeasured) + count(MeasuredState::Unmeasurable),
                completeness: completeness(&sum.states),
                coverage: (should > 0).then(|| millionth(sum.coverage / should as f64)),
            })
        };
        self.groups.into_iter().filter_map(roll_up).collect()
    }
}

/// Somebody's quantity ends or begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: Seconds,
    what: Does,
    value: u64,
}

/// In the order in which it counts at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    End,
    Begin,
    /// It was measured up to the beginning of the window, and at that instant only.
    EndAtOnce,
}

/// The turns of one row. What is measured up to the end of the window is measured at its end too.
fn turns_of(own: &[(Seconds, Seconds, u64)], to: Seconds, turns: &mut Vec<Turn>) {
    for (at, &(start, end, value)) in own.iter().enumerate() {
        turns.push(Turn { at: start, what: Does::Begin, value });
        if at + 1 < own.len() || end < to {
            let what = if start < end { Does::End } else { Does::EndAtOnce };
            turns.push(Turn { at: end, what, value });
        }
    }
}

/// What a sum did over the window.
#[derive(Clone, Copy, Debug, Default)]
struct Curve {
    peak: Option<(u64, Seconds)>,
    average: Option<f64>,
}

impl Curve {
    fn of(mut turns: Vec<Turn>, from: Seconds, to: Seconds) -> Curve {
        turns.sort_unstable();
        let (mut sum, mut holding) = (0u128, 0u64);
        let (mut total, mut lasted) = (0u128, 0u64);
        let mut peak: Option<(u128, Seconds)> = None;
        let mut since = from;
        let mut turns = turns.into_iter().peekable();
        while let Some(turn) = turns.next() {
            if holding > 0 {
                let seconds = since.abs_diff(turn.at);
                lasted += seconds;
                total = total.saturating_add(sum.saturating_mul(seconds.into()));
            }
            since = turn.at;
            (sum, holding) = match turn.what {
                Does::Begin => (sum.saturating_add(turn.value.into()), holding + 1),
                Does::End | Does::EndAtOnce => (sum.saturating_sub(turn.value.into()), holding.saturating_sub(1)),
            };
            let settled = turns.peek().is_none_or(|next| next.at != turn.at || next.what == Does::EndAtOnce);
            if settled && turn.what != Does::EndAtOnce && holding > 0 && peak.is_none_or(|(highest, _)| sum > highest) {
                peak = Some((sum, turn.at));
            }
        }
        if holding > 0 {
            let seconds = since.abs_diff(to);
            lasted += seconds;
            total = total.saturating_add(sum.saturating_mul(seconds.into()));
        }
        Curve {
            peak: peak.map(|(value, at)| (u64::try_from(value).unwrap_or(u64::MAX), at)),
            average: (lasted > 0).then(|| total as f64 / lasted as f64),
        }
    }
}
