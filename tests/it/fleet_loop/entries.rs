//! Ways in that are shut, changed or refused: what is told, what is tried instead, and what is never sent.

use std::fs;

use lab::face::Way;
use lab::face::counters::Counters;
use lab::spec::{Algorithms, Faces, StateModel};
use lab::{Fault, Handle, Scope, Spec, specs};
use serde_json::Value;
use slp_collector::domain::event::Learned;
use slp_collector::domain::fleet::Device as Known;
use slp_collector::domain::instance::DeviceName;
use slp_collector::domain::settings::Access;

use super::accesses::{all_is_settled, around, busy};
use super::faults::at_rest;
use crate::support::site::{LIMITS, Site};

const DEVICE: &str = "dev-1";

fn one(access: &'static str, spec: Spec) -> Site {
    Site::entered(vec![busy(spec)], LIMITS, |_| "deliver", |_| access)
}

fn xe(faces: Faces) -> Spec {
    Spec { faces, ..specs::switch(DEVICE) }
}

fn known(site: &Site) -> Known {
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    (*fleet.devices[&DeviceName::from(DEVICE)]).clone()
}

fn learned(site: &Site) -> Learned {
    known(site).learned
}

#[test]
fn a_changed_host_key_is_told_before_a_credential_is_sent_and_accepted_by_a_person() {
    for (access, faces) in [
        ("ssh", Faces::ssh_and_scp()),
        ("netconf", Faces { netconf: true, ..Faces::ssh_and_scp() }),
        ("auto", Faces { netconf: true, ..Faces::ssh_and_scp() }),
    ] {
        let mut site = one(access, xe(faces));
        site.run(["poll", "--all"]).exits(0);
        let device = site.device(DEVICE);
        device.rotate_host_key();
        let before = device.counters().passwords_tried;
        let polled = site.run(["poll", "--all"]).exits(1);
        for words in ["untrusted: connect over SSH: the ssh-rsa host key shown", "is not the pinned one"] {
            assert!(polled.out.contains(words), "{access}: {polled:?}");
        }
        assert_eq!(device.counters().passwords_tried, before, "{access}: a password went to who knows whom");

        let pinned = known(&site).host_key.unwrap().fingerprint;
        let shown = site.run(["device", "trust", DEVICE]).exits(0);
        assert!(shown.out.contains("ssh-rsa") && shown.out.contains("nothing is accepted yet"), "{shown:?}");
        assert_eq!(known(&site).host_key.unwrap().fingerprint, pinned, "{access}: looking accepts nothing");
        site.run(["poll", "--all"]).exits(1);
        site.run(["device", "trust", DEVICE, "--accept"]).exits(0);
        assert_ne!(known(&site).host_key.unwrap().fingerprint, pinned);
        around(&mut site);
        all_is_settled(&site);
    }
}

#[test]
fn old_algorithms_are_spoken_and_the_oldest_where_they_are_asked_for() {
    let mut spec = xe(Faces::ssh_and_scp());
    spec.ssh.algorithms = Algorithms::Legacy;
    one("ssh", spec).run(["poll", "--all"]).exits(0);

    let mut spec = xe(Faces::ssh_and_scp());
    spec.ssh.algorithms = Algorithms::Ancient;
    let mut site = one("ssh", spec);
    let polled = site.run(["poll", "--all"]).exits(1);
    for words in [
        "unsupported: connect over SSH: no key exchange in common",
        "the device offers diffie-hellman-group1-sha1, this side ",
        "diffie-hellman-group14-sha256",
        "set `legacy = true` for this device",
        "`ip ssh dh min size 2048`",
    ] {
        assert!(polled.out.contains(words), "{words:?} in {polled:?}");
    }
    assert_eq!(site.device(DEVICE).counters().passwords_tried, 0);
    let inventory = site.path("devices.csv");
    let rows = fs::read_to_string(&inventory).unwrap();
    let (heading, row) = rows.trim_end().split_once('\n').unwrap();
    fs::write(&inventory, format!("{heading},legacy\n{row},true\n")).unwrap();
    around(&mut site);
    all_is_settled(&site);
}

/// A way of asking for the password, and who is asked.
struct Login {
    what: &'static str,
    access: &'static str,
    spec: fn() -> Spec,
    words: &'static str,
}

