//! How obligations stand, by invented instances.

use super::*;
use crate::domain::event::{Event, Fact, StateRead, made};
use crate::domain::fleet::Fleet;
use crate::domain::instance::Udi;
use crate::domain::policy::ClassPolicy;
use crate::domain::state::{License, ReportSummary, Stamp, UsageReporting};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rules() -> Rules {
    let policy = Policy::cisco_default();
    let due_soon = SignedDuration::from_hours(30 * 24);
    Rules { due_soon, ios_xe: policy.clone(), ios_xr: policy.clone(), nx_os: policy }
}

fn slp() -> DeviceState {
    DeviceState { model: Model::Slp, policy: Some(Policy::cisco_default().into()), ..DeviceState::default() }
}

fn using(class: &str) -> License {
    License { count: Some(2), license_type: Some(class.into()), ..License::default() }
}

/// An instance whose state was read on 2026-01-01.
fn instance(state: DeviceState) -> Instance {
    let udi = Udi::new("C9300-24T", "FOC0000T001");
    let identified = made::identified("edge-1", udi.clone());
    let mut fleet = Fleet::default();
    let first = at("2026-01-01T00:00:00Z");
    fleet.apply(&Event { by: None, at: first, fact: Fact::DeviceIdentified(identified) });
    fleet.apply(&Event {
        by: None,
        at: first,
        fact: Fact::StateRead(StateRead { udi: udi.clone(), state: Box::new(state) }),
    });
    fleet.instances.remove(&udi).unwrap().into_inner()
}

fn stand(state: DeviceState, now: &str) -> Standing<'static> {
    let (instance, rules) = (Box::leak(Box::new(instance(state))), Box::leak(Box::new(rules())));
    standing(instance, SignedDuration::from_hours(240), rules, at(now))
}

#[test]
fn what_the_device_states_wins_and_is_cross_checked() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    state.usage_reporting = UsageReporting {
        last_ack: Some(Stamp::utc(at("2026-01-01T00:00:00Z")).into()),
        next_ack_deadline: Some(Stamp::utc(at("2026-04-01T12:00:00Z")).into()),
        ..UsageReporting::default()
    };
    let standing = stand(state.clone(), "2026-01-10T00:00:00Z");
    assert_eq!((standing.state, standing.basis), (ObligationState::Ok, Basis::DeviceStated));
    assert_eq!(standing.due, Some(at("2026-04-01T12:00:00Z")));
    assert_eq!(standing.leave_by, Some(at("2026-03-22T12:00:00Z")));
    assert_eq!((standing.computed, standing.agrees), (Some(at("2026-04-01T00:00:00Z")), Some(true)));
    state.usage_reporting.next_ack_deadline = Some(Stamp::utc(at("2026-06-01T00:00:00Z")).into());
    assert_eq!(stand(state, "2026-01-10T00:00:00Z").agrees, Some(false));
}

#[test]
fn an_ack_resets_the_clock_by_the_smallest_frequency_in_use() {
    let mut state = slp();
    state.licenses = vec![using("Perpetual").into(), using("Subscription").into()];
    state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")).into());
    let standing = stand(state.clone(), "2026-03-10T00:00:00Z");
    assert_eq!(standing.basis, Basis::LastAckPlusFrequency);
    assert_eq!(standing.due, Some(at("2026-04-01T00:00:00Z")));
    assert_eq!(standing.state, ObligationState::DueSoon);
    assert!(standing.reason.to_string().starts_with("last ACK 2026-01-01 + 90 days"), "{}", standing.reason);
    assert_eq!(stand(state.clone(), "2026-04-01T00:00:00Z").state, ObligationState::DueSoon);
    let late = stand(state.clone(), "2026-04-02T12:00:00Z");
    assert_eq!((late.state, late.days_left), (ObligationState::Overdue, Some(-1.5)));
    state.licenses = vec![using("Perpetual").into()];
    assert_eq!(stand(state, "2026-03-10T00:00:00Z").state, ObligationState::NotRequired);
}

