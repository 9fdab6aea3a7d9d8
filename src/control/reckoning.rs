//! The register reckoned up: for a monitoring system, for the weeks to come, for an auditor.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::violations;
use crate::domain::event::Event;
use crate::domain::evidence::{Evidence, Reckoner};
use crate::domain::fleet::Fleet;
use crate::domain::forecast::{self, Week};
use crate::domain::monitor::{self, Health, Thresholds};
use crate::domain::status;
use crate::flow::{Error, House};
use crate::ledger;

pub(super) fn monitor(house: &House, thresholds: Thresholds) -> Health {
    let (fleet, now) = (house.ledger.fleet(), house.clock.now());
    let rows = status::rows(&fleet, &house.watched, &house.settings, now, now);
    let (violations, _) = violations::current(house, &fleet, now);
    monitor::judge(&rows, violations.values(), thresholds, now)
}

pub(super) fn forecast(house: &House, days: u16) -> Vec<Week> {
    let now = house.clock.now();
    let rows = status::rows(&house.ledger.fleet(), &house.watched, &house.settings, now, now);
    forecast::forecast(&rows, days, now)
}

/// So long before its deadline an obligation may have been met: a little more than the longest period of Cisco's policies.
const BEFORE: SignedDuration = SignedDuration::from_hours(400 * 24);

pub(super) fn evidence(
    house: &House,
    from: Timestamp,
    to: Timestamp,
    account: Option<String>,
) -> Result<Evidence, Error> {
    // What is to come is nobody's evidence.
    let to = to.min(house.clock.now());
    if from >= to {
        return Err(Error::Input(format!("the period from {from} to {to} is empty; it ends now at the latest")));
    }
    let (fleet, base, incomplete) = fold_before(house, from.checked_sub(BEFORE).unwrap_or(Timestamp::MIN))?;
    let period = (from, to);
    let rules = &house.settings.rules;
    let mut reckoner = Reckoner::new(fleet, base, incomplete, period, account, &house.watched, rules);
    house.ledger.events(Some(base), &mut |event: &Event| {
        if event.at > base {
            reckoner.take(event);
        }
        ControlFlow::Continue(())
    })?;
    Ok(reckoner.end())
}

/// The fold at an instant, or the oldest one that is kept.
fn fold_before(house: &House, at: Timestamp) -> Result<(Fleet, Timestamp, bool), Error> {
    match house.ledger.fleet_at(at) {
        Ok(fleet) => Ok((fleet, at, false)),
        Err(ledger::Error::BeforeHistory { oldest, .. }) => Ok((house.ledger.fleet_at(oldest)?, oldest, true)),
        Err(error) => Err(error.into()),
    }
}
