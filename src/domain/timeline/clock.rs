//! How far the times of what was measured may be off.
//!
//! Reports are timed by the device's own clock, and stay so. Two things tell that it was wrong:
//!
//! * **Reports** tell each time the clock was moved. A clock is taken to be moved so that it is right, and the last
//!   move to have made it so: what was measured before is off by the sum of all moves that came after. A move and its
//!   reverse leave only what lies between them in doubt; one whose reverse is in a report that was lost, all before it.
//! * **Polls** tell how far the clock was from ours, where that is certain. What a poll saw held since the poll before.
//!
//! The larger of the two counts. Distances below a minute are the work of networks and are told of nothing.

use super::{Seconds, Timeline, What};

/// Clocks that are nearer to each other than this are the same.
const LEAST: u64 = 60;

/// So far a device's clock was ahead of ours at a poll; negative when it was behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skew {
    pub at: Seconds,
    pub ahead: i64,
}

/// By how many seconds what was measured of a licence between two instants may have been earlier or later than the
/// reports say; 0 where nothing tells of it. `timelines` are those of one licence, of all chassis of the instance;
/// `since_before` is the longest time between two polls.
pub fn uncertainty(timelines: &[&Timeline], skews: &[Skew], since_before: Seconds, from: Seconds, to: Seconds) -> u64 {
    let told = by_reports(timelines, from, to).max(by_polls(skews, since_before, from, to));
    if told < LEAST { 0 } else { told }
}

/// A move of the clock, in a measurement that began and ended then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    at: Seconds,
    until: Seconds,
    by: i64,
}

fn by_reports(timelines: &[&Timeline], from: Seconds, to: Seconds) -> u64 {
    let mut moves: Vec<Move> = timelines.iter().flat_map(|timeline| timeline.moves()).collect();
    moves.sort_unstable();
    let (mut off, mut most) = (0i64, 0u64);
    for at in (0..moves.len()).rev() {
        let own = moves[at];
        off = off.saturating_add(own.by);
        let begun = at.checked_sub(1).and_then(|before| moves.get(before)).map_or(Seconds::MIN, |before| before.at);
        if begun <= to && own.until >= from {
            most = most.max(off.unsigned_abs());
        }
    }
    most
}

fn by_polls(skews: &[Skew], since_before: Seconds, from: Seconds, to: Seconds) -> u64 {
    let bears = |(at, skew): (usize, &Skew)| {
        // Between these instants it was measured, and so much later or earlier is what it was taken for.
        let begun = if at == 0 { Seconds::MIN } else { skew.at.saturating_sub(since_before) };
        let ended = skews.get(at + 1).map_or(Seconds::MAX, |next| next.at);
        let (begun, ended) = (begun.saturating_add(skew.ahead), ended.saturating_add(skew.ahead));
        (begun <= to && ended >= from).then_some(skew.ahead.unsigned_abs())
    };
    skews.iter().enumerate().filter_map(bears).max().unwrap_or(0)
}

impl Timeline {
    fn moves(&self) -> impl Iterator<Item = Move> {
        self.changes.iter().filter_map(|change| {
            let What::ClockMoved(by) = change.what else { return None };
            let holds = |at: Seconds| move |one: &&super::Stretch| one.start <= at && at < one.end;
            // It begins as stated, or as the new clock would have shown it.
            let own = self.of(change.report);
            let by_new_clock = change.at.saturating_add(by);
            let telling = own.iter().find(holds(change.at)).or_else(|| own.iter().find(holds(by_new_clock)));
            let until = telling.map_or(change.at.max(by_new_clock), |one| one.end);
            Some(Move { at: change.at, until, by })
        })
    }
}