const EVERYTHING: Faces = Faces { smartlic: true, restconf: true, netconf: true, ..Faces::ssh_and_scp() };
const ALL_BUT_HTTPS: Faces = Faces { netconf: true, ..Faces::ssh_and_scp() };
const ALL_OF_NX_OS: Faces = Faces { nxapi: true, ..Faces::ssh_and_scp() };

fn by_password() -> Spec {
    let mut spec = xe(ALL_BUT_HTTPS);
    spec.ssh.keyboard_interactive = false;
    spec
}

fn by_prompt() -> Spec {
    let mut spec = xe(ALL_BUT_HTTPS);
    spec.ssh.password = false;
    spec
}

const LOGINS: &[Login] = &[
    Login { what: "REST", access: "auto", spec: || xe(EVERYTHING), words: "refused the login (HTTP 401)" },
    Login { what: "SSH password", access: "auto", spec: by_password, words: "refused the login (SSH password" },
    Login {
        what: "keyboard-interactive",
        access: "auto",
        spec: by_prompt,
        words: "refused the login (SSH keyboard-interactive",
    },
    Login { what: "NETCONF", access: "netconf", spec: || xe(ALL_BUT_HTTPS), words: "refused the login (SSH " },
    Login { what: "RESTCONF", access: "restconf", spec: || xe(EVERYTHING), words: "refused the login (HTTP 401)" },
    Login {
        what: "NX-API",
        access: "nx-api",
        spec: || Spec { faces: ALL_OF_NX_OS, ..specs::nexus(DEVICE) },
        words: "refused the login (HTTP 401)",
    },
    Login {
        what: "NX-OS, all of it",
        access: "auto",
        spec: || Spec { faces: ALL_OF_NX_OS, ..specs::nexus(DEVICE) },
        words: "refused the login (",
    },
];

#[test]
fn a_refused_password_is_tried_once_in_all_by_whichever_access() {
    for login in LOGINS {
        let mut spec = (login.spec)();
        spec.name = DEVICE.to_owned();
        let site = one(login.access, spec);
        let device = site.device(DEVICE);
        device.set_fault(Fault::RefuseLogin);
        let polled = site.run(["poll", "--all"]).exits(1);
        assert!(polled.out.contains(login.words), "{}: {polled:?}", login.what);
        site.run(["poll", "--all", "--close"]).exits(1);
        site.run(["poll", DEVICE]).exits(1);
        assert_eq!(device.counters().logins_refused, 1, "{}", login.what);
        assert_eq!(given(&device.counters()), 1, "{}: {:?}", login.what, device.counters());
        at_rest(&site);
        device.clear_fault();
        site.run(["credential", "release", "slp"]).exits(0);
        site.run(["poll", "--all"]).exits(0);
    }
}

/// How often a password came, by SSH or with a request. Requests of other ways are SSH's own.
fn given(counters: &Counters) -> u64 {
    let over_https = |request: &&String| ["GET ", "POST "].iter().any(|method| request.starts_with(method));
    let requests: u64 = counters.requests.iter().filter(|(key, _)| over_https(key)).map(|(_, count)| count).sum();
    counters.passwords_tried + requests
}

#[test]
fn a_refused_enable_password_is_tried_once_in_all() {
    let mut spec = xe(ALL_BUT_HTTPS);
    spec.terminal.enable = Some("the-right-one".to_owned());
    let mut site = one("auto", spec);
    let device = site.device(DEVICE);
    let secret = site.path("slp.enable");
    fs::write(&secret, "a-wrong-one").unwrap();
    let polled = site.run(["poll", "--all"]).exits(1);
    assert!(polled.out.contains("enable: the device refused the login (enable password)"), "{polled:?}");
    site.run(["poll", "--all", "--close"]).exits(1);
    let counters = device.counters();
    assert_eq!((counters.enables_tried, counters.passwords_tried), (1, 1), "{counters:?}");
    at_rest(&site);
    fs::write(&secret, "the-right-one").unwrap();
    site.run(["credential", "release", "slp", "--note", "the right one is in the file"]).exits(0);
    around(&mut site);
    all_is_settled(&site);
}

