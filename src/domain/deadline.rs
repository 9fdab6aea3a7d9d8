//! When a product instance must have its acknowledgement, and how it stands.
//!
//! The device's own statement wins. Otherwise the rule is computed: last ACK plus the smallest
//! non-zero reporting frequency among the classes of licences in use; before the first ACK the
//! first-report requirement, counted from the first use. Source: the outputs of IOS XE
//! 17.3 to 17.15 that Cisco's own test suites publish; every row of them with a last ACK agrees.

mod classes;
mod reason;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fleet::{Confirmation, Instance};
use super::policy::{LicenceClass, Policy};
use super::settings::words;
use super::state::{DeviceState, Model};

use classes::Classes;
pub(in crate::domain) use reason::day;
pub use reason::{AckBy, Reason};

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
pub struct Standing<'a> {
    pub state: ObligationState,
    pub due: Option<Timestamp>,
    /// `due` less the time that courier, portal and the way back take.
    pub leave_by: Option<Timestamp>,
    /// Days until `due`; negative when it is past.
    pub days_left: Option<f64>,
    /// Days from one deadline to the next, where one is due.
    pub period: Option<i64>,
    pub basis: Basis,
    /// One sentence for a person.
    pub reason: Reason<'a>,
    /// Our own rule applied to what is known, as a cross-check.
    pub computed: Option<Timestamp>,
    /// Does our own rule lie within a day of `due`? `None` where one of them is missing.
    pub agrees: Option<bool>,
}

/// A deadline with what it rests on.
#[derive(Clone, Copy)]
struct Deadline<'a> {
    due: Timestamp,
    basis: Basis,
    reason: Reason<'a>,
    /// Days from one ACK to the next.
    period: Option<i64>,
}

impl Deadline<'_> {
    /// The seconds before it in which it is `due-soon`: at most a third of the period.
    fn soon(&self, rules: &Rules) -> i64 {
        let third = self.period.map_or(i64::MAX, |days| days * DAY / 3);
        rules.due_soon.as_secs().min(third)
    }
}

/// How `instance` stands at the instant `at`. `lead` is the site's time for the exchange.
///
/// Makes no text: a fleet of 100,000 is judged in one go. [`Reason`] is written where it is shown.
pub fn standing<'a>(instance: &'a Instance, lead: SignedDuration, rules: &'a Rules, at: Timestamp) -> Standing<'a> {
    let state = instance.state.as_ref();
    let model = state.map_or(Model::Unknown, |state| state.model);
    let classes = Classes::of(state);
    let by_rule = by_rule(instance, classes, rules);
    let computed = earlier(by_rule, changed(instance, classes, rules));
    let none = |state: ObligationState, basis: Basis, reason: Reason<'a>| Standing {
        state,
        due: None,
        leave_by: None,
        days_left: None,
        period: None,
        basis,
        reason,
        computed: computed.map(|deadline| deadline.due),
        agrees: None,
    };

    match model {
        Model::Slp | Model::Unknown => {}
        Model::ClassicSmartLicensing
        | Model::SpecificLicenseReservation
        | Model::PermanentLicenseReservation
        | Model::Traditional
        | Model::Disabled => return none(ObligationState::NotSlp, Basis::Unknown, Reason::NotSlp),
    }
    if let Some(retired) = &instance.retired {
        return none(ObligationState::NotRequired, Basis::NotRequired, Reason::Retired(retired));
    }
    let handed_over = handed_over(instance, classes);
    if let Some(handed) = &handed_over
        && handed.next.is_none_or(|next| next.due.as_second() - at.as_second() > next.soon(rules))
    {
        return none(ObligationState::NotRequired, Basis::NotRequired, Reason::HandedOver { on: handed.on });
    }
    let stated = state.and_then(|state| {
        let due = state.usage_reporting.next_ack_deadline.as_ref()?.utc?;
        let period = computed.and_then(|deadline| deadline.period);
        let reason = Reason::Stated { read: instance.state_read, differs: None };
        Some(Deadline { due, basis: Basis::DeviceStated, reason, period })
    });
    let next = handed_over.and_then(|handed| handed.next);
    let Some(mut deadline) = next.or(stated).or(computed) else {
        return if model == Model::Slp && !ever_used(instance) {
            none(ObligationState::NothingToReport, Basis::NotRequired, Reason::NeverUsed)
        } else if state.and_then(|state| state.policy.as_ref()).is_some() {
            none(ObligationState::NotRequired, Basis::NotRequired, Reason::NoNumber)
        } else {
            none(ObligationState::Unknown, Basis::Unknown, Reason::Unknown)
        };
    };

    // What the device states may count a change of use or not: either is agreement.
    let agrees = match (agrees(instance, classes, by_rule, deadline.due), by_rule.is_some()) {
        (Some(false), _) | (None, true) => agrees(instance, classes, computed, deadline.due),
        (known, _) => known,
    };
    if let (Reason::Stated { differs, .. }, Some(false)) = (&mut deadline.reason, agrees) {
        *differs = computed.map(|computed| computed.due);
    }
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
        period: deadline.period,
        basis: deadline.basis,
        agrees,
        computed: computed.map(|deadline| deadline.due),
        reason: deadline.reason,
    }
}

