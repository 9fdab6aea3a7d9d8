//! The fleet of the reference workload: switches with three licences each, a month a report.

use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{DeviceIdentified, Fact, ReportCollected, Source, StateRead};
use slp_collector::domain::instance::{DeviceName, Member, Role, Site, Udi};
use slp_collector::domain::policy::Policy;
use slp_collector::domain::report::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use slp_collector::domain::state::{DeviceState, License, Model, Stamp, Transport, UsageReporting};

use super::at;

pub const SITES: usize = 200;
pub const LICENSES: u64 = 3;

pub fn udi(instance: usize) -> Udi {
    Udi::new("C9300-48UXM", format!("FOC{instance:08}"))
}

pub fn name(instance: usize) -> DeviceName {
    DeviceName::from(format!("edge-{instance:06}"))
}

pub fn site(instance: usize) -> Site {
    Site::from(format!("site-{}", instance % SITES))
}

pub fn tag(license: u64) -> EntitlementTag {
    EntitlementTag(format!("regid.2017-03.com.cisco.license-{license},1.0_0001").into())
}

/// What a device says of itself at first contact.
pub fn identified(instance: usize, site: Site, state: DeviceState) -> [Fact; 2] {
    let device = DeviceIdentified {
        device: name(instance),
        site,
        udi: udi(instance),
        uuid: None,
        members: Vec::new(),
        os: "ios-xe".to_owned(),
        software: Some("17.12.4".to_owned()),
        hostname: Some(name(instance).to_string()),
        clock_skew_seconds: None,
    };
    [Fact::DeviceIdentified(device), Fact::StateRead(StateRead { udi: udi(instance), state: Box::new(state) })]
}

/// Reports are due at some time to come, and nothing is sent by the device itself.
pub fn state(instance: usize) -> DeviceState {
    let licenses = (0..LICENSES).map(|license| License {
        name: Some(format!("license-{license}").into()),
        entitlement_tag: Some(tag(license)),
        description: Some("C9300 48P Network Advantage".into()),
        count: Some(1),
        status: Some("IN USE".into()),
        license_type: Some("Subscription".into()),
        enforcement: Some("NOT ENFORCED".into()),
    });
    DeviceState {
        model: Model::Slp,
        transport: Some(Transport { kind: Some("off".to_owned()), url: None }.into()),
        policy: Some(Policy::cisco_default().into()),
        usage_reporting: UsageReporting {
            last_ack: Some(Stamp::utc(at(-5_000_000)).into()),
            next_ack_deadline: Some(Stamp::utc(at(2_000_000)).into()),
            ..UsageReporting::default()
        },
        udi: Some(udi(instance)),
        members: vec![Member { role: Role::Active, udi: udi(instance) }],
        licenses: licenses.map(Into::into).collect(),
        ..DeviceState::default()
    }
}

/// A report of a licence, collected by way of REST.
pub fn collected(
    instance: usize,
    report_id: ReportId,
    license: u64,
    object: Sha256,
    measurements: Vec<Measurement>,
) -> Fact {
    Fact::ReportCollected(ReportCollected {
        device: Some(name(instance)),
        report: ReportFacts {
            report_id,
            payload_version: Some("2.0".to_owned()),
            udi: udi(instance),
            product_instance_identifier: None,
            software_tag: Some("regid.2017-05.com.cisco.c9300_48uxm,v1_0000".to_owned()),
            software_version: Some("17.12.4".to_owned()),
            entitlement_tag: Some(tag(license)),
            report_type: ReportType::Entitlement,
            members: Vec::new(),
            signing_type: Some("builtin".to_owned()),
            payload_sha256: object,
            measurements,
        },
        object,
        source: Source::Rest,
        parser: 1,
        presumed_acknowledged: false,
        feature: None,
    })
}

/// So many licences in a time (seconds, as [`at`] has them), and why it ended.
pub fn measured(start: i64, end: i64, value: u64, why: Option<&str>) -> Measurement {
    Measurement {
        metric: "ENTITLEMENT".to_owned(),
        start: Some(at(start)),
        end: Some(at(end)),
        samples: Some(((end - start) / 900) as u64),
        value: Some(value),
        termination_reason: why.map(str::to_owned),
        close_reason: None,
        clock_change_seconds: None,
        added: Vec::new(),
        removed: Vec::new(),
    }
}
