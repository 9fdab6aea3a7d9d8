//! The ladder: so many days before leave-by and before due, then daily while overdue.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::deadline::Standing;

const DAY: i64 = 86_400;

/// The rungs, and the hour at which people are told of those passed on a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// Days before.
    pub rungs: Vec<u32>,
    pub daily: Daily,
}

/// A time of day.
#[derive(Clone, Debug, PartialEq)]
pub struct Daily {
    pub at: Time,
    pub zone: TimeZone,
}

impl Daily {
    /// The last time of day at or before an instant: what falls on one day is told together, and early rather than
    /// late.
    fn before(&self, at: Timestamp) -> Timestamp {
        let date = at.to_zoned(self.zone.clone()).date();
        let on = |date: jiff::civil::Date| date.to_datetime(self.at).to_zoned(self.zone.clone()).ok();
        let today = on(date).map(|zoned| zoned.timestamp()).filter(|today| *today <= at);
        today.or_else(|| Some(on(date.yesterday().ok()?)?.timestamp())).unwrap_or(at)
    }
}

impl Ladder {
    /// Before this instant no rung of a deadline is passed, however long its period; less the site's lead.
    pub fn begins(&self, due: Timestamp) -> Timestamp {
        // A day more, for the hour at which people are told.
        let days = self.rungs.iter().max().map_or(0, |days| i64::from(*days)) + 1;
        due.checked_sub(SignedDuration::from_secs(days * DAY)).unwrap_or(Timestamp::MIN)
    }

    /// When the last rung of a standing was passed; `None` where none is.
    pub fn passed(&self, standing: &Standing<'_>, daily: bool, now: Timestamp) -> Option<Timestamp> {
        let due = standing.due?;
        let targets = [standing.leave_by.unwrap_or(due), due];
        self.passed_of(&targets, due, standing.period, daily, now)
    }

    /// The last rung before these instants, or past the deadline; never one longer than a third of the period in days.
    /// `daily`: also every day after the deadline.
    pub fn passed_of(
        &self,
        targets: &[Timestamp],
        due: Timestamp,
        period: Option<i64>,
        daily: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if now > due {
            // Not the deadline itself: somebody may have been told at that very instant that it is near.
            let past = due.saturating_add(SignedDuration::from_secs(1)).unwrap_or(due);
            return Some(if daily { self.daily.before(now).max(past) } else { past });
        }
        let third = period.map_or(i64::MAX, |days| days / 3);
        let rungs = self.rungs.iter().map(|days| i64::from(*days)).filter(|days| *days <= third);
        let passed = rungs.flat_map(|days| targets.iter().map(move |target| (*target, days)));
        let passed = passed.filter_map(|(target, days)| target.checked_sub(SignedDuration::from_secs(days * DAY)).ok());
        // Only those near enough to matter are set to their hour.
        let told = passed.filter(|at| *at <= now.saturating_add(SignedDuration::from_secs(DAY)).unwrap_or(now));
        told.map(|at| self.daily.before(at)).filter(|at| *at <= now).max()
    }
}
