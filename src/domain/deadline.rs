//! When a product instance must have its acknowledgement, and how it stands.
//!
//! The device's own statement wins. Otherwise the rule is computed: last ACK plus the smallest
//! non-zero reporting frequency among the classes of licences in use; before the first ACK the
//! first-report requirement, counted from the first use. Source: the outputs of IOS XE
//! 17.3 to 17.15 that Cisco's own test suites publish; every row of them with a last ACK agrees.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fleet::Instance;
use super::policy::{ClassPolicy, LicenceClass, Policy};
use super::settings::words;
use super::state::{DeviceState, Model};

const DAY: i64 = 86_400;

/// The state of the obligation; the first that matches wins, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObligationState {
    NotSlp,
    Overdue,
    DueSoon,
    NeverReported,
    Ok,
    NotRequired,
    NothingToReport,
    Unknown,
}

words!(ObligationState {
    NotSlp = "not-slp",
    Overdue = "overdue",
    DueSoon = "due-soon",
    NeverReported = "never-reported",
    Ok = "ok",
    NotRequired = "not-required",
    NothingToReport = "nothing-to-report",
    Unknown = "unknown",
});

/// Whether we hear from the device; says nothing of the obligation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contact {
    Ok,
    Stale,
    Never,
}
words!(Contact { Ok = "ok", Stale = "stale", Never = "never" });

/// What a deadline rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    DeviceStated,
    LastAckPlusFrequency,
    FirstReport,
    ReportOnChange,
    ConfiguredDefault,
    NotRequired,
    Unknown,
}
words!(Basis {
    DeviceStated = "device-stated",
    LastAckPlusFrequency = "last-ack-plus-frequency",
    FirstReport = "first-report",
    ReportOnChange = "report-on-change",
    ConfiguredDefault = "configured-default",
    NotRequired = "not-required",
    Unknown = "unknown",
});

/// The numbers that judge every instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How long before its deadline an obligation is `due-soon`; at most a third of the period.
    pub due_soon: SignedDuration,
    /// What applies on each system where nobody stated a policy.
    pub ios_xe: Policy,
    pub ios_xr: Policy,
    pub nx_os: Policy,
}

impl Rules {
    /// The policy for a system by its word; IOS XE's where the system is unknown.
    fn default_policy(&self, os: Option<&str>) -> &Policy {
        match os {
            Some("ios-xr") => &self.ios_xr,
            Some("nx-os") => &self.nx_os,
            _ => &self.ios_xe,
        }
    }
}

/// How one obligation stands at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub state: ObligationState,
    pub due: Option<Timestamp>,
    /// `due` less the time that courier, portal and the way back take.
    pub leave_by: Option<Timestamp>,
    /// Days until `due`; negative when it is past.
    pub days_left: Option<f64>,
    pub basis: Basis,
    /// One sentence for a person.
    pub reason: String,
    /// Our own rule applied to what is known, as a cross-check.
    pub computed: Option<Timestamp>,
    /// Does `computed` lie within a day of `due`? `None` where one of them is missing.
    pub agrees: Option<bool>,
}

/// A deadline with what it rests on.
struct Deadline {
    due: Timestamp,
    basis: Basis,
    reason: String,
    /// Days from one ACK to the next.
    period: Option<i64>,
}

impl Deadline {
    /// The seconds before it in which it is `due-soon`: at most a third of the period.
    fn soon(&self, rules: &Rules) -> i64 {
        let third = self.period.map_or(i64::MAX, |days| days * DAY / 3);
        rules.due_soon.as_secs().min(third)
    }
}

