//! Rows added up: by account, site, environment and entitlement.
//!
//! A roll-up is the sum of its rows at every instant: its quantity is the sum of what is measured at `as_of`, its peak
//! the highest sum that was reached at one time (not the sum of peaks that were reached at different times), its
//! average that sum over the time in which anything of it was measured. What is not measured adds nothing, so that a
//! roll-up is a lower bound where its completeness is below 1.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
    pub smart_account: Option<Arc<str>>,
    /// The account, site or environment; `null`: of none that is known, and for `entitlement` all there are.
    pub name: Option<Arc<str>>,
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
    smart_account: Option<Arc<str>>,
    name: Option<Arc<str>>,
    entitlement_tag: Option<EntitlementTag>,
}

/// Adds up while rows go by; of each it keeps when its quantity changed.
#[derive(Debug)]
pub struct RollUps {
    from: Seconds,
    to: Seconds,
    groups: BTreeMap<Key, usize>,
    sums: Vec<Sum>,
    /// Which groups a licence at a place is of: rows are many, and these few.
    sets: Vec<[usize; GROUPS]>,
    known: HashMap<Place, HashMap<Option<EntitlementTag>, usize>>,
    turns: Vec<Turn>,
    /// The values that have no room in a turn.
    large: Vec<u64>,
    instances: u64,
}

/// Smart Account, Virtual Account, site and environment.
type Place = (Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>, Option<Arc<str>>);