fn earlier<'a>(one: Option<Deadline<'a>>, other: Option<Deadline<'a>>) -> Option<Deadline<'a>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.due < one.due { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Does our own rule give the same day? Where the device does not tell which classes are in use,
/// any class's number may be the one that counts, and a later deadline says nothing.
fn agrees(instance: &Instance, classes: Classes, computed: Option<Deadline<'_>>, due: Timestamp) -> Option<bool> {
    let near = |other: Timestamp| (other.as_second() - due.as_second()).abs() <= DAY;
    let computed = computed?;
    if near(computed.due) {
        return Some(true);
    }
    let state = instance.state.as_ref();
    match classes {
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
struct HandedOver<'a> {
    on: Timestamp,
    /// When the next report is due; `None` where the policy wants none.
    next: Option<Deadline<'a>>,
}

/// Where the policy asks no ACK, handing a report over meets the obligation until the next is due.
fn handed_over(instance: &Instance, classes: Classes) -> Option<HandedOver<'_>> {
    let state = instance.state.as_ref()?;
    let policy = state.policy.as_ref().filter(|policy| policy.ack_required == Some(false))?;
    let on = instance.last_handed_over?;
    if instance.waiting().any(|owed| owed.bundle.is_none() || owed.collected > on) {
        return None;
    }
    let days = classes.smallest(policy, |class| class.reporting_frequency_days);
    let next = days.and_then(|days| {
        let reason = Reason::AfterHandover { on, days };
        Some(Deadline { due: after(on, days)?, basis: Basis::LastAckPlusFrequency, reason, period: Some(days) })
    });
    Some(HandedOver { on, next })
}

/// The policy that applies, and whether the device stated it.
fn policy_of<'a>(instance: &'a Instance, rules: &'a Rules) -> (&'a Policy, bool) {
    match instance.state.as_ref().and_then(|state| state.policy.as_ref()) {
        Some(stated) => (stated, true),
        None => (rules.default_policy(instance.os.as_deref()), false),
    }
}