/// How `instance` stands at the instant `at`. `lead` is the site's time for the exchange.
pub fn standing(instance: &Instance, lead: SignedDuration, rules: &Rules, at: Timestamp) -> Standing {
    let state = instance.state.as_ref();
    let model = state.map_or(Model::Unknown, |state| state.model);
    let computed = compute(instance, rules);
    let none = |state: ObligationState, basis: Basis, reason: String| Standing {
        state,
        due: None,
        leave_by: None,
        days_left: None,
        basis,
        reason,
        computed: computed.as_ref().map(|deadline| deadline.due),
        agrees: None,
    };

    match model {
        Model::Slp | Model::Unknown => {}
        Model::ClassicSmartLicensing
        | Model::SpecificLicenseReservation
        | Model::PermanentLicenseReservation
        | Model::Traditional
        | Model::Disabled => {
            let reason = "the device does not run Smart Licensing Using Policy".to_owned();
            return none(ObligationState::NotSlp, Basis::Unknown, reason);
        }
    }
    let handed_over = handed_over(instance);
    if let Some(handed) = &handed_over
        && handed.next.as_ref().is_none_or(|next| next.due.as_second() - at.as_second() > next.soon(rules))
    {
        return none(ObligationState::NotRequired, Basis::NotRequired, handed.reason.clone());
    }
    let stated = state.and_then(|state| {
        let due = state.usage_reporting.next_ack_deadline.as_ref()?.utc?;
        let read = instance.state_read.map_or(String::new(), |read| format!(", read {}", day(read)));
        let period = computed.as_ref().and_then(|deadline| deadline.period);
        Some(Deadline { due, basis: Basis::DeviceStated, reason: format!("stated by the device{read}"), period })
    });
    let next = handed_over.and_then(|handed| handed.next);
    let stated_or_computed = next.or(stated).or_else(|| compute(instance, rules));
    let Some(deadline) = stated_or_computed else {
        return if model == Model::Slp && !ever_used(instance) {
            let reason = "no licence was ever seen in use, so no report is owed".to_owned();
            none(ObligationState::NothingToReport, Basis::NotRequired, reason)
        } else if state.and_then(|state| state.policy.as_ref()).is_some() {
            let reason = "every number of the policy that applies is 0".to_owned();
            none(ObligationState::NotRequired, Basis::NotRequired, reason)
        } else {
            none(ObligationState::Unknown, Basis::Unknown, "neither a policy nor a deadline is known".to_owned())
        };
    };

    let left = deadline.due.as_second() - at.as_second();
    let soon = deadline.soon(rules);
    let state = if left < 0 {
        ObligationState::Overdue
    } else if left <= soon {
        ObligationState::DueSoon
    } else if never_acknowledged(instance) {
        ObligationState::NeverReported
    } else {
        ObligationState::Ok
    };
    Standing {
        state,
        due: Some(deadline.due),
        leave_by: deadline.due.checked_sub(lead).ok(),
        days_left: Some(left as f64 / DAY as f64),
        basis: deadline.basis,
        agrees: agrees(instance, computed.as_ref(), deadline.due),
        computed: computed.map(|deadline| deadline.due),
        reason: deadline.reason,
    }
}

/// Does our own rule give the same day? Where the device does not tell which classes are in use,
/// any class's number may be the one that counts, and a later deadline says nothing.
fn agrees(instance: &Instance, computed: Option<&Deadline>, due: Timestamp) -> Option<bool> {
    let near = |other: Timestamp| (other.as_second() - due.as_second()).abs() <= DAY;
    let computed = computed?;
    if near(computed.due) {
        return Some(true);
    }
    let state = instance.state.as_ref();
    match Classes::of(state) {
        Classes::Stated(_) => Some(false),
        Classes::Any => {
            let last_ack = state?.usage_reporting.last_ack.as_ref()?.utc?;
            let policy = state?.policy.as_ref()?;
            let frequencies =
                LicenceClass::ALL.iter().filter_map(|class| policy.class(*class)?.reporting_frequency_days);
            let any = frequencies.into_iter().any(|days| after(last_ack, i64::from(days)).is_some_and(near));
            if any { Some(true) } else { (due < computed.due).then_some(false) }
        }
    }
}

/// How contact with a device stands; `stale_after` is the silence that is still fine.
pub fn contact(last: Option<Timestamp>, stale_after: SignedDuration, now: Timestamp) -> Contact {
    match last {
        None => Contact::Never,
        Some(last) if now.duration_since(last) > stale_after => Contact::Stale,
        Some(_) => Contact::Ok,
    }
}

