//! A device as a script plays it: what it would say if it were asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{DeviceIdentified, Fact, ReportCollected, ReportStates, Source, StateRead};
use slp_collector::domain::instance::{DeviceName, Member, Role, Site, Udi};
use slp_collector::domain::policy::{ClassPolicy, Policy};
use slp_collector::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use slp_collector::domain::shared::Shared;
use slp_collector::domain::state::{
    Authorization, Authorizations, DeviceState, License, Model, ReportState, ReportSummary, Stamp, Transport, TrustCode,
};

/// A report that the device finished.
struct Report {
    facts: ReportFacts,
    state: ReportState,
    collected: bool,
}

/// One device, its chassis and what it remembers.
pub struct Device {
    pub name: String,
    pub members: Vec<Udi>,
    pub silent: bool,
    pub state: DeviceState,
    os: String,
    software: String,
    skew: Option<i64>,
    /// Since when each licence is used as it is now.
    since: BTreeMap<String, Timestamp>,
    reports: Vec<Report>,
    next: u64,
}

impl Device {
    pub fn new(name: &str) -> Device {
        let mut state = DeviceState { model: Model::Slp, ..DeviceState::default() };
        state.policy = Some(Policy::cisco_default().into());
        state.transport = Some(Transport { kind: Some("off".to_owned()), url: None }.into());
        state.reports = Some(ReportSummary { purged: Some(0), ..ReportSummary::default() }.into());
        Device {
            name: name.to_owned(),
            members: vec![Udi::new("C9300-24T", format!("INV{}", name.to_uppercase()))],
            silent: false,
            state,
            os: "ios-xe".to_owned(),
            software: "17.12.4".to_owned(),
            skew: None,
            since: BTreeMap::new(),
            reports: Vec::new(),
            next: 1,
        }
    }

    pub fn udi(&self) -> &Udi {
        &self.members[0]
    }

    /// `key=value` of its state; a value `none` takes it away.
    pub fn set(&mut self, key: &str, value: &str, now: Timestamp) -> Result<(), String> {
        let some = (value != "none").then(|| value.to_owned());
        let time = || value.parse::<Timestamp>().or_else(|_| format!("{value}T00:00:00Z").parse());
        let stamp = || match value {
            "none" => Ok(None),
            _ => time().map(|at| Some(Stamp::utc(at))).map_err(|e| e.to_string()),
        };
        match key {
            "os" => self.os = value.to_owned(),
            "software" => self.software = value.to_owned(),
            "serial" => self.members[0] = Udi::new("C9300-24T", value),
            "member" => self.members.push(Udi::new("C9300-24T", value)),
            "smart-account" => self.state.smart_account = some.map(Into::into),
            "virtual-account" => self.state.virtual_account = some.map(Into::into),
            "transport" => {
                let url = self.state.transport.take().and_then(|transport| transport.url.clone());
                self.state.transport = Some(Transport { kind: some, url }.into());
            }
            "url" => {
                let kind = self.state.transport.take().and_then(|transport| transport.kind.clone());
                self.state.transport = Some(Transport { kind, url: some }.into());
            }
            "stated" => self.state.usage_reporting.next_ack_deadline = stamp()?.map(Into::into),
            "last-ack" => self.state.usage_reporting.last_ack = stamp()?.map(Into::into),
            "last-push" => self.state.usage_reporting.last_push = stamp()?.map(Into::into),
            "compliance" => self.state.compliance.authorization = some,
            "clock" => self.skew = some.map(|seconds| seconds.parse()).transpose().map_err(|e| format!("{e}"))?,
            // What its codes allow: `none` are listed, or one licence.
            "authorized" => {
                let allowed =
                    some.map(|name| Authorization { name: Some(name), count: Some(1), ..Authorization::default() });
                let allowed = allowed.into_iter().collect();
                self.state.authorizations = Some(Authorizations { codes: Vec::new(), allowed }.into());
            }
            "trust" => {
                let installed = Some(Stamp::utc(now));
                let code = TrustCode { role: None, udi: Some(self.udi().clone()), installed, expires: None };
                self.state.trust_codes = if value == "yes" { vec![code] } else { Vec::new() };
            }
            "purged" | "available" => {
                let count = Some(value.parse().map_err(|e| format!("{e}"))?);
                let summary = self.state.reports.get_or_insert_default();
                *(if key == "purged" { &mut summary.purged } else { &mut summary.available }) = count;
            }
            "model" => {
                self.state.model = serde_json::from_value(value.into()).map_err(|e| e.to_string())?;
            }
            "policy" => self.state.policy = policy(value)?.map(Into::into),
            other => return Err(format!("{other} is nothing that a device has")),
        }
        Ok(())
    }

    /// From now on so many of a licence are in use; what was measured before is in a report.
    pub fn uses(&mut self, licence: &str, count: u64, class: &str, now: Timestamp) {
        self.close(now);
        let tag = EntitlementTag(format!("regid.2017-03.com.cisco.{licence},1.0_0001").into());
        self.state.licenses.retain(|known| known.name.as_deref() != Some(licence));
        self.state.licenses.push(
            License {
                name: Some(licence.to_owned()),
                entitlement_tag: Some(tag),
                count: Some(count),
                status: Some(if count == 0 { "NOT IN USE" } else { "IN USE" }.to_owned()),
                license_type: (!matches!(class, "export" | "enforced")).then(|| class.to_owned()),
                enforcement: match class {
                    "export" => Some("EXPORT RESTRICTED".to_owned()),
                    "enforced" => Some("ENFORCED".to_owned()),
                    _ => Some("NOT ENFORCED".to_owned()),
                },
                ..License::default()
            }
            .into(),
        );
        self.since.insert(licence.to_owned(), now);
    }

