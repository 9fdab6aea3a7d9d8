//! What a device really used, by true time, whatever its clock, its reports and who lost them say.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::device::Device;
use crate::operation::{Operation, Reply};
use crate::state::State;

/// A device, and a log of everything it is told to do.
#[derive(Debug)]
pub struct Witnessed {
    device: Device,
    /// By the licence's tag.
    used: BTreeMap<String, Used>,
    /// Its clock minus true time, from an instant on.
    clock: Vec<(i64, i64)>,
}

/// The truth about one licence.
#[derive(Debug, Default)]
pub struct Used {
    /// The count from an instant on, in the order of time.
    counts: Vec<(i64, u32)>,
    /// The time that each closed report measured.
    reports: BTreeMap<u64, Range<i64>>,
    /// Since when a report is open.
    open: Option<i64>,
}

impl Witnessed {
    /// Takes a device over at true time `now`. What it used before, nobody saw.
    pub fn new(mut device: Device, now: i64) -> Witnessed {
        let offset = device.clock_at(now) - now;
        let state = state(&mut device, now);
        let used = state.licences.iter().map(|licence| {
            let open = (licence.count > 0).then_some(now);
            let used = Used { counts: vec![(now, licence.count)], reports: BTreeMap::new(), open };
            (licence.tag.clone(), used)
        });
        Witnessed { used: used.collect(), clock: vec![(now, offset)], device }
    }

    /// [`Device::apply`], and it is noted what that did.
    pub fn apply(&mut self, now: i64, operation: Operation) -> Reply {
        let moved = match &operation {
            Operation::ClockStep(by) => *by,
            _ => 0,
        };
        let reply = self.device.apply(now, operation);
        if moved != 0 {
            let offset = self.clock.last().map_or(0, |(_, offset)| *offset);
            self.clock.push((now, offset + moved));
        }
        let state = state(&mut self.device, now);
        for licence in &state.licences {
            let used = self.used.entry(licence.tag.clone()).or_default();
            if used.counts.last().is_none_or(|(_, count)| *count != licence.count) {
                // Of two in one second the later holds.
                used.counts.retain(|(since, _)| *since < now);
                used.counts.push((now, licence.count));
            }
            if licence.count > 0 {
                used.open.get_or_insert(now);
            }
        }
        if let Reply::Closed(ids) = &reply {
            for known in state.reports.iter().filter(|known| ids.contains(&known.id)) {
                let Some(used) = known.tag.as_ref().and_then(|tag| self.used.get_mut(tag)) else { continue };
                let Some(since) = used.open.take() else { continue };
                used.reports.insert(known.id, since..now);
                if used.counts.last().is_some_and(|(_, count)| *count > 0) {
                    used.open = Some(now);
                }
            }
        }
        reply
    }

    pub fn state(&mut self, now: i64) -> State {
        state(&mut self.device, now)
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Every licence it knows, by tag.
    pub fn used(&self) -> &BTreeMap<String, Used> {
        &self.used
    }

    /// How far its clock was ahead of true time.
    pub fn ahead_at(&self, at: i64) -> i64 {
        let place = self.clock.partition_point(|(since, _)| *since <= at);
        place.checked_sub(1).and_then(|place| self.clock.get(place)).map_or(0, |(_, offset)| *offset)
    }
}

impl Used {
    /// The count from an instant on, in the order of time.
    pub fn counts(&self) -> &[(i64, u32)] {
        &self.counts
    }

    /// `None` before it was watched.
    pub fn count_at(&self, at: i64) -> Option<u32> {
        let place = self.counts.partition_point(|(since, _)| *since <= at);
        self.counts.get(place.checked_sub(1)?).map(|(_, count)| *count)
    }

    /// The time that each closed report measured, whoever has it.
    pub fn reports(&self) -> &BTreeMap<u64, Range<i64>> {
        &self.reports
    }
}

fn state(device: &mut Device, now: i64) -> State {
    match device.apply(now, Operation::State) {
        Reply::State(state) => *state,
        other => unreachable!("a state was asked for, got {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::specs;

    const T0: i64 = 1_767_225_600;

    #[test]
    fn the_truth_keeps_true_time_whatever_the_clock_says() {
        let mut witnessed = Witnessed::new(Device::new(Arc::new(specs::branch("b-1")), T0), T0);
        let set = |count| Operation::SetCount { licence: "appxk9".into(), count };
        witnessed.apply(T0 + 100, Operation::ClockStep(-3433));
        witnessed.apply(T0 + 200, set(5));
        witnessed.apply(T0 + 300, set(0));
        witnessed.apply(T0 + 400, Operation::Close);
        witnessed.apply(T0 + 500, set(2));
        let used = witnessed.used().values().next().unwrap();
        assert_eq!(used.counts(), [(T0, 1), (T0 + 200, 5), (T0 + 300, 0), (T0 + 500, 2)]);
        assert_eq!(used.reports().values().collect::<Vec<_>>(), [&(T0..T0 + 400)]);
        assert_eq!((used.count_at(T0 - 1), used.count_at(T0 + 250)), (None, Some(5)));
        assert_eq!((witnessed.ahead_at(T0), witnessed.ahead_at(T0 + 100)), (0, -3433));
        witnessed.apply(T0 + 600, Operation::Close);
        assert_eq!(witnessed.used().values().next().unwrap().reports().values().last(), Some(&(T0 + 500..T0 + 600)));
    }

    #[test]
    fn a_stack_grows_and_shrinks() {
        let mut stack = Device::new(Arc::new(specs::stack("s-1", 3)), T0);
        let gone = stack.udi().clone();
        assert_eq!(stack.apply(T0, Operation::Leave(gone.clone())), Reply::Done);
        assert!(stack.apply(T0, Operation::Leave(gone.clone())).refusal().is_some());
        assert_eq!(stack.apply(T0, Operation::Join(gone.clone())), Reply::Done);
        let members = state(&mut stack, T0).members;
        let told: Vec<_> = members.iter().map(|member| format!("{:?}", member.role)).collect();
        assert_eq!(told, ["Active", "Standby", "Member"]);
        assert_eq!(members[2].udi, gone);
    }
}
