//! What the register says of one instance, and of one License On-Prem server.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Open;
use crate::domain::bundle;
use crate::domain::deadline::{self, Basis, Contact, ObligationState};
use crate::domain::fleet::{Fleet, Instance, OnPrem};
use crate::domain::instance::{DeviceName, Site, Udi};
use crate::domain::on_prem;
use crate::domain::plan::{self, Settings, Watched};
use crate::domain::settings::{Mode, Reporter};
use crate::domain::state::Model;
use crate::domain::violation::{Kind, Subject};

/// An instance as the register shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRef {
    pub pid: String,
    pub sn: String,
    pub uuid: Option<String>,
}

/// One row of the register. The keys are part of the contract with other programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub device: Option<DeviceName>,
    /// The License On-Prem server whose own duty this row is; all that is about devices is `null` then.
    #[serde(default)]
    pub on_prem: Option<String>,
    /// `null` until the device was reached for the first time.
    pub instance: Option<InstanceRef>,
    pub os: Option<Arc<str>>,
    pub software: Option<Arc<str>>,
    pub site: Site,
    pub smart_account: Option<Arc<str>>,
    pub virtual_account: Option<Arc<str>>,
    pub model: Model,
    pub transport: Option<String>,
    /// `null` for an instance whose device is no longer in the inventory.
    pub reporter: Option<Reporter>,
    pub mode: Option<Mode>,
    pub state: ObligationState,
    pub contact: Contact,
    pub due: Option<Timestamp>,
    pub leave_by: Option<Timestamp>,
    pub days_left: Option<f64>,
    pub basis: Basis,
    pub reason: String,
    pub policy: Option<String>,
    pub last_ack: Option<Timestamp>,
    pub last_contact: Option<Timestamp>,
    pub last_collected: Option<Timestamp>,
    pub reports_waiting: usize,
    pub violations: Vec<String>,
    /// What keeps the device from answering as it should, or us from asking.
    pub trouble: Option<String>,
    /// Our own rule as a cross-check of a stated deadline.
    pub computed: Option<Timestamp>,
    pub agrees: Option<bool>,
    /// So far the device's clock is ahead of ours; negative when it is behind.
    #[serde(default)]
    pub clock_skew_seconds: Option<i64>,
    /// When its obligation ended by a person's word.
    #[serde(default)]
    pub retired: Option<Timestamp>,
}

impl Row {
    /// What a person calls it: the device's name, else its UDI, or the On-Prem server's name.
    pub fn name(&self) -> String {
        let instance = || self.instance.as_ref().map(|own| Udi::new(&own.pid, &own.sn).to_string());
        let on_prem = || self.on_prem.as_ref().map(|name| Subject::OnPrem(name.clone()).to_string());
        self.device.as_ref().map(ToString::to_string).or_else(instance).or_else(on_prem).unwrap_or_default()
    }
}

/// The row of a License On-Prem server.
pub fn on_prem(name: &str, server: &OnPrem, at: Timestamp) -> Row {
    let standing = on_prem::standing(server, at);
    Row {
        device: None,
        on_prem: Some(name.to_owned()),
        instance: None,
        os: None,
        software: None,
        site: Site::default(),
        smart_account: None,
        virtual_account: None,
        model: Model::Unknown,
        transport: None,
        reporter: None,
        mode: None,
        state: standing.state,
        contact: Contact::Never,
        due: standing.due,
        leave_by: standing.leave_by,
        days_left: standing.days_left.map(tenth),
        basis: standing.basis,
        reason: standing.reason.to_string(),
        policy: None,
        last_ack: None,
        last_contact: None,
        last_collected: None,
        reports_waiting: 0,
        violations: if standing.state == ObligationState::Overdue {
            vec![Kind::OnPremSyncOverdue.to_string()]
        } else {
            Vec::new()
        },
        trouble: None,
        computed: None,
        agrees: None,
        clock_skew_seconds: None,
        retired: None,
    }
}

pub(super) fn tenth(days: f64) -> f64 {
    (days * 10.0).round() / 10.0
}