/// An obligation met by handing over.
struct HandedOver {
    reason: String,
    /// When the next report is due; `None` where the policy wants none.
    next: Option<Deadline>,
}

/// Where the policy asks no ACK, handing a report over meets the obligation until the next is due.
fn handed_over(instance: &Instance) -> Option<HandedOver> {
    let state = instance.state.as_ref()?;
    let policy = state.policy.as_ref().filter(|policy| policy.ack_required == Some(false))?;
    let handed = instance.last_handed_over?;
    if instance.waiting().any(|owed| owed.bundle.is_none() || owed.collected > handed) {
        return None;
    }
    let days = Classes::of(Some(state)).smallest(policy, |class| class.reporting_frequency_days);
    let next = days.and_then(|days| {
        let reason = format!("handed over {} + {days} days; the policy asks for no ACK", day(handed));
        Some(Deadline { due: after(handed, days)?, basis: Basis::LastAckPlusFrequency, reason, period: Some(days) })
    });
    let reason = format!("the policy asks for no ACK, and the reports were handed over on {}", day(handed));
    Some(HandedOver { reason, next })
}

fn compute(instance: &Instance, rules: &Rules) -> Option<Deadline> {
    let state = instance.state.as_ref();
    let stated = state.and_then(|state| state.policy.as_ref());
    let policy = stated.unwrap_or_else(|| rules.default_policy(instance.os.as_deref()));
    let classes = Classes::of(state);
    let named = policy.name.as_ref().map_or_else(
        || format!("the {} policy", policy.source.as_deref().unwrap_or("stated")),
        |name| format!("policy '{}'", name.escape_debug()),
    );
    let frequency = classes.smallest(policy, |class| class.reporting_frequency_days);
    let last_ack = state.and_then(|state| state.usage_reporting.last_ack.as_ref()).and_then(|stamp| stamp.utc);
    if let Some(last_ack) = last_ack {
        let days = frequency?;
        // A device counts the installation of a policy as an ACK. While no report was acknowledged, the number for
        // the first report holds where it is smaller (inferred from one output of agent 6.3).
        let first = classes.smallest(policy, |class| class.first_report_days).filter(|first| *first < days);
        if let Some(first) = first.filter(|_| is_installation(state, policy, last_ack)) {
            return Some(Deadline {
                due: after(last_ack, first)?,
                basis: Basis::FirstReport,
                reason: format!("first report {first} days after {named} was installed {}, {classes}", day(last_ack)),
                period: Some(days),
            });
        }
        return Some(Deadline {
            due: after(last_ack, days)?,
            basis: if stated.is_some() { Basis::LastAckPlusFrequency } else { Basis::ConfiguredDefault },
            reason: format!("last ACK {} + {days} days of {named}, {classes}", day(last_ack)),
            period: Some(days),
        });
    }
    let days = classes.smallest(policy, |class| class.first_report_days)?;
    let (start, estimate) = match (instance.earliest_report, instance.first_in_use) {
        (Some(start), _) => (start, ""),
        (None, Some(seen)) => (seen, " (an estimate: the first time we saw a licence in use)"),
        (None, None) => return None,
    };
    Some(Deadline {
        due: after(start, days)?,
        basis: if stated.is_some() { Basis::FirstReport } else { Basis::ConfiguredDefault },
        reason: format!("first report {days} days after {}{estimate} by {named}, {classes}", day(start)),
        period: frequency.or(Some(days)),
    })
}

/// Is the last ACK nothing but the installation of the policy?
fn is_installation(state: Option<&DeviceState>, policy: &Policy, last_ack: Timestamp) -> bool {
    let acknowledged = state.and_then(|state| state.reports.as_ref()?.acknowledged);
    let installed = policy.installed.as_ref().and_then(|installed| installed.utc);
    acknowledged == Some(0) && installed == Some(last_ack)
}

fn after(start: Timestamp, days: i64) -> Option<Timestamp> {
    start.checked_add(SignedDuration::from_secs(days * DAY)).ok()
}

fn ever_used(instance: &Instance) -> bool {
    instance.first_in_use.is_some() || instance.earliest_report.is_some() || !instance.collected.is_empty()
}

