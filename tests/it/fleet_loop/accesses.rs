//! The loop by every access of the three systems, as far as each can go.

use lab::spec::{Faces, StateModel};
use lab::{Fleet, Handle, Spec, System, specs};
use slp_collector::domain::fleet::{Answer, AnswerStatus, Confirmation};
use slp_collector::domain::instance::{DeviceName, Udi};

use crate::support::site::{LIMITS, Site};

/// Poll, close, bundle, portal, import, read back; the last poll must find everybody well.
pub fn around(site: &mut Site) {
    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    let answers = site.download(&answers);
    // An answer that waits for a person is not done.
    let (takes, all) =
        (site.fleet.devices().filter(|device| takes_files(device)).count(), site.fleet.devices().count());
    site.import(&answers, &[]).exits(if takes == all { 0 } else { 2 });
    site.advance(3600);
    site.run(["poll", "--all"]).exits(0);
}

fn takes_files(device: &Handle) -> bool {
    let faces = device.spec().faces;
    faces.smartlic || faces.scp || faces.sftp
}

/// Each device that takes files ends with nothing owed; each other has an answer that waits for a person.
pub fn all_is_settled(site: &Site) {
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    for device in site.fleet.devices() {
        let name = DeviceName::from(device.name());
        let instance = fleet.of_device(&name).unwrap_or_else(|| panic!("{name} is not known"));
        let (faces, takes_files) = (device.spec().faces, takes_files(device));
        let reports = device.state().reports.iter().filter(|report| report.end.is_some()).count();
        assert!(reports > 0, "{name} has made no report");
        let of_device = |udi: &Udi| fleet.resolve(udi).is_some_and(|of| of.udi == instance.udi);
        let answers: Vec<_> =
            fleet.answers.values().filter(|answer| answer.udi.as_ref().is_some_and(of_device)).collect();
        assert!(!answers.is_empty(), "{name} got no answer");
        for answer in answers {
            let confirmed = matches!(answer.status, AnswerStatus::Confirmed(_));
            let waits = answer.status == AnswerStatus::AwaitingHandImport;
            assert!(if takes_files { confirmed } else { waits }, "{name} {faces:?}: {:?}", answer);
        }
        if takes_files {
            assert_eq!(instance.waiting().count(), 0, "{name} {faces:?}");
        } else {
            assert!(instance.waiting().next().is_some(), "{name} {faces:?}");
        }
        let left = device.state().files.iter().filter(|file| file.starts_with("slpc-")).count();
        assert_eq!(left, 0, "{name} keeps files of ours");
    }
}

pub fn busy(mut spec: Spec) -> Spec {
    for licence in &mut spec.licences {
        licence.count = licence.count.max(1);
    }
    spec.knobs.state_model = StateModel::Full;
    spec
}

/// The loop with one access that is set, on a device that serves just what it needs.
fn by(access: &'static str, system: System, faces: Faces) {
    let spec = match system {
        System::IosXe => specs::switch("dev-1"),
        System::IosXr => specs::xr("dev-1"),
        System::NxOs => specs::nexus("dev-1"),
    };
    let spec = Spec { faces, ..busy(spec) };
    let mut site = Site::entered(vec![spec], LIMITS, |_| "deliver", |_| access);
    around(&mut site);
    all_is_settled(&site);
}

#[test]
fn ios_xe_by_smartlic() {
    by("rest", System::IosXe, Faces::rest());
}

/// RESTCONF of 17.4 tells who it is and nothing of acknowledgements: under `auto` the command line does.
#[test]
fn ios_xe_by_smartlic_with_an_old_model() {
    let faces = Faces { smartlic: true, restconf: true, ..Faces::ssh_and_scp() };
    let mut spec = Spec { faces, software: "17.04.01".to_owned(), ..busy(specs::switch("dev-1")) };
    spec.knobs.state_model = StateModel::NoRumAck;
    let mut site = Site::entered(vec![spec], LIMITS, |_| "deliver", |_| "auto");
    around(&mut site);
    all_is_settled(&site);
    let shown = site.run(["device", "show", "dev-1"]).exits(0);
    assert!(shown.out.contains("access           rest"), "{shown:?}");
}

#[test]
fn ios_xe_by_restconf() {
    by("restconf", System::IosXe, Faces { restconf: true, ..Faces::ssh_and_scp() });
}

#[test]
fn ios_xe_by_netconf() {
    by("netconf", System::IosXe, Faces { netconf: true, ..Faces::ssh_and_scp() });
}

#[test]
fn ios_xe_by_ssh_and_scp() {
    by("ssh", System::IosXe, Faces::ssh_and_scp());
}

#[test]
fn ios_xe_by_ssh_inline() {
    by("ssh", System::IosXe, Faces::inline_only());
}

#[test]
fn ios_xr_by_ssh_and_scp() {
    by("ssh", System::IosXr, Faces::ssh_and_scp());
}

#[test]
fn ios_xr_by_sftp() {
    by("ssh", System::IosXr, Faces::ssh_and_sftp());
}

#[test]
fn ios_xr_by_ssh_inline() {
    by("ssh", System::IosXr, Faces::inline_only());
}

/// Where no command lists reports, the time of the last ACK is all the proof there is.
#[test]
fn ios_xr_without_a_list_of_reports() {
    let mut spec = Spec { faces: Faces::ssh_and_scp(), ..busy(specs::xr("dev-1")) };
    spec.terminal.has_rum = false;
    let mut site = Site::entered(vec![spec], LIMITS, |_| "deliver", |_| "ssh");
    around(&mut site);
    all_is_settled(&site);
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    let by_time = |answer: &Answer| answer.status == AnswerStatus::Confirmed(Confirmation::ByTime);
    assert!(fleet.answers.values().all(by_time), "{:?}", fleet.answers);
}

#[test]
fn nx_os_by_ssh_and_scp() {
    by("ssh", System::NxOs, Faces::ssh_and_scp());
}

#[test]
fn nx_os_by_ssh_inline() {
    by("ssh", System::NxOs, Faces::inline_only());
}

#[test]
fn nx_os_by_nxapi() {
    by("nx-api", System::NxOs, Faces { nxapi: true, ..Faces::none() });
}

#[test]
fn a_mixed_fleet_of_three_hundred_finds_its_ways() {
    let specs: Vec<Spec> = Fleet::mixed(300, 20_261_122).into_iter().map(busy).collect();
    let limits = format!("{LIMITS}concurrency = 24\n").replace("10s", "60s");
    let mut site = Site::entered(specs, &limits, |_| "deliver", |_| "auto");
    around(&mut site);
    all_is_settled(&site);
}