/// One row; at least one of `instance` and `device` is there.
pub fn row(
    fleet: &Fleet,
    open: &Open<'_>,
    instance: Option<&Instance>,
    device: Option<&Watched>,
    settings: &Settings,
    at: Timestamp,
    now: Timestamp,
) -> Row {
    let name = device.map(|device| &device.name).or(instance.and_then(|instance| instance.device.as_ref()));
    let known = name.and_then(|name| fleet.devices.get(name));
    let last_contact = name.and_then(|name| fleet.contacts.get(name).copied());
    let state = instance.and_then(|instance| instance.state.as_ref());
    let lead = device.map_or(SignedDuration::ZERO, |device| device.exchange_lead);
    let standing = instance.map(|instance| deadline::standing(instance, lead, &settings.rules, at));
    let trouble = known.and_then(|known| known.trouble.as_ref()).map(|trouble| trouble.cause.clone());
    let trouble = trouble.or_else(|| device.and_then(|device| plan::hold(fleet, device, settings)));
    let trouble = if device.is_none() { instance.and_then(gone) } else { trouble };
    let account = bundle::account(device, instance);
    let last_ack = state.and_then(|state| state.usage_reporting.last_ack.as_ref()).and_then(|stamp| stamp.utc);
    let violations = open.violations(name, instance.zip(standing.as_ref()), device, settings, at);
    let obligation = standing.as_ref().map_or(ObligationState::Unknown, |standing| standing.state);
    Row {
        device: name.cloned(),
        on_prem: None,
        instance: instance.map(|instance| InstanceRef {
            pid: instance.udi.pid.to_string(),
            sn: instance.udi.sn.to_string(),
            uuid: instance.uuid.clone(),
        }),
        os: instance.and_then(|instance| instance.os.clone()),
        software: instance.and_then(|instance| instance.software.clone()),
        site: device.map(|device| device.site.clone()).or(instance.map(|i| i.site.clone())).unwrap_or_default(),
        smart_account: account.smart_account,
        virtual_account: account.virtual_account,
        model: state.map_or(Model::Unknown, |state| state.model),
        transport: state.and_then(|state| state.transport.as_ref()).and_then(|transport| transport.kind.clone()),
        reporter: device.map(|device| device.reporter),
        mode: device.map(|device| device.mode),
        state: obligation,
        contact: deadline::contact(last_contact, settings.stale_after, now),
        due: standing.as_ref().and_then(|standing| standing.due),
        leave_by: standing.as_ref().and_then(|standing| standing.leave_by),
        days_left: standing.as_ref().and_then(|standing| standing.days_left).map(tenth),
        basis: standing.as_ref().map_or(Basis::Unknown, |standing| standing.basis),
        computed: standing.as_ref().and_then(|standing| standing.computed),
        agrees: standing.as_ref().and_then(|standing| standing.agrees),
        reason: standing.map_or_else(|| unknown(fleet, device), |standing| standing.reason.to_string()),
        policy: state.and_then(|state| state.policy.as_ref()).and_then(|policy| policy.name.clone()),
        last_ack,
        last_contact,
        last_collected: instance.and_then(|instance| instance.last_collected),
        reports_waiting: instance.map_or(0, |instance| instance.waiting().count()),
        violations,
        trouble,
        clock_skew_seconds: instance.and_then(|instance| instance.clock_skew_seconds),
        retired: instance.and_then(|instance| instance.retired.as_ref()).map(|retired| retired.at),
    }
}

/// What an instance that the inventory does not list is.
fn gone(instance: &Instance) -> Option<String> {
    if instance.retired.is_some() {
        return None;
    }
    let lost = match instance.device {
        Some(_) => "no longer in the inventory",
        None => "no device of the inventory is it, or another chassis has its name now",
    };
    Some(format!("{lost}; what is owed stays owed"))
}

/// Why nothing is known of a device of the inventory.
fn unknown(fleet: &Fleet, device: Option<&Watched>) -> String {
    match device.and_then(|device| fleet.told_by(&device.name)).and_then(|instance| instance.device.as_ref()) {
        Some(other) => format!("it is the product instance that is listed as '{other}'"),
        None => "the device was never reached".to_owned(),
    }
}
