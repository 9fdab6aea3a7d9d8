//! Ready-made devices, and a varied fleet of them. Every serial number is invented: it begins with `LAB`, which is no
//! factory's code.

use crate::account::Account;
use crate::licence::{Class, Licence};
use crate::policy::{Frequency, Policy};
use crate::spec::{
    AcknowledgedKeys, Faces, HostKey, ImportForm, LineEnds, Payload, SaveForm, Spec, StateModel, Tls, Transport,
};
use crate::system::System;
use crate::udi::{Member, Role, Udi};

const DAY: i64 = 86_400;
const SITES: [&str; 6] = ["edge", "plant", "depot", "harbour", "office", "lighthouse"];

/// A Catalyst 9300 with a perpetual and a subscription licence.
pub fn switch(name: &str) -> Spec {
    let mut spec = Spec::new(name, "C9300-48U", &serial(name, 0), &product("C9300", 1));
    spec.licences = vec![
        Licence::new(tag("c9300_network_advantage", 2), "network-advantage", Class::Perpetual, 1),
        Licence::new(tag("c9300_dna_advantage", 3), "dna-advantage", Class::Subscription, 1),
    ];
    spec
}

/// A Catalyst 9300 stack: an active, a standby, the rest members.
pub fn stack(name: &str, chassis: usize) -> Spec {
    let mut spec = switch(name);
    let role = |index| match index {
        0 => Role::Active,
        1 => Role::Standby,
        _ => Role::Member,
    };
    let member = |index| Member { role: role(index), udi: Udi::new("C9300-48U", serial(name, index)) };
    spec.members = (0..chassis.max(1)).map(member).collect();
    let chassis = u32::try_from(spec.members.len()).unwrap_or(u32::MAX);
    spec.licences.iter_mut().for_each(|licence| licence.count = chassis);
    spec
}

/// Two Catalyst 9500 that back each other up.
pub fn pair(name: &str) -> Spec {
    let mut spec = stack(name, 2);
    spec.product = product("C9500", 4);
    spec.members.iter_mut().for_each(|member| member.udi.pid = "C9500-40X".to_string());
    spec.licences = vec![
        Licence::new(tag("C9500_network_advantage", 5), "network-advantage", Class::Perpetual, 2),
        Licence::new(tag("C9500_dna_advantage", 6), "dna-advantage", Class::Subscription, 2),
    ];
    spec
}

/// A Catalyst 8000V router with a subscription and an export-controlled licence.
pub fn router(name: &str) -> Spec {
    let mut spec = Spec::new(name, "C8000V", &serial(name, 0), &product("C8000V", 7));
    spec.licences = vec![
        Licence::new(tag("DNA_P_250M_A", 8), "network-advantage_250M", Class::Subscription, 1),
        Licence::new(tag("DNA_HSEC", 9), "hseck9", Class::Export, 1),
    ];
    spec
}

/// An ISR 4331 with one perpetual licence: it owes a first report and, by default, none after.
pub fn branch(name: &str) -> Spec {
    let mut spec = Spec::new(name, "ISR4331/K9", &serial(name, 0), &product("ISR_4331", 10));
    spec.software = "17.06.05".to_string();
    spec.knobs.payload = Payload::V1;
    spec.licences = vec![Licence::new(tag("ISR_4331_Application", 11), "appxk9", Class::Perpetual, 1)];
    spec
}

/// A Catalyst 9800-CL with two licences counted by access points.
pub fn wlc(name: &str) -> Spec {
    let mut spec = Spec::new(name, "C9800-CL-K9", &serial(name, 0), &product("WLC_9500C", 12));
    spec.licences = vec![
        Licence::new(tag("DNA_NWStack", 13), "air-network-advantage", Class::Perpetual, 25),
        Licence::new(tag("AIR-DNA-A", 14), "air-dna-advantage", Class::Subscription, 25),
    ];
    spec
}

/// A Cisco 8201 with IOS XR: two subscription licences, command line and SCP. IOS XR's default policy asks for all in
/// 90 days.
pub fn xr(name: &str) -> Spec {
    let mut spec = Spec::new(name, "8201-32FH", &serial(name, 0), &product("8201_32FH", 15));
    spec.os = System::IosXr;
    spec.faces = Faces::ssh_and_scp();
    spec.software = "24.1.2".to_string();
    spec.transport = Transport::Cslu;
    spec.ssh.host_key = HostKey::Ed25519;
    spec.licences = vec![
        Licence::new(tag("ADN_CE_RTU", 16), "Core-Edge-Premier-RTU", Class::Subscription, 4),
        Licence::new(tag("8000_C_SIA", 17), "8000-C-SIA", Class::Subscription, 2),
    ];
    spec
}

