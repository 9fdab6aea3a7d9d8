//! What falls due in the weeks to come, and when an exchange would serve best.
//!
//! A week is seven days from midnight UTC of the day of asking; what is overdue already counts to the first. For each
//! week in which a bundle would help, `exchange` is the latest instant at which nothing of that week has missed its
//! leave-by: the smallest leave-by of what falls due in it, or now where that is past. `resets` is how many
//! obligations within the days asked for such an exchange would meet: that week's and those of all later weeks, for
//! an ACK resets a clock however early it comes. What an earlier week's exchange met is not taken out of later
//! weeks: each row answers "if this were the only one".

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::instance::Site;
use super::settings::Reporter;
use super::status::Row;

/// One week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Week {
    pub from: Timestamp,
    /// The next week begins.
    pub until: Timestamp,
    /// How many fall due; those that are overdue already among them in the first week.
    pub due: usize,
    pub overdue: usize,
    pub sites: BTreeMap<Site, usize>,
    /// How many of `due` are nothing that a bundle of ours carries: somebody else reports, or it is On-Prem's own duty.
    pub others: usize,
    /// `null` where no bundle would help.
    pub exchange: Option<Timestamp>,
    pub resets: usize,
    /// How many of `due` would leave too late already.
    pub late: usize,
}

/// The weeks of so many days, the last one whole. `rows` is the register.
pub fn forecast(rows: &[Row], days: u16, now: Timestamp) -> Vec<Week> {
    let today = now.to_zoned(TimeZone::UTC).start_of_day().map_or(now, |midnight| midnight.timestamp());
    let start = |week: i64| today.checked_add(SignedDuration::from_hours(week * 7 * 24)).unwrap_or(Timestamp::MAX);
    let weeks = i64::from(days.div_ceil(7));
    let end = start(weeks);
    let owed: Vec<Owed> = rows.iter().filter_map(Owed::of).filter(|owed| owed.due < end).collect();
    let week = |number: i64| {
        let (from, until) = (start(number), start(number + 1));
        let own = || owed.iter().filter(|owed| owed.due < until && (owed.due >= from || number == 0));
        let mut sites = BTreeMap::new();
        for owed in own() {
            *sites.entry(owed.site.clone()).or_insert(0) += 1;
        }
        let carried = || own().filter(|owed| owed.carried);
        let exchange = carried().map(|owed| owed.leave_by).min().map(|first| first.max(now));
        let later = owed.iter().filter(|owed| owed.carried && owed.due >= until);
        let resets = exchange.map_or(0, |at| carried().count() + later.filter(|owed| owed.leave_by >= at).count());
        Week {
            from,
            until,
            due: own().count(),
            overdue: own().filter(|owed| owed.due < now).count(),
            sites,
            others: own().filter(|owed| !owed.carried).count(),
            exchange,
            resets,
            late: carried().filter(|owed| owed.leave_by < now).count(),
        }
    };
    (0..weeks).map(week).collect()
}

/// An obligation that has a deadline.
struct Owed<'a> {
    site: &'a Site,
    due: Timestamp,
    leave_by: Timestamp,
    /// Does a bundle of ours meet it?
    carried: bool,
}

impl<'a> Owed<'a> {
    fn of(row: &'a Row) -> Option<Owed<'a>> {
        let due = row.due?;
        Some(Owed {
            site: &row.site,
            due,
            leave_by: row.leave_by.unwrap_or(due),
            carried: row.on_prem.is_none() && row.reporter.is_none_or(|reporter| reporter == Reporter::Collector),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::tests::row;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_week_is_served_by_the_first_that_must_leave_and_later_ones_go_along() {
        // A Wednesday; leave-by is ten days earlier.
        let now = at("2026-03-04T15:00:00Z");
        let mut others = row("reports-itself", "a", "2026-03-25T00:00:00Z", 10);
        others.reporter = Some(Reporter::OnPrem);
        let rows = [
            row("overdue", "b", "2026-03-01T00:00:00Z", 10),
            row("tight", "a", "2026-03-19T00:00:00Z", 10),
            row("one", "a", "2026-03-26T00:00:00Z", 10),
            row("two", "b", "2026-03-27T00:00:00Z", 10),
            row("after", "a", "2026-04-20T00:00:00Z", 10),
            row("beyond", "a", "2026-09-01T00:00:00Z", 10),
            others,
        ];
        let weeks = forecast(&rows, 50, now);
        assert_eq!(weeks.len(), 8);
        assert_eq!((weeks[0].from, weeks[7].until), (at("2026-03-04T00:00:00Z"), at("2026-04-29T00:00:00Z")));
        let told = |week: usize| {
            let week = &weeks[week];
            (week.due, week.overdue, week.others, week.exchange, week.resets, week.late)
        };
        assert_eq!(told(0), (1, 1, 0, Some(now), 5, 1));
        assert_eq!(told(1), (0, 0, 0, None, 0, 0));
        assert_eq!(told(2), (1, 0, 0, Some(at("2026-03-09T00:00:00Z")), 4, 0));
        assert_eq!(told(3), (3, 0, 1, Some(at("2026-03-16T00:00:00Z")), 3, 0));
        assert_eq!(weeks[3].sites, [(Site::from("a"), 2), (Site::from("b"), 1)].into());
        assert_eq!(told(6), (1, 0, 0, Some(at("2026-04-10T00:00:00Z")), 1, 0));
        assert_eq!(forecast(&rows, 0, now), []);
    }
}
