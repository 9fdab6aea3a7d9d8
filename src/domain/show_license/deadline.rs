//! The deadline that a device printed, and our own rule over the same text.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::stamp::{as_printed, is_utc, printed};
use crate::domain::deadline::{Basis, ObligationState, Rules, standing};
use crate::domain::fleet::Instance;
use crate::domain::instance::Udi;
use crate::domain::policy::Policy;
use crate::domain::state::{DeviceState, Stamp};

/// A printed deadline and its cross-check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrossCheck {
    pub due: Option<Stamp>,
    pub basis: Basis,
    /// By our own rule, from what was printed and nothing else.
    pub computed: Option<Stamp>,
    pub agrees: Option<bool>,
}

/// Applies the rule of [`crate::domain::deadline`] to one printed state.
///
/// Where the times are local and their distance from UTC is not known, the rule is applied to the clock's readings:
/// distances in days are the same, but for an hour in spring and autumn.
pub fn cross_check(state: &DeviceState, os: Option<&str>) -> CrossCheck {
    let reporting = &state.usage_reporting;
    let stated = reporting.next_ack_deadline.as_deref();
    let zone = local_zone([reporting.last_ack.as_deref(), stated, installed(state)]);
    let mut known = state.clone();
    if zone.is_some() {
        let reporting = &mut known.usage_reporting;
        let installed = known.policy.as_mut().and_then(|policy| policy.installed.as_mut());
        for stamp in [reporting.last_ack.as_deref_mut(), reporting.next_ack_deadline.as_deref_mut(), installed]
            .into_iter()
            .flatten()
        {
            stamp.utc = printed(&stamp.text).and_then(|printed| printed.as_if_utc());
        }
    }
    let comparable = known.usage_reporting.next_ack_deadline.as_ref().is_some_and(|stated| stated.utc.is_some());
    let mut instance = Instance::new(known.udi.clone().unwrap_or_else(|| Udi::new("", "")), Timestamp::UNIX_EPOCH);
    instance.os = os.map(Arc::from);
    // An ACK tells that licences were used; since when does not matter after it.
    let acknowledged = known.usage_reporting.last_ack.as_ref().is_some_and(|last_ack| last_ack.utc.is_some());
    instance.first_in_use = acknowledged.then_some(Timestamp::UNIX_EPOCH);
    instance.state = Some(known);
    // Only what was printed counts: no default policy, no time for the exchange.
    let none = Policy::default();
    let rules = Rules { due_soon: SignedDuration::ZERO, ios_xe: none.clone(), ios_xr: none.clone(), nx_os: none };
    let standing = standing(&instance, SignedDuration::ZERO, &rules, Timestamp::UNIX_EPOCH);
    let shown = |at: Timestamp| match &zone {
        Some(zone) => Stamp { text: as_printed(at, zone).into(), utc: None },
        None => Stamp { text: as_printed(at, "UTC").into(), utc: Some(at) },
    };
    let basis = match (stated, standing.state) {
        (Some(_), _) => Basis::DeviceStated,
        // One text cannot tell that a licence was never used.
        (None, ObligationState::NothingToReport) => Basis::Unknown,
        (None, _) => standing.basis,
    };
    CrossCheck {
        due: stated.cloned().or_else(|| standing.due.map(shown)),
        basis,
        computed: standing.computed.map(shown),
        agrees: standing.agrees.filter(|_| comparable),
    }
}

fn installed(state: &DeviceState) -> Option<&Stamp> {
    state.policy.as_ref()?.installed.as_ref()
}

/// The local zone of the last ACK, where no time's UTC is known. Names differ between winter and summer: a distance
/// is counted on the clock of its beginning.
fn local_zone<const N: usize>(stamps: [Option<&Stamp>; N]) -> Option<String> {
    let mut first = None;
    for stamp in stamps.into_iter().flatten() {
        let own = if stamp.utc.is_none() { printed(&stamp.text)?.zone.unwrap_or_default() } else { return None };
        if is_utc(&own) {
            return None;
        }
        first.get_or_insert(own);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::ClassPolicy;
    use crate::domain::state::{Model, UsageReporting};

    fn stamp(text: &str) -> Option<Stamp> {
        super::super::stamp::stamp(text, None)
    }

    fn check(last_ack: &str, deadline: &str) -> CrossCheck {
        let usage_reporting = UsageReporting {
            last_ack: stamp(last_ack).map(Into::into),
            next_ack_deadline: stamp(deadline).map(Into::into),
            ..UsageReporting::default()
        };
        let policy = Some(Policy::cisco_default());
        cross_check(
            &DeviceState {
                model: Model::Slp,
                policy: policy.map(Into::into),
                usage_reporting,
                ..DeviceState::default()
            },
            None,
        )
    }

    #[test]
    fn a_deadline_is_computed_on_the_clock_of_the_last_ack() {
        let local = check("Jan 15 10:00:00 2027 CET", "Apr 15 11:00:00 2027 CEST");
        assert_eq!(local.computed, Some(Stamp { text: "Apr 15 10:00:00 2027 CET".into(), utc: None }));
        assert_eq!((local.basis, local.agrees), (Basis::DeviceStated, Some(true)));
        let late = check("Jan 15 10:00:00 2027 UTC", "Aug 15 10:00:00 2027 UTC");
        assert_eq!(late.agrees, None, "no class in use is told: a later deadline says nothing");
        let mixed = check("Jan 15 10:00:00 2027 UTC", "Apr 15 11:00:00 2027 CEST");
        assert_eq!(mixed.agrees, None);
    }

    #[test]
    fn what_is_not_printed_is_not_claimed() {
        let nothing = check("<none>", "<none>");
        assert_eq!((nothing.due, nothing.basis, nothing.computed), (None, Basis::Unknown, None));
        let ours = check("Jan 15 10:00:00 2027 UTC", "<none>");
        assert_eq!((ours.basis, ours.agrees), (Basis::LastAckPlusFrequency, None));
        assert_eq!(ours.due, ours.computed);
        let zeros = ClassPolicy::of(365, 0, 90);
        let policy = Policy { perpetual: Some(zeros), subscription: Some(zeros), ..Policy::default() };
        let usage_reporting =
            UsageReporting { last_ack: stamp("Jan 15 10:00:00 2027 IST").map(Into::into), ..UsageReporting::default() };
        let state =
            DeviceState { model: Model::Slp, policy: Some(policy.into()), usage_reporting, ..DeviceState::default() };
        let not_required = cross_check(&state, None);
        assert_eq!((not_required.basis, not_required.due), (Basis::NotRequired, None));
        let classic = DeviceState { model: Model::ClassicSmartLicensing, ..DeviceState::default() };
        assert_eq!(cross_check(&classic, None).basis, Basis::Unknown);
    }
}