#[test]
fn a_policy_that_was_installed_is_no_report_acknowledged() {
    let mut state = slp();
    state.licenses = vec![using("Perpetual").into(), using("Subscription").into()];
    let installed = Stamp::utc(at("2026-01-01T00:00:00Z"));
    state.usage_reporting.last_ack = Some(installed.clone().into());
    let policy = state.policy.as_mut().unwrap();
    policy.installed = Some(installed);
    policy.subscription = Some(ClassPolicy::of(30, 60, 60));
    state.reports = Some(ReportSummary { acknowledged: Some(0), ..ReportSummary::default() }.into());
    let first = stand(state.clone(), "2026-01-02T00:00:00Z");
    assert_eq!((first.basis, first.due), (Basis::FirstReport, Some(at("2026-01-31T00:00:00Z"))));
    state.reports = Some(ReportSummary { acknowledged: Some(1), ..ReportSummary::default() }.into());
    let later = stand(state, "2026-01-02T00:00:00Z");
    assert_eq!((later.basis, later.due), (Basis::LastAckPlusFrequency, Some(at("2026-03-02T00:00:00Z"))));
}

#[test]
fn the_first_report_counts_from_the_first_use() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    let standing = stand(state.clone(), "2026-01-02T00:00:00Z");
    assert_eq!((standing.state, standing.basis), (ObligationState::NeverReported, Basis::FirstReport));
    assert_eq!(standing.due, Some(at("2026-04-01T00:00:00Z")));
    assert!(standing.reason.to_string().contains("estimate"), "{}", standing.reason);
    state.policy = None;
    assert_eq!(stand(state, "2026-01-02T00:00:00Z").basis, Basis::ConfiguredDefault);
}

#[test]
fn due_soon_is_at_most_a_third_of_the_period() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    state.policy = Some(Policy { subscription: Some(ClassPolicy::of(30, 30, 30)), ..Policy::default() }.into());
    state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")).into());
    assert_eq!(stand(state.clone(), "2026-01-20T23:00:00Z").state, ObligationState::Ok);
    assert_eq!(stand(state, "2026-01-21T01:00:00Z").state, ObligationState::DueSoon);
}

#[test]
fn nothing_used_nothing_owed_and_other_models_are_told_apart() {
    assert_eq!(stand(slp(), "2026-01-02T00:00:00Z").state, ObligationState::NothingToReport);
    let classic = DeviceState { model: Model::ClassicSmartLicensing, ..slp() };
    assert_eq!(stand(classic, "2026-01-02T00:00:00Z").state, ObligationState::NotSlp);
}

#[test]
fn without_an_ack_in_the_policy_handing_over_counts_until_the_next_report_is_due() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    state.policy = Some(Policy { ack_required: Some(false), ..Policy::cisco_default() }.into());
    let mut instance = instance(state);
    let stand =
        |instance: &Instance, now: &str| standing(instance, SignedDuration::from_hours(240), &rules(), at(now)).state;
    assert_eq!(stand(&instance, "2026-01-10T00:00:00Z"), ObligationState::NeverReported);
    instance.last_handed_over = Some(at("2026-01-10T00:00:00Z"));
    assert_eq!(stand(&instance, "2026-01-11T00:00:00Z"), ObligationState::NotRequired);
    assert_eq!(stand(&instance, "2026-03-25T00:00:00Z"), ObligationState::DueSoon);
    assert_eq!(stand(&instance, "2026-05-01T00:00:00Z"), ObligationState::Overdue);
}

#[test]
fn where_nothing_is_known_nothing_is_claimed() {
    let unknown = stand(DeviceState::default(), "2026-01-02T00:00:00Z");
    assert_eq!((unknown.state, unknown.due), (ObligationState::Unknown, None));
}

#[test]
fn contact_is_not_state() {
    let day = SignedDuration::from_hours(72);
    assert_eq!(contact(None, day, at("2026-01-02T00:00:00Z")), Contact::Never);
    assert_eq!(contact(Some(at("2026-01-01T00:00:00Z")), day, at("2026-01-02T00:00:00Z")), Contact::Ok);
    assert_eq!(contact(Some(at("2026-01-01T00:00:00Z")), day, at("2026-01-09T00:00:00Z")), Contact::Stale);
}

