//! The kinds of data that leave the site: stated in the manifest, explained in READ-ME.

use std::collections::BTreeSet;

use super::Parcel;
use crate::domain::report::{Measurement, ReportFacts, ReportType};

/// One kind, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ProductIds,
    Licences,
    TimesOfUse,
    SoftwareVersions,
    Members,
    InstanceIds,
    Telemetry,
    HostNames,
    AccountNames,
    DeviceNames,
}

impl Kind {
    /// The word in the manifest. **signed**
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::ProductIds => "product-ids-and-serial-numbers",
            Kind::Licences => "licence-names-and-counts",
            Kind::TimesOfUse => "times-of-use",
            Kind::SoftwareVersions => "software-versions",
            Kind::Members => "serial-numbers-of-members",
            Kind::InstanceIds => "product-instance-identifiers",
            Kind::Telemetry => "telemetry",
            Kind::HostNames => "host-names",
            Kind::AccountNames => "account-names",
            Kind::DeviceNames => "device-names-in-manifest-only",
        }
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Kind::ProductIds => "product ids and serial numbers of the devices",
            Kind::Licences => "which licences were used, and how many",
            Kind::TimesOfUse => "when they were used",
            Kind::SoftwareVersions => "software versions",
            Kind::Members => "serial numbers of stack members, standby units or access points",
            Kind::InstanceIds => "the ids that Cisco gave the devices",
            Kind::Telemetry => "telemetry that the devices themselves add: inventory and feature counters",
            Kind::HostNames => "host names, put into the reports by the devices themselves",
            Kind::AccountNames => "names of Smart Accounts and Virtual Accounts",
            Kind::DeviceNames => "your own names of the devices (in manifest.json only, which is not uploaded)",
        }
    }
}

/// The kinds seen so far, and what the devices say of their own settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Contains {
    kinds: BTreeSet<Kind>,
    pub(super) hostnames: Hostnames,
}

/// Of how many instances the device says that it sends its host name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hostnames {
    pub(super) sent: usize,
    pub(super) kept_back: usize,
    pub(super) not_told: usize,
}

impl Contains {
    /// Looks at one report that leaves.
    pub(super) fn see(&mut self, parcel: &Parcel, raw: &str, facts: &ReportFacts) {
        let joined = |one: &Measurement| !one.added.is_empty() || !one.removed.is_empty();
        let names_hosts = |kinds: &BTreeSet<Kind>| !kinds.contains(&Kind::HostNames) && raw.contains("hostname");
        let kinds = [
            (Kind::ProductIds, true),
            (Kind::Licences, facts.entitlement_tag.is_some()),
            (Kind::TimesOfUse, !facts.measurements.is_empty()),
            (Kind::SoftwareVersions, facts.software_version.is_some()),
            (Kind::Members, facts.members.len() > 1 || facts.measurements.iter().any(joined)),
            (Kind::InstanceIds, facts.product_instance_identifier.is_some()),
            (Kind::Telemetry, facts.report_type == ReportType::Telemetry),
            (Kind::HostNames, names_hosts(&self.kinds)),
            (Kind::AccountNames, parcel.account.smart_account.is_some()),
            (Kind::DeviceNames, parcel.device.is_some()),
        ];
        self.kinds.extend(kinds.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind));
    }

    /// Counts one instance of which something leaves.
    pub(super) fn device(&mut self, parcel: &Parcel) {
        let counted = match parcel.sends_hostname {
            Some(true) => &mut self.hostnames.sent,
            Some(false) => &mut self.hostnames.kept_back,
            None => &mut self.hostnames.not_told,
        };
        *counted += 1;
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().copied()
    }
}
