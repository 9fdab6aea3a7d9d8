//! How often what does not answer is tried again: by device, and by site.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::instance::{DeviceName, Site};
use super::submission::Lately;

/// However often a device was not reached: after this it is tried again.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// What did not answer lately. Kept in memory only: it paces tries and decides nothing else, so a restart may forget it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pacing {
    /// The devices that were not reached the last time.
    pub setbacks: BTreeMap<DeviceName, Setback>,
    pub circuits: BTreeMap<Site, Circuit>,
    /// The same of upstreams.
    pub upstreams: Lately,
}

impl Pacing {
    /// Before this instant the plan leaves the device alone.
    pub fn not_before(
        &self,
        device: &DeviceName,
        site: &Site,
        back_off: SignedDuration,
        jitter: f64,
    ) -> Option<Timestamp> {
        let setback = self.setbacks.get(device).map(|setback| setback.next_try(back_off, jitter));
        setback.max(self.circuits.get(site).and_then(Circuit::next_try))
    }
}

/// So many tries in a row did not reach a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setback {
    pub failures: u32,
    pub last: Timestamp,
}

impl Setback {
    /// The try after this one.
    pub fn again(before: Option<Setback>, now: Timestamp) -> Self {
        Setback { failures: before.map_or(0, |before| before.failures).saturating_add(1), last: now }
    }

    /// `first` doubled by each failure, a day at most, and up to a quarter less: `jitter` is from 0 to 1 and the
    /// device's own, so that those that were lost together do not come back together.
    pub fn next_try(self, first: SignedDuration, jitter: f64) -> Timestamp {
        let factor = 1i32 << self.failures.min(20);
        let longest = first.checked_mul(factor).unwrap_or(LONGEST).min(LONGEST);
        let wait = longest.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0);
        self.last.checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitRule {
    pub after: u32,
    pub pause: SignedDuration,
}

/// The way to a site. When many of its devices in a row are not reached, it is the way that is broken: the circuit opens
/// and nobody is tried for a pause. Then one is, and what becomes of it decides for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    /// Not reached in a row.
    unreachable: u32,
    last: Option<Timestamp>,
    /// Open until this instant.
    until: Option<Timestamp>,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub unreachable: u32,
    pub until: Timestamp,
}

impl Circuit {
    /// May a device of the site be tried now? After a pause the first who asks may; the others wait for another.
    pub fn admit(&mut self, now: Timestamp, rule: CircuitRule) -> Result<(), Open> {
        match self.until {
            None => Ok(()),
            Some(until) if now < until => Err(Open { unreachable: self.unreachable, until }),
            Some(_) => {
                self.until = Some(after(now, rule.pause));
                Ok(())
            }
        }
    }

    /// A device was reached: the way is there. `true` when the circuit was open.
    pub fn reached(&mut self) -> bool {
        std::mem::take(self).until.is_some()
    }

    /// One was not. Devices that fail now and then are no broken way: only those count of which each failed within a
    /// pause of the one before. Tells when the circuit opens by this one.
    pub fn unreachable(&mut self, now: Timestamp, rule: CircuitRule) -> Option<Open> {
        let apart = self.last.is_some_and(|last| now > after(last, rule.pause));
        if self.until.is_none() && apart {
            self.unreachable = 0;
        }
        self.unreachable = self.unreachable.saturating_add(1);
        self.last = Some(now);
        if self.unreachable < rule.after {
            return None;
        }
        let until = after(now, rule.pause);
        let opens = self.until.is_none();
        self.until = self.until.max(Some(until));
        opens.then_some(Open { unreachable: self.unreachable, until })
    }

    /// Nobody is tried before this instant.
    pub fn next_try(&self) -> Option<Timestamp> {
        self.until
    }
}

fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CircuitRule = CircuitRule { after: 3, pause: SignedDuration::from_mins(5) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).unwrap()
    }

    #[test]
    fn waits_double_to_a_day_and_jitter_takes_up_to_a_quarter() {
        let first = SignedDuration::from_mins(15);
        let wait = |failures, jitter| Setback { failures, last: at(0) }.next_try(first, jitter).duration_since(at(0));
        assert_eq!(wait(1, 0.0), SignedDuration::from_mins(30));
        assert_eq!(wait(2, 0.0), SignedDuration::from_mins(60));
        assert_eq!(wait(2, 1.0), SignedDuration::from_mins(45));
        for failures in 7..40 {
            assert_eq!(wait(failures, 0.0), LONGEST);
            assert_eq!(wait(failures, 0.5), SignedDuration::from_hours(21));
        }
        assert_eq!(wait(u32::MAX, 0.0), LONGEST);
        let twice = Setback::again(Some(Setback::again(None, at(0))), at(9));
        assert_eq!(twice, Setback { failures: 2, last: at(9) });
    }

    #[test]
    fn so_many_in_a_row_open_it_once_and_nobody_is_tried_for_a_pause() {
        let mut circuit = Circuit::default();
        assert_eq!(circuit.unreachable(at(0), RULE), None);
        assert_eq!(circuit.unreachable(at(1), RULE), None);
        assert_eq!(circuit.admit(at(2), RULE), Ok(()));
        let open = Open { unreachable: 3, until: at(302) };
        assert_eq!(circuit.unreachable(at(2), RULE), Some(open));
        assert_eq!(circuit.admit(at(3), RULE), Err(open));
        // Those that were on their way end late; it is told once.
        assert_eq!(circuit.unreachable(at(4), RULE), None);
        assert_eq!(circuit.next_try(), Some(at(304)));
    }

    #[test]
    fn one_probe_goes_through_after_each_pause() {
        let mut circuit = Circuit::default();
        for second in 0..3 {
            circuit.unreachable(at(second), RULE);
        }
        assert_eq!(circuit.admit(at(302), RULE), Ok(()));
        assert_eq!(circuit.admit(at(302), RULE), Err(Open { unreachable: 3, until: at(602) }));
        assert_eq!(circuit.unreachable(at(307), RULE), None);
        assert_eq!(circuit.admit(at(606), RULE), Err(Open { unreachable: 4, until: at(607) }));
        // A probe that never ends lets the next through all the same.
        assert_eq!(circuit.admit(at(607), RULE), Ok(()));
        assert_eq!(circuit.admit(at(907), RULE), Ok(()));
        assert!(circuit.reached() && !circuit.reached());
        assert_eq!(circuit.admit(at(908), RULE), Ok(()));
        assert_eq!(circuit.next_try(), None);
    }

    #[test]
    fn a_success_between_or_a_long_time_begins_the_count_anew() {
        let mut circuit = Circuit::default();
        for second in 0..2 {
            circuit.unreachable(at(second), RULE);
        }
        assert!(!circuit.reached());
        (3..5).for_each(|second| assert_eq!(circuit.unreachable(at(second), RULE), None));
        // The third comes more than a pause after the second.
        assert_eq!(circuit.unreachable(at(400), RULE), None);
        assert_eq!(circuit.unreachable(at(401), RULE), None);
        assert!(circuit.unreachable(at(402), RULE).is_some());
    }
}