#[test]
fn a_change_of_use_is_due_by_its_own_number_until_it_is_acknowledged() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    state.policy = Some(Policy { subscription: Some(ClassPolicy::of(30, 90, 20)), ..Policy::default() }.into());
    state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")).into());
    let mut instance = instance(state);
    let report = |id: u64, from: &str, to: &str, value: u64| {
        use crate::domain::report::made;
        let measured = made::measurement(Some(at(from)), Some(at(to)), value);
        made::report(Udi::new("C9300-24T", "FOC0000T001"), id, Some("regid.x"), vec![measured])
    };
    let mut fleet = Fleet::default();
    let udi = instance.udi.clone();
    fleet.instances.insert(udi.clone(), instance.into());
    for (id, from, to, value) in [
        (1, "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", 5),
        (2, "2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z", 5),
        (3, "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z", 7),
    ] {
        let collected = crate::domain::event::ReportCollected {
            device: None,
            report: report(id, from, to, value),
            object: crate::domain::digest::Sha256::ZERO,
            source: crate::domain::event::Source::Rest,
            parser: 1,
            presumed_acknowledged: false,
            feature: None,
        };
        fleet.apply(&Event { by: None, at: at("2026-01-07T00:00:00Z"), fact: Fact::ReportCollected(collected) });
    }
    instance = fleet.instances.remove(&udi).unwrap().into_inner();
    let rules = rules();
    let stand = |instance: &Instance| {
        let standing = standing(instance, SignedDuration::ZERO, &rules, at("2026-01-10T00:00:00Z"));
        (standing.basis, standing.due, standing.reason.to_string())
    };
    let (basis, due, reason) = stand(&instance);
    assert_eq!((basis, due), (Basis::ReportOnChange, Some(at("2026-01-25T00:00:00Z"))));
    assert!(reason.starts_with("use changed 2026-01-05 + 20 days"), "{reason}");
    instance.owed.clear();
    assert_eq!(stand(&instance).0, Basis::LastAckPlusFrequency);
}

#[test]
fn a_difference_from_what_the_device_states_is_told() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")).into());
    state.usage_reporting.next_ack_deadline = Some(Stamp::utc(at("2026-06-01T00:00:00Z")).into());
    let reason = stand(state, "2026-01-10T00:00:00Z").reason.to_string();
    assert_eq!(reason, "stated by the device, read 2026-01-01; by our own rule it would be 2026-04-01");
}

#[test]
fn the_obligation_of_a_retired_instance_ends() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    let mut instance = instance(state);
    let retired = crate::domain::fleet::Retirement {
        at: at("2026-01-05T00:00:00Z"),
        note: Some("sold".to_owned()),
        replaced_by: None,
        by: None,
    };
    instance.retired = Some(retired.into());
    let rules = rules();
    let standing = standing(&instance, SignedDuration::ZERO, &rules, at("2027-01-10T00:00:00Z"));
    assert_eq!((standing.state, standing.due), (ObligationState::NotRequired, None));
    assert_eq!(standing.reason.to_string(), "retired on 2026-01-05: sold");
}

#[test]
fn where_the_device_tells_no_time_of_its_ack_our_own_sight_of_it_counts() {
    let mut state = slp();
    state.licenses = vec![using("Subscription").into()];
    let mut instance = instance(state);
    instance.last_acknowledged = Some(at("2026-02-01T00:00:00Z"));
    let rules = rules();
    let stand = |instance: &Instance| {
        let standing = standing(instance, SignedDuration::ZERO, &rules, at("2026-02-02T00:00:00Z"));
        (standing.due, standing.reason.to_string())
    };
    let (due, reason) = stand(&instance);
    assert_eq!(due, Some(at("2026-05-02T00:00:00Z")));
    assert!(reason.contains("2026-02-01 (an estimate: when it was seen here) + 90 days"), "{reason}");
    let last_ack = &mut instance.state.as_mut().unwrap().usage_reporting.last_ack;
    *last_ack = Some(Stamp::utc(at("2026-01-31T00:00:00Z")).into());
    assert_eq!(stand(&instance).0, Some(at("2026-05-01T00:00:00Z")));
}