/// A Nexus 93180YC-FX3 with NX-OS: two licences, command line and SCP.
pub fn nexus(name: &str) -> Spec {
    let mut spec = Spec::new(name, "N9K-C93180YC-FX3", &serial(name, 0), &product("N9K_C93180", 18));
    spec.os = System::NxOs;
    spec.faces = Faces::ssh_and_scp();
    spec.software = "10.4(5)".to_string();
    spec.transport = Transport::Off;
    spec.terminal.line_ends = LineEnds::CrCrLf;
    spec.licences = vec![
        Licence::new(tag("NXOS_ADVANTAGE_XF", 19), "NXOS_ADVANTAGE_XF", Class::Subscription, 1),
        Licence::new(tag("LAN_ENTERPRISE_SERVICES_PKG", 20), "LAN_ENTERPRISE_SERVICES_PKG", Class::Perpetual, 1),
    ];
    spec
}

/// A device that knows a licence and never used one: it makes no report.
pub fn idle(name: &str) -> Spec {
    let mut spec = switch(name);
    spec.licences.iter_mut().for_each(|licence| licence.count = 0);
    spec
}

/// A varied fleet: kinds, releases, policies, accounts, clocks and knobs differ; the same seed makes the same fleet.
pub fn fleet(devices: usize, seed: u64) -> Vec<Spec> {
    let mut dice = Dice(seed);
    let mut numbers = [0_u32; SITES.len()];
    (0..devices)
        .map(|index| {
            let site = dice.below(SITES.len());
            numbers[site] += 1;
            let name = format!("{}-{:03}", SITES[site], numbers[site]);
            let mut spec = one(&name, index, &mut dice);
            spec.site = SITES[site].to_string();
            spec.user = format!("slp-{}", SITES[site]);
            spec.password = format!("lab-{}-{seed:x}", SITES[site]);
            // Names repeat from seed to seed and serial numbers must not.
            for (chassis, member) in spec.members.iter_mut().enumerate() {
                member.udi.sn = serial(&format!("{seed}/{index}"), chassis);
            }
            spec
        })
        .collect()
}

/// A fleet of all three systems, a third of each, and of every way in that such a device can have. The IOS XE third is
/// [`fleet`]'s. The same seed makes the same fleet.
pub fn mixed(devices: usize, seed: u64) -> Vec<Spec> {
    let mut specs = fleet(devices, seed);
    let mut dice = Dice(!seed);
    for (index, spec) in specs.iter_mut().enumerate() {
        let other = match System::ALL[index % 3] {
            System::IosXe => {
                spec.faces = [
                    Faces { ssh: true, scp: true, ..Faces::rest() },
                    Faces::ssh_and_scp(),
                    Faces::inline_only(),
                    Faces { netconf: true, ..Faces::ssh_and_scp() },
                ][index / 3 % 4];
                spec.terminal.timestamps = dice.below(4) == 0;
                spec.terminal.enable = (dice.below(4) == 0).then(|| format!("enable-{seed:x}"));
                continue;
            }
            System::IosXr => {
                let mut xr = xr(&spec.name);
                xr.faces = [Faces::ssh_and_scp(), Faces::ssh_and_sftp(), Faces::inline_only()][index / 3 % 3];
                xr.software = ["24.1.2", "24.2.2", "25.1.1"][dice.below(3)].to_string();
                xr.terminal.save_form = [SaveForm::WithFile, SaveForm::Bare, SaveForm::Either][dice.below(3)];
                xr
            }
            System::NxOs => {
                let mut nexus = nexus(&spec.name);
                nexus.faces =
                    [Faces::ssh_and_scp(), Faces::inline_only(), Faces { nxapi: true, ..Faces::none() }][index / 3 % 3];
                nexus.software = ["10.2(5)", "10.3(4a)", "10.4(5)"][dice.below(3)].to_string();
                nexus.terminal.save_form = [SaveForm::WithFile, SaveForm::Bare, SaveForm::Either][dice.below(3)];
                nexus
            }
        };
        let members = if spec.members.len() > 1 { 2 } else { 1 };
        *spec = Spec {
            site: spec.site.clone(),
            user: spec.user.clone(),
            password: spec.password.clone(),
            members: spec.members.iter().take(members).cloned().collect(),
            age: spec.age,
            clock_offset: spec.clock_offset,
            account: spec.account.clone(),
            uuid: spec.uuid.clone(),
            seed: spec.seed,
            tls: spec.tls,
            ..other.clone()
        };
        spec.members.iter_mut().for_each(|member| member.udi.pid.clone_from(&other.members[0].udi.pid));
    }
    specs
}