/// Five ways, each with all licences together; a row's own licence has its own group in each.
const GROUPS: usize = 10;
const NONE: usize = usize::MAX;

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
    /// Of a window of 136 years at most.
    pub fn new(from: Seconds, to: Seconds) -> RollUps {
        RollUps {
            from,
            to,
            groups: BTreeMap::new(),
            sums: Vec::new(),
            sets: Vec::new(),
            known: HashMap::new(),
            turns: Vec::new(),
            large: Vec::new(),
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
        let set = self.set(row);
        for group in self.sets.get(set).into_iter().flatten() {
            if let Some(sum) = self.sums.get_mut(*group) {
                sum.add(row, self.instances);
            }
        }
        let mut last: Option<Run> = None;
        for run in measured {
            match &last {
                Some(before) if before.end == run.start && before.start < before.end => match before.value {
                    value if value < run.value => self.turn(set, run.start, Does::Rise, run.value - value),
                    value if value > run.value => self.turn(set, run.start, Does::Fall, value - run.value),
                    _ => {}
                },
                before => {
                    if let Some(before) = before {
                        self.end_of(set, before);
                    }
                    self.turn(set, run.start, Does::Begin, run.value);
                }
            }
            last = Some(run);
        }
        // What is measured up to the end of the window is measured at its end too.
        if let Some(last) = last.filter(|last| last.end < self.to) {
            self.end_of(set, &last);
        }
    }

    fn end_of(&mut self, set: usize, run: &Run) {
        let what = if run.start < run.end { Does::End } else { Does::EndAtOnce };
        self.turn(set, run.end, what, run.value);
    }

    fn turn(&mut self, set: usize, at: Seconds, what: Does, value: u64) {
        let after = u32::try_from(at.saturating_sub(self.from)).unwrap_or(u32::MAX);
        let set = u32::try_from(set).unwrap_or(u32::MAX);
        let value = match u32::try_from(value) {
            Ok(value) if value < Turn::LARGE => value,
            Ok(_) | Err(_) => {
                self.large.push(value);
                u32::try_from(self.large.len() - 1).unwrap_or(u32::MAX) | Turn::LARGE
            }
        };
        self.turns.push(Turn { after, what, set: Set::of(set), value });
    }

    /// The number of the set of groups that a row is of.
    fn set(&mut self, row: &Row) -> usize {
        let site = (!row.site.0.is_empty()).then(|| row.site.0.clone());
        let place = (row.smart_account.clone(), row.virtual_account.clone(), site, row.environment.clone());
        if let Some(set) = self.known.get(&place).and_then(|of| of.get(&row.entitlement_tag)) {
            return *set;
        }
        let (smart, own, site, environment) = &place;
        let key = |by, smart_account: &Option<Arc<str>>, name: &Option<Arc<str>>| Key {
            by,
            smart_account: smart_account.clone(),
            name: name.clone(),
            entitlement_tag: None,
        };
        let keys = [
            key(By::SmartAccount, &None, smart),
            key(By::VirtualAccount, smart, own),
            key(By::Site, &None, site),
            key(By::Environment, &None, environment),
            key(By::Entitlement, &None, &None),
        ];
        let mut set = [NONE; GROUPS];
        for (at, key) in keys.into_iter().enumerate() {
            if row.entitlement_tag.is_some() {
                let own = Key { entitlement_tag: row.entitlement_tag.clone(), ..key.clone() };
                set[2 * at] = self.group(own);
            }
            set[2 * at + 1] = self.group(key);
        }
        self.sets.push(set);
        let number = self.sets.len() - 1;
        self.known.entry(place).or_default().insert(row.entitlement_tag.clone(), number);
        number
    }

    fn group(&mut self, key: Key) -> usize {
        let next = self.sums.len();
        let group = *self.groups.entry(key).or_insert(next);
        if group == next {
            self.sums.push(Sum::default());
        }
        group
    }

    /// All groups, in a fixed order.
    pub fn end(self) -> Vec<RollUp> {
        let mut turns = self.turns;
        turns.sort_unstable();
        let mut curves = vec![Curve::default(); self.sums.len()];
        for turn in turns {
            let value = turn.value(&self.large);
            for group in self.sets.get(turn.set.number()).into_iter().flatten() {
                if let Some(curve) = curves.get_mut(*group) {
                    curve.take(&turn, value, self.from);
                }
            }
        }
        let shapes: Vec<Shape> = curves.into_iter().map(|curve| curve.end(self.to)).collect();
        let roll_up = |(key, group): (Key, usize)| {
            let (sum, shape) = (self.sums.get(group)?, shapes.get(group)?);
            let count = |state| sum.states.get(&state).copied().unwrap_or(0);
            let should: u64 =
                sum.states.iter().filter(|(state, _)| should_be_measured(**state)).map(|(_, rows)| rows).sum();
            Some(RollUp {
                by: key.by,
                smart_account: key.smart_account,
                name: key.name,
                entitlement_tag: key.entitlement_tag,
                quantity: sum.quantity,
                quantity_peak: shape.peak.map(|(value, _)| value),
                quantity_peak_at: shape.peak.and_then(|(_, at)| Timestamp::from_second(at).ok()),
                quantity_average: shape.average.map(millionth),
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

/// The quantity of a row of that set ends, begins or changes. There may be millions of them: 12 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// Seconds of the window before it.
    after: u32,
    what: Does,
    set: Set,
    /// From [`Turn::LARGE`] on the place of the value among the large ones.
    value: u32,
}

impl Turn {
    const LARGE: u32 = 1 << 31;

    fn value(&self, large: &[u64]) -> u64 {
        match self.value.checked_sub(Turn::LARGE) {
            Some(at) => large.get(at as usize).copied().unwrap_or(u64::MAX),
            None => self.value.into(),
        }
    }
}

/// The number of a set of groups, in three bytes: a fleet has far fewer licences times places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Set([u8; 3]);

impl Set {
    const MOST: u32 = (1 << 24) - 1;

    fn of(number: u32) -> Set {
        let [_, high, middle, low] = number.min(Set::MOST).to_be_bytes();
        Set([high, middle, low])
    }

    fn number(self) -> usize {
        let Set([high, middle, low]) = self;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }
}

/// In the order in which it counts at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    End,
    /// By `value`, without an end.
    Fall,
    Rise,
    Begin,
    /// It was measured up to the beginning of the window, and at that instant only.
    EndAtOnce,
}

/// A sum on its way through the window.
#[derive(Clone, Copy, Debug, Default)]
struct Curve {
    sum: u128,
    holding: u64,
    total: u128,
    lasted: u64,
    since: Option<Seconds>,
    /// Everything at `since` but what ends at once is not taken yet.
    unsettled: bool,
    peak: Option<(u128, Seconds)>,
}

/// What a sum did over the window.
struct Shape {
    peak: Option<(u64, Seconds)>,
    average: Option<f64>,
}

impl Curve {
    /// Takes the next turn, in their order.
    fn take(&mut self, turn: &Turn, value: u64, from: Seconds) {
        let at = from.saturating_add(turn.after.into());
        if self.since != Some(at) || turn.what == Does::EndAtOnce {
            self.settle();
        }
        self.last_until(at, from);
        (self.sum, self.holding) = match turn.what {
            Does::Fall => (self.sum.saturating_sub(value.into()), self.holding),
            Does::Rise => (self.sum.saturating_add(value.into()), self.holding),
            Does::Begin => (self.sum.saturating_add(value.into()), self.holding + 1),
            Does::End | Does::EndAtOnce => (self.sum.saturating_sub(value.into()), self.holding.saturating_sub(1)),
        };
        self.unsettled = turn.what != Does::EndAtOnce;
    }

    fn settle(&mut self) {
        if std::mem::take(&mut self.unsettled)
            && self.holding > 0
            && self.peak.is_none_or(|(highest, _)| self.sum > highest)
        {
            self.peak = self.since.map(|at| (self.sum, at));
        }
    }

    fn last_until(&mut self, at: Seconds, from: Seconds) {
        if self.holding > 0 {
            let seconds = self.since.unwrap_or(from).abs_diff(at);
            self.lasted += seconds;
            self.total = self.total.saturating_add(self.sum.saturating_mul(seconds.into()));
        }
        self.since = Some(at);
    }

    fn end(mut self, to: Seconds) -> Shape {
        self.settle();
        self.last_until(to, to);
        Shape {
            peak: self.peak.map(|(value, at)| (u64::try_from(value).unwrap_or(u64::MAX), at)),
            average: (self.lasted > 0).then(|| self.total as f64 / self.lasted as f64),
        }
    }
}