    /// Ends the running reports.
    pub fn close(&mut self, now: Timestamp) {
        let used: Vec<Shared<License>> = self.state.licenses.clone();
        for licence in used {
            let name = licence.name.clone().unwrap_or_default();
            let Some(since) = self.since.insert(name, now).filter(|since| *since < now) else { continue };
            let measured = Measurement {
                metric: "ENTITLEMENT".to_owned(),
                start: Some(since),
                end: Some(now),
                samples: None,
                value: licence.count,
                termination_reason: None,
                close_reason: None,
                clock_change_seconds: None,
                added: Vec::new(),
                removed: Vec::new(),
            };
            let facts = ReportFacts {
                report_id: ReportId(self.next),
                payload_version: Some("2.0".to_owned()),
                udi: self.udi().clone(),
                product_instance_identifier: None,
                software_tag: None,
                software_version: Some(self.software.clone()),
                entitlement_tag: licence.entitlement_tag.clone(),
                report_type: ReportType::Entitlement,
                members: self.roles(),
                signing_type: None,
                payload_sha256: Sha256::of(format!("{} {}", self.name, self.next).as_bytes()),
                measurements: vec![measured],
            };
            self.next += 1;
            self.reports.push(Report { facts, state: ReportState::Closed, collected: false });
        }
    }

    /// Loses a report before anybody has it.
    pub fn purge(&mut self, id: u64) {
        self.reports.retain(|report| report.facts.report_id != ReportId(id));
    }

    /// Installs an ACK: the clock of its deadline starts again.
    pub fn acknowledge(&mut self, now: Timestamp) {
        self.state.usage_reporting.last_ack = Some(Stamp::utc(now).into());
        self.reports.iter_mut().for_each(|report| report.state = ReportState::Acknowledged);
    }

    pub fn switch_over(&mut self) {
        self.members.rotate_left(1);
    }

    fn roles(&self) -> Vec<Member> {
        if self.members.len() == 1 {
            return Vec::new();
        }
        let role = |index| if index == 0 { Role::Active } else { Role::Standby };
        self.members.iter().enumerate().map(|(index, udi)| Member { role: role(index), udi: udi.clone() }).collect()
    }

    /// What a poll would put on record; `fetch`: with its reports.
    pub fn polled(&mut self, site: &Site, fetch: bool, known: Option<&DeviceState>) -> Vec<Fact> {
        let name: DeviceName = self.name.as_str().into();
        let udi = self.udi().clone();
        let mut facts = vec![Fact::DeviceIdentified(DeviceIdentified {
            device: name.clone(),
            site: site.clone(),
            udi: udi.clone(),
            uuid: None,
            members: self.roles(),
            os: self.os.clone(),
            software: Some(self.software.clone()),
            hostname: None,
            clock_skew_seconds: self.skew,
        })];
        if known != Some(&self.state) {
            facts.push(Fact::StateRead(StateRead { udi: udi.clone(), state: Box::new(self.state.clone()) }));
        }
        for report in self.reports.iter_mut().filter(|report| fetch && !report.collected) {
            report.collected = true;
            facts.push(Fact::ReportCollected(ReportCollected {
                device: Some(name.clone()),
                report: report.facts.clone(),
                object: report.facts.payload_sha256,
                source: Source::Rest,
                parser: 1,
                presumed_acknowledged: false,
                feature: None,
            }));
        }
        let mut states: BTreeMap<&Udi, Vec<(ReportId, ReportState)>> = BTreeMap::new();
        for report in &self.reports {
            states.entry(&report.facts.udi).or_default().push((report.facts.report_id, report.state));
        }
        facts.extend(
            states.into_iter().map(|(udi, states)| Fact::ReportStates(ReportStates { udi: udi.clone(), states })),
        );
        facts
    }
}

/// `NAME:PERPETUAL:SUBSCRIPTION[:noack]`, where each class is `first/frequency/change` in days.
fn policy(text: &str) -> Result<Option<Policy>, String> {
    if text == "none" {
        return Ok(None);
    }
    if text == "default" {
        return Ok(Some(Policy::cisco_default()));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let [name, perpetual, subscription, rest @ ..] = &parts[..] else {
        return Err("a policy is NAME:PERPETUAL:SUBSCRIPTION".to_owned());
    };
    let class = |text: &str| -> Result<Option<ClassPolicy>, String> {
        let days: Vec<u32> =
            text.split('/').map(|days| days.parse().map_err(|_| format!("{text}?"))).collect::<Result<_, _>>()?;
        let [first, frequency, change] = days[..] else { return Err(format!("{text} is not first/frequency/change")) };
        Ok(Some(ClassPolicy::of(first, frequency, change)))
    };
    Ok(Some(Policy {
        name: Some((*name).to_owned()),
        source: Some("customer".to_owned()),
        ack_required: Some(!rest.contains(&"noack")),
        perpetual: class(perpetual)?,
        subscription: class(subscription)?,
        ..Policy::cisco_default()
    }))
}