fn never_acknowledged(instance: &Instance) -> bool {
    let last_ack = instance.state.as_ref().is_some_and(|state| state.usage_reporting.last_ack.is_some());
    !last_ack && instance.acknowledged.is_empty()
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// The classes whose numbers apply.
enum Classes {
    /// The device tells the class of every licence in use.
    Stated(Vec<LicenceClass>),
    /// It does not tell all of them, so the earliest deadline of any class is taken.
    Any,
}

impl Classes {
    fn of(state: Option<&DeviceState>) -> Classes {
        let in_use = state.into_iter().flat_map(|state| &state.licenses).filter(|license| license.in_use());
        let classes: Option<Vec<LicenceClass>> = in_use.map(|license| license.class()).collect();
        match classes {
            Some(mut classes) if !classes.is_empty() => {
                classes.sort_by_key(|class| *class as u8);
                classes.dedup();
                Classes::Stated(classes)
            }
            _ => Classes::Any,
        }
    }

    fn smallest(&self, policy: &Policy, number: impl Fn(&ClassPolicy) -> Option<u32>) -> Option<i64> {
        let classes = match self {
            Classes::Stated(classes) => classes.as_slice(),
            Classes::Any => &LicenceClass::ALL,
        };
        let numbers = classes.iter().filter_map(|class| number(policy.class(*class)?));
        numbers.filter(|days| *days > 0).min().map(i64::from)
    }
}

impl std::fmt::Display for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let classes = match self {
            Classes::Any => return f.write_str("the earliest of all classes (the device does not tell its own)"),
            Classes::Stated(classes) => classes,
        };
        for (index, class) in classes.iter().enumerate() {
            let word = match class {
                LicenceClass::Perpetual => "perpetual",
                LicenceClass::Subscription => "subscription",
                LicenceClass::Enforced => "enforced",
                LicenceClass::Export => "export-controlled",
            };
            write!(f, "{}{word}", if index == 0 { "" } else { " and " })?;
        }
        f.write_str(" licences in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{DeviceIdentified, Event, Fact, StateRead};
    use crate::domain::fleet::Fleet;
    use crate::domain::instance::{Site, Udi};
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
        DeviceState { model: Model::Slp, policy: Some(Policy::cisco_default()), ..DeviceState::default() }
    }

    fn using(class: &str) -> License {
        License { count: Some(2), license_type: Some(class.to_owned()), ..License::default() }
    }

    /// An instance whose state was read on 2026-01-01.
    fn instance(state: DeviceState) -> Instance {
        let udi = Udi::new("C9300-24T", "FOC0000T001");
        let identified = DeviceIdentified {
            device: "edge-1".into(),
            site: Site::default(),
            udi: udi.clone(),
            uuid: None,
            members: Vec::new(),
            os: "ios-xe".to_owned(),
            software: None,
            hostname: None,
            clock_skew_seconds: None,
        };
        let mut fleet = Fleet::default();
        let first = at("2026-01-01T00:00:00Z");
        fleet.apply(&Event { at: first, fact: Fact::DeviceIdentified(identified) });
        fleet
            .apply(&Event { at: first, fact: Fact::StateRead(StateRead { udi: udi.clone(), state: Box::new(state) }) });
        *fleet.instances.remove(&udi).unwrap()
    }

    fn stand(state: DeviceState, now: &str) -> Standing {
        standing(&instance(state), SignedDuration::from_hours(240), &rules(), at(now))
    }

    #[test]
    fn what_the_device_states_wins_and_is_cross_checked() {
        let mut state = slp();
        state.licenses = vec![using("Subscription")];
        state.usage_reporting = UsageReporting {
            last_ack: Some(Stamp::utc(at("2026-01-01T00:00:00Z"))),
            next_ack_deadline: Some(Stamp::utc(at("2026-04-01T12:00:00Z"))),
            ..UsageReporting::default()
        };
        let standing = stand(state.clone(), "2026-01-10T00:00:00Z");
        assert_eq!((standing.state, standing.basis), (ObligationState::Ok, Basis::DeviceStated));
        assert_eq!(standing.due, Some(at("2026-04-01T12:00:00Z")));
        assert_eq!(standing.leave_by, Some(at("2026-03-22T12:00:00Z")));
        assert_eq!((standing.computed, standing.agrees), (Some(at("2026-04-01T00:00:00Z")), Some(true)));
        state.usage_reporting.next_ack_deadline = Some(Stamp::utc(at("2026-06-01T00:00:00Z")));
        assert_eq!(stand(state, "2026-01-10T00:00:00Z").agrees, Some(false));
    }

    #[test]
    fn an_ack_resets_the_clock_by_the_smallest_frequency_in_use() {
        let mut state = slp();
        state.licenses = vec![using("Perpetual"), using("Subscription")];
        state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")));
        let standing = stand(state.clone(), "2026-03-10T00:00:00Z");
        assert_eq!(standing.basis, Basis::LastAckPlusFrequency);
        assert_eq!(standing.due, Some(at("2026-04-01T00:00:00Z")));
        assert_eq!(standing.state, ObligationState::DueSoon);
        assert!(standing.reason.starts_with("last ACK 2026-01-01 + 90 days"), "{}", standing.reason);
        assert_eq!(stand(state.clone(), "2026-04-01T00:00:00Z").state, ObligationState::DueSoon);
        let late = stand(state.clone(), "2026-04-02T12:00:00Z");
        assert_eq!((late.state, late.days_left), (ObligationState::Overdue, Some(-1.5)));
        state.licenses = vec![using("Perpetual")];
        assert_eq!(stand(state, "2026-03-10T00:00:00Z").state, ObligationState::NotRequired);
    }

    #[test]
    fn a_policy_that_was_installed_is_no_report_acknowledged() {
        let mut state = slp();
        state.licenses = vec![using("Perpetual"), using("Subscription")];
        let installed = Stamp::utc(at("2026-01-01T00:00:00Z"));
        state.usage_reporting.last_ack = Some(installed.clone());
        let policy = state.policy.as_mut().unwrap();
        policy.installed = Some(installed);
        policy.subscription = Some(ClassPolicy::of(30, 60, 60));
        state.reports = Some(ReportSummary { acknowledged: Some(0), ..ReportSummary::default() });
        let first = stand(state.clone(), "2026-01-02T00:00:00Z");
        assert_eq!((first.basis, first.due), (Basis::FirstReport, Some(at("2026-01-31T00:00:00Z"))));
        state.reports = Some(ReportSummary { acknowledged: Some(1), ..ReportSummary::default() });
        let later = stand(state, "2026-01-02T00:00:00Z");
        assert_eq!((later.basis, later.due), (Basis::LastAckPlusFrequency, Some(at("2026-03-02T00:00:00Z"))));
    }

    #[test]
    fn the_first_report_counts_from_the_first_use() {
        let mut state = slp();
        state.licenses = vec![using("Subscription")];
        let standing = stand(state.clone(), "2026-01-02T00:00:00Z");
        assert_eq!((standing.state, standing.basis), (ObligationState::NeverReported, Basis::FirstReport));
        assert_eq!(standing.due, Some(at("2026-04-01T00:00:00Z")));
        assert!(standing.reason.contains("estimate"), "{}", standing.reason);
        state.policy = None;
        assert_eq!(stand(state, "2026-01-02T00:00:00Z").basis, Basis::ConfiguredDefault);
    }

    #[test]
    fn due_soon_is_at_most_a_third_of_the_period() {
        let mut state = slp();
        state.licenses = vec![using("Subscription")];
        state.policy = Some(Policy { subscription: Some(ClassPolicy::of(30, 30, 30)), ..Policy::default() });
        state.usage_reporting.last_ack = Some(Stamp::utc(at("2026-01-01T00:00:00Z")));
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
        state.licenses = vec![using("Subscription")];
        state.policy = Some(Policy { ack_required: Some(false), ..Policy::cisco_default() });
        let mut instance = instance(state);
        let stand = |instance: &Instance, now: &str| {
            standing(instance, SignedDuration::from_hours(240), &rules(), at(now)).state
        };
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
}