/// By the last ACK or, before the first, by the first-report requirement.
fn by_rule<'a>(instance: &'a Instance, classes: Classes, rules: &'a Rules) -> Option<Deadline<'a>> {
    let state = instance.state.as_ref();
    let (policy, stated) = policy_of(instance, rules);
    let basis = |basis| if stated { basis } else { Basis::ConfiguredDefault };
    let frequency = classes.smallest(policy, |class| class.reporting_frequency_days);
    if let Some(ack) = last_ack(instance) {
        let days = frequency?;
        // A device counts the installation of a policy as an ACK. While no report was acknowledged, the number for
        // the first report holds where it is smaller (inferred from one output of agent 6.3).
        let first = classes.smallest(policy, |class| class.first_report_days).filter(|first| *first < days);
        let installed = installation(state, policy, ack).zip(first);
        let installed = installed.and_then(|(at, first)| Some((at, first, after(at, first)?)));
        let usual = after(ack, days);
        if let Some((installed, first, due)) = installed.filter(|(.., due)| usual.is_none_or(|usual| *due < usual)) {
            let reason = Reason::AfterInstallation { installed, days: first, policy, classes };
            return Some(Deadline { due, basis: Basis::FirstReport, reason, period: Some(days) });
        }
        let told = match (stated_ack(instance), instance.confirmation) {
            (Some(_), _) => AckBy::Device,
            (None, Some(Confirmation::ByPerson)) => AckBy::Person,
            (None, Some(Confirmation::ByTime | Confirmation::ById) | None) => AckBy::Seen,
        };
        let reason = Reason::AfterAck { ack, told, days, policy, classes };
        let basis = basis(Basis::LastAckPlusFrequency);
        return Some(Deadline { due: usual?, basis, reason, period: Some(days) });
    }
    let days = classes.smallest(policy, |class| class.first_report_days)?;
    let (start, estimate) = match (instance.earliest_report, instance.first_in_use) {
        (Some(start), _) => (start, false),
        (None, Some(seen)) => (seen, true),
        (None, None) => return None,
    };
    let reason = Reason::FirstReport { start, estimate, days, policy, classes };
    Some(Deadline {
        due: after(start, days)?,
        basis: basis(Basis::FirstReport),
        reason,
        period: frequency.or(Some(days)),
    })
}

/// By the oldest change of use that no ACK covers, as far as reports tell.
fn changed<'a>(instance: &'a Instance, classes: Classes, rules: &'a Rules) -> Option<Deadline<'a>> {
    let ack = last_ack(instance);
    let changes = instance.waiting().filter_map(|owed| owed.change);
    let change = changes.filter(|change| ack.is_none_or(|ack| *change > ack)).min()?;
    let (policy, stated) = policy_of(instance, rules);
    let days = classes.smallest(policy, |class| class.report_on_change_days)?;
    let basis = if stated { Basis::ReportOnChange } else { Basis::ConfiguredDefault };
    let reason = Reason::Change { change, days, policy, classes };
    Some(Deadline { due: after(change, days)?, basis, reason, period: Some(days) })
}

/// The oldest change of use that no ACK covers, and until when it must be reported.
pub(super) struct ChangeDue {
    pub change: Timestamp,
    pub days: i64,
    pub due: Timestamp,
}

/// `None` where reports tell no change, or the policy has no number for one.
pub(super) fn change_due(instance: &Instance, rules: &Rules) -> Option<ChangeDue> {
    let Deadline { due, reason, .. } = changed(instance, Classes::of(instance.state.as_ref()), rules)?;
    let Reason::Change { change, days, .. } = reason else { return None };
    Some(ChangeDue { change, days, due })
}

/// The last ACK by the device's own word, else when we learned of it; that comes later, at most by a poll. Of a device
/// on which nobody here can look, a person's word.
fn last_ack(instance: &Instance) -> Option<Timestamp> {
    stated_ack(instance).or(instance.last_acknowledged)
}

fn stated_ack(instance: &Instance) -> Option<Timestamp> {
    instance.state.as_ref()?.usage_reporting.last_ack.as_ref()?.utc
}

/// When the policy was installed, where the last ACK is nothing newer and no report was acknowledged.
fn installation(state: Option<&DeviceState>, policy: &Policy, last_ack: Timestamp) -> Option<Timestamp> {
    let acknowledged = state.and_then(|state| state.reports.as_ref()?.acknowledged);
    let installed = policy.installed.as_ref().and_then(|installed| installed.utc);
    installed.filter(|installed| acknowledged == Some(0) && last_ack <= *installed)
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

#[cfg(test)]
mod tests;