#[test]
fn three_refusals_by_different_accesses_hold_the_credential() {
    let named = |name: &str, spec: Spec| Spec { name: name.to_owned(), ..busy(spec) };
    let specs = vec![
        named("dev-1", Spec { faces: Faces::ssh_and_sftp(), ..specs::xr("dev-1") }),
        named("dev-2", Spec { faces: ALL_OF_NX_OS, ..specs::nexus("dev-2") }),
        named("dev-3", Spec { faces: ALL_BUT_HTTPS, ..specs::switch("dev-3") }),
        named("dev-4", Spec { faces: EVERYTHING, ..specs::switch("dev-4") }),
        named("dev-5", Spec { faces: Faces::ssh_and_scp(), ..specs::nexus("dev-5") }),
    ];
    let access = |spec: &Spec| match spec.name.as_str() {
        "dev-1" => "ssh",
        "dev-2" => "nx-api",
        "dev-3" => "netconf",
        _ => "auto",
    };
    // One after the other, so that it is certain who comes fourth.
    let mut site = Site::entered(specs, &format!("{LIMITS}concurrency = 1\n"), |_| "deliver", access);
    site.fleet.devices().for_each(|device| device.set_fault(Fault::RefuseLogin));
    let polled = site.run(["poll", "--all"]).exits(1);
    site.run(["poll", "--all", "--close"]).exits(1);
    for name in ["dev-1", "dev-2", "dev-3"] {
        assert_eq!(site.device(name).counters().logins_refused, 1, "{name}");
        assert_eq!(given(&site.device(name).counters()), 1, "{name}");
    }
    for name in ["dev-4", "dev-5"] {
        assert!(polled.out.contains(&format!("{name}: refused: 3 devices refused credential 'slp'")), "{polled:?}");
        assert_eq!(site.device(name).counters().connections, 0, "{name}");
    }
    site.fleet.devices().for_each(Handle::clear_fault);
    site.run(["credential", "release", "slp", "--note", "the new password is in the file"]).exits(0);
    around(&mut site);
    all_is_settled(&site);
}

#[test]
fn where_the_web_server_is_gone_ssh_is_found_and_remembered() {
    let mut site = one("auto", xe(Faces { smartlic: true, restconf: true, ..Faces::ssh_and_scp() }));
    site.run(["poll", "--all"]).exits(0);
    assert_eq!(learned(&site).access, Some(Access::Rest));
    let device = site.device(DEVICE);
    device.set_fault_on(Fault::RefuseConnection, Scope::way(Way::Https));
    site.run(["poll", "--all"]).exits(0);
    assert_eq!(learned(&site).access, Some(Access::Ssh));
    let proven = known(&site);
    assert!(proven.pin.is_some() && proven.host_key.is_some(), "{proven:?}");

    // What is remembered is tried first, and REST no more.
    device.clear_fault();
    let requests = device.counters().of("/smartlic-service/list");
    around(&mut site);
    assert_eq!(device.counters().of("/smartlic-service/list"), requests);
    all_is_settled(&site);

    // It fails in its turn.
    device.set_fault_on(Fault::RefuseConnection, Scope::way(Way::Ssh));
    site.run(["poll", "--all"]).exits(0);
    assert_eq!(learned(&site).access, Some(Access::Rest));
    device.add_fault(Fault::RefuseConnection, Scope::way(Way::Https));
    let polled = site.run(["poll", "--all"]).exits(1);
    for words in ["unreachable: find a way in", "rest: ", "ssh: ", "netconf: ", "refused"] {
        assert!(polled.out.contains(words), "{words:?} in {polled:?}");
    }
    assert_eq!(learned(&site).access, Some(Access::Rest), "what worked is not forgotten for an outage");
}

#[test]
fn rest_without_restconf_learns_its_state_over_ssh() {
    let mut site = one("auto", xe(Faces { smartlic: true, ..Faces::ssh_and_scp() }));
    site.run(["poll", "--all"]).exits(0);
    let known = known(&site);
    assert_eq!((known.learned.access, known.learned.teller), (Some(Access::Rest), Some(Access::Ssh)));
    assert!(known.pin.is_some() && known.host_key.is_some(), "both are pinned: {known:?}");
    around(&mut site);
    all_is_settled(&site);
    at_rest(&site);
    let shown: Value = site.run(["device", "show", DEVICE, "--format", "json"]).exits(0).json();
    assert_eq!(shown["row"]["contact"], "ok", "{shown}");

    // A device without RESTCONF's licensing model is the same to us.
    let mut spec = busy(xe(EVERYTHING));
    spec.knobs.state_model = StateModel::None;
    let site = Site::entered(vec![spec], LIMITS, |_| "deliver", |_| "auto");
    site.run(["poll", "--all"]).exits(0);
    assert_eq!(learned(&site).teller, Some(Access::Ssh));
}
