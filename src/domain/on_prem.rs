//! License On-Prem's own duty: a server that reports for others must itself synchronise with Cisco.
//!
//! Cisco's guides for Smart Software Manager On-Prem: a warning after 30 days without synchronisation, and after 90
//! days the local account is taken for gone. Whether the day is counted from the hour is not said; here it is.

use jiff::{SignedDuration, Timestamp};

use super::deadline::{Basis, ObligationState, Reason, Standing};
use super::event::OnPremSynced;
use super::fleet::OnPrem;

/// So many days without synchronisation On-Prem itself warns.
pub const WARNS_AFTER: i64 = 30;
/// After so many it is removed.
pub const REMOVED_AFTER: i64 = 90;

/// How a server's duty stands at an instant. No courier carries a synchronisation, so that it leaves when it is due.
pub fn standing(server: &OnPrem, at: Timestamp) -> Standing<'static> {
    let due = after(server.synced, REMOVED_AFTER);
    let left = due.duration_since(at);
    let state = if left < SignedDuration::ZERO {
        ObligationState::Overdue
    } else if warns(server).is_some_and(|warns| warns <= at) {
        ObligationState::DueSoon
    } else {
        ObligationState::Ok
    };
    Standing {
        state,
        due: Some(due),
        leave_by: Some(due),
        days_left: Some(left.as_secs_f64() / 86_400.0),
        period: Some(REMOVED_AFTER),
        basis: Basis::LastAckPlusFrequency,
        reason: Reason::Synchronised { on: server.synced, days: REMOVED_AFTER },
        computed: None,
        agrees: None,
    }
}

/// From when on the server itself warns; `None` beyond the end of time.
pub fn warns(server: &OnPrem) -> Option<Timestamp> {
    server.synced.checked_add(SignedDuration::from_hours(24 * WARNS_AFTER)).ok()
}

/// Why a synchronisation is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSynced {
    #[error("{synced} is later than now")]
    InFuture { synced: Timestamp },
    #[error("a License On-Prem server needs a name")]
    Unnamed,
}

/// A server synchronised.
pub fn synced(name: &str, synced: Timestamp, note: Option<String>, now: Timestamp) -> Result<OnPremSynced, NotSynced> {
    if name.trim().is_empty() {
        return Err(NotSynced::Unnamed);
    }
    if synced > now {
        return Err(NotSynced::InFuture { synced });
    }
    Ok(OnPremSynced { name: name.to_owned(), synced, note })
}

fn after(start: Timestamp, days: i64) -> Timestamp {
    start.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_due_soon_from_thirty_days_without_and_overdue_after_ninety() {
        let server = OnPrem { synced: at("2026-01-01T06:00:00Z"), note: None, told: at("2026-01-02T00:00:00Z") };
        let stand = |now: &str| standing(&server, at(now));
        for (now, state) in [
            ("2026-01-31T05:59:59Z", ObligationState::Ok),
            ("2026-01-31T06:00:00Z", ObligationState::DueSoon),
            ("2026-04-01T06:00:00Z", ObligationState::DueSoon),
            ("2026-04-01T06:00:01Z", ObligationState::Overdue),
        ] {
            assert_eq!(stand(now).state, state, "{now}");
        }
        let standing = stand("2026-03-31T06:00:00Z");
        assert_eq!((standing.due, standing.days_left), (Some(at("2026-04-01T06:00:00Z")), Some(1.0)));
        assert_eq!(standing.leave_by, standing.due);
        assert_eq!(standing.reason.to_string(), "License On-Prem synchronised with Cisco on 2026-01-01 + 90 days");
    }

    #[test]
    fn nobody_synchronises_tomorrow() {
        let now = at("2026-01-01T06:00:00Z");
        assert!(synced("ssm-1", now, None, now).is_ok());
        let later = at("2026-01-01T06:00:01Z");
        assert_eq!(synced("ssm-1", later, None, now), Err(NotSynced::InFuture { synced: later }));
        assert_eq!(synced(" ", now, None, now), Err(NotSynced::Unnamed));
    }
}