fn one(name: &str, index: usize, dice: &mut Dice) -> Spec {
    // The first kinds come in order, so that a fleet of eight has one of each.
    let kind = if index < 8 { index } else { dice.below(10) };
    let mut spec = match kind {
        0 | 7 | 8 => switch(name),
        1 => router(name),
        2 => wlc(name),
        3 => stack(name, 3 + dice.below(3)),
        4 => pair(name),
        5 => branch(name),
        6 => idle(name),
        _ => router(name),
    };
    let (software, payload, model) = [
        ("17.03.04", Payload::V1, StateModel::None),
        ("17.04.01", Payload::V1, StateModel::NoRumAck),
        ("17.06.05", Payload::V1, StateModel::Full),
        ("17.09.04", Payload::V2, StateModel::Full),
        ("17.12.03", Payload::V2, StateModel::Full),
        ("17.15.02", Payload::V2, StateModel::Full),
    ][dice.below(6)];
    spec.software = software.to_string();
    spec.knobs.payload = payload;
    spec.knobs.state_model = model;
    spec.knobs.timezone_minutes = [0, 0, 60, -480, 330][dice.below(5)];
    spec.knobs.telemetry = payload == Payload::V2 && dice.below(4) == 0;
    spec.knobs.usage_as_object_when_single = dice.below(8) == 0;
    spec.knobs.import_form =
        [ImportForm::Raw, ImportForm::Base64, ImportForm::Json("import".to_string())][dice.below(3)].clone();
    spec.knobs.acknowledged_keys = [AcknowledgedKeys::Listed, AcknowledgedKeys::Vanish][dice.below(2)];
    spec.policy = match dice.below(4) {
        0 => Policy {
            perpetual: Frequency::days(365, 0, 90),
            export: Frequency::days(365, 90, 90),
            ..Policy::custom("Custom Policy", 90, 90, 90)
        },
        1 => Policy::custom("SLE Policy", 30, 60, 60),
        _ => Policy::cisco_default(),
    };
    spec.account = match dice.below(4) {
        0 => Some(Account::new("Example Works", "example.com", "Production")),
        1 => Some(Account::new("Example Works", "example.com", "Laboratory")),
        2 => Some(Account::new("Example Islands", "islands.example.com", "Default")),
        _ => None,
    };
    spec.transport = [Transport::Off, Transport::Off, Transport::Cslu, Transport::Smart][dice.below(4)];
    spec.uuid = spec.account.is_some().then(|| uuid(name));
    spec.age = DAY * i64::try_from(dice.below(60)).unwrap_or(0);
    spec.clock_offset = [0, 0, 0, 0, 7, -3433][dice.below(6)];
    spec.tls = Tls { expired: dice.below(3) == 0, san: dice.below(4) == 0, ..Tls::default() };
    spec.seed = dice.next();
    spec
}

/// Eleven characters, as on a real label.
fn serial(name: &str, chassis: usize) -> String {
    let print = crate::sign::fingerprint(format!("serial {name} {chassis}").as_bytes()).to_uppercase();
    format!("LAB{}", &print[..8])
}

fn uuid(what: &str) -> String {
    let print = crate::sign::fingerprint(what.as_bytes());
    format!("{}-{}-4{}-8{}-{}", &print[..8], &print[8..12], &print[13..16], &print[17..20], &print[20..32])
}

fn product(name: &str, number: u32) -> String {
    format!("regid.2020-01.com.cisco.{name},1.0_{}", uuid(&format!("product {number}")))
}

fn tag(name: &str, number: u32) -> String {
    format!("regid.2020-01.com.cisco.{name},1.0_{}", uuid(&format!("tag {number}")))
}

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_mixed_fleet_has_every_system_and_every_way() {
        let fleet = mixed(60, 7);
        for os in System::ALL {
            assert_eq!(fleet.iter().filter(|spec| spec.os == os).count(), 20);
        }
        let has = |ask: fn(&Spec) -> bool| fleet.iter().any(ask);
        assert!(has(|spec| spec.os == System::IosXe && spec.faces.smartlic && spec.faces.scp));
        assert!(has(|spec| spec.os == System::IosXe && spec.faces == Faces::inline_only()));
        assert!(has(|spec| spec.faces.netconf));
        assert!(has(|spec| spec.os == System::IosXr && spec.faces == Faces::ssh_and_sftp()));
        assert!(has(|spec| spec.os == System::NxOs && spec.faces.nxapi && !spec.faces.ssh));
        let serials: BTreeSet<_> = fleet.iter().flat_map(|spec| &spec.members).map(|member| &member.udi.sn).collect();
        assert_eq!(serials.len(), fleet.iter().map(|spec| spec.members.len()).sum::<usize>());
        assert_eq!(format!("{:?}", mixed(60, 7)), format!("{fleet:?}"));
    }

    #[test]
    fn a_fleet_is_varied_unique_and_repeatable() {
        let fleet = fleet(500, 7);
        let names: BTreeSet<_> = fleet.iter().map(|spec| &spec.name).collect();
        let serials: BTreeSet<_> = fleet.iter().flat_map(|spec| &spec.members).map(|member| &member.udi.sn).collect();
        let chassis: usize = fleet.iter().map(|spec| spec.members.len()).sum();
        assert_eq!(names.len(), 500);
        assert_eq!(serials.len(), chassis);
        assert!(serials.iter().all(|sn| sn.len() == 11 && sn.starts_with("LAB")));
        let products: BTreeSet<_> = fleet.iter().map(|spec| &spec.product).collect();
        assert_eq!(products.len(), 5);
        assert!(fleet.iter().any(|spec| spec.account.is_none()));
        assert!(fleet.iter().any(|spec| spec.policy.name.is_some()));
        assert_eq!(format!("{:?}", super::fleet(500, 7)), format!("{fleet:?}"));
        assert_ne!(format!("{:?}", super::fleet(500, 8)), format!("{fleet:?}"));
    }
}
