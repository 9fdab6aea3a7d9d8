//! `device probe` over the lab: what works, why the rest does not, what would mend it; and what is kept of it.

use lab::spec::{Algorithms, Faces};
use lab::{Fault, Spec, specs};
use serde_json::Value;
use slp_collector::domain::instance::DeviceName;

use crate::support::site::{LIMITS, Site};

fn site(spec: Spec, access: &'static str) -> Site {
    Site::entered(vec![spec], LIMITS, |_| "observe", |_| access)
}

/// The probe as a document, and its exit code.
fn probed(site: &Site, code: i32) -> Value {
    site.run(["device", "probe", "dev-1", "--format", "json"]).exits(code).json()
}

fn accesses(probe: &Value) -> Vec<(&str, bool)> {
    let accesses = probe["accesses"].as_array().unwrap().iter();
    accesses.map(|one| (one["access"].as_str().unwrap(), one["works"].as_bool().unwrap())).collect()
}

fn mends<'p>(probe: &'p Value, list: &str, key: &str, name: &str) -> Vec<&'p str> {
    let one = probe[list].as_array().unwrap().iter().find(|one| one[key] == name).unwrap();
    one["mend"].as_array().unwrap().iter().map(|mend| mend["line"].as_str().unwrap()).collect()
}

/// Nothing was written: neither on the device nor on record.
fn wrote_nothing(site: &Site) {
    let ledger = site.ledger();
    let known = ledger.fleet().devices.get(&DeviceName::from("dev-1")).cloned();
    assert!(known.is_none_or(|known| known.writes.is_empty()));
    assert_eq!(site.device("dev-1").state().files.len(), 0);
    for request in site.device("dev-1").counters().requests.keys() {
        let writes = ["save", "import", "delete", "scp -t", "POST /smartlic", "POST /restconf"];
        assert!(!writes.iter().any(|word| request.contains(word)), "{request}");
    }
}

#[test]
fn an_ios_xe_without_rest_is_told_how_to_open_it() {
    let faces = Faces { restconf: true, netconf: true, sftp: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "auto");
    let probe = probed(&site, 0);
    assert_eq!(accesses(&probe), [("rest", false), ("ssh", true), ("netconf", true), ("restconf", true)]);
    assert_eq!(probe["chosen"], "ssh");
    assert_eq!(mends(&probe, "accesses", "access", "rest")[0], "ip http secure-server");
    assert_eq!(probe["identity"]["udi"]["sn"], site.device("dev-1").spec().udi().sn);
    // The lab's clock stands five days back.
    let ahead = probe["clock"]["ahead_seconds"].as_i64().unwrap();
    assert!((-432_100..=-431_900).contains(&ahead), "{ahead}");
    for (at, access) in ["ssh", "netconf"].into_iter().enumerate() {
        let agreed = &probe["ssh"][at];
        assert_eq!((&agreed["access"], &agreed["server"]), (&access.into(), &"SSH-2.0-Cisco-1.25".into()));
        assert_eq!(agreed["fingerprint"], site.device("dev-1").host_key_fingerprint());
        assert_eq!(agreed["kex"], "ecdh-sha2-nistp256");
        assert_eq!(agreed["outdated"], serde_json::json!([]));
    }
    let files: Vec<&str> = probe["files"].as_array().unwrap().iter().map(|way| way["way"].as_str().unwrap()).collect();
    assert_eq!(files, ["scp", "sftp", "inline"]);
    assert!(probe["files"].as_array().unwrap().iter().all(|way| way["get"] == true));
    assert_eq!(probe["files"][2]["put"], false, "nothing is put inline");
    wrote_nothing(&site);

    let page = site.run(["device", "probe", "dev-1"]).exits(0).out;
    for line in ["ios-xe: ip http secure-server\n", "session-modules all   (inferred)\n", "would be chosen  ssh\n"] {
        assert!(page.contains(line), "{line:?} in\n{page}");
    }
}

#[test]
fn trust_that_was_learnt_and_contact_are_kept() {
    let faces = Faces { restconf: true, smartlic: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "auto");
    let probe = probed(&site, 0);
    assert_eq!((probe["chosen"].as_str(), &probe["teller"]), (Some("rest"), &Value::Null));
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    let known = &fleet.devices[&DeviceName::from("dev-1")];
    assert_eq!(known.pin.map(|pin| pin.0), Some(site.device("dev-1").fingerprint()));
    assert!(known.host_key.is_some() && known.trouble.is_none());
    assert!(fleet.contacts.contains_key(&DeviceName::from("dev-1")));
}

#[test]
fn rest_without_restconf_names_who_tells_the_state() {
    let faces = Faces { smartlic: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "auto");
    let probe = probed(&site, 0);
    assert_eq!((probe["chosen"].as_str(), probe["teller"].as_str()), (Some("rest"), Some("ssh")));
    assert_eq!(mends(&probe, "accesses", "access", "rest"), ["restconf"]);
}

#[test]
fn a_nexus_is_told_its_features() {
    let site = site(Spec { faces: Faces::inline_only(), ..specs::nexus("dev-1") }, "auto");
    let probe = probed(&site, 0);
    assert_eq!(accesses(&probe), [("rest", false), ("ssh", true), ("nx-api", false)]);
    assert_eq!(mends(&probe, "accesses", "access", "nx-api"), ["feature nxapi"]);
    assert_eq!(mends(&probe, "files", "way", "scp"), ["feature scp-server"]);
    assert_eq!(mends(&probe, "files", "way", "sftp"), ["feature sftp-server"]);
    assert_eq!(probe["files"][2]["get"], true);
    wrote_nothing(&site);
}

#[test]
fn an_ios_xr_by_netconf_tells_its_state_and_no_more() {
    let faces = Faces { netconf: true, ..Faces::ssh_and_sftp() };
    let site = site(Spec { faces, ..specs::xr("dev-1") }, "auto");
    let probe = probed(&site, 0);
    assert_eq!(accesses(&probe), [("rest", false), ("ssh", true), ("netconf", true)]);
    let netconf = &probe["accesses"][2];
    assert_eq!(netconf["remark"], "this system's models tell its state and no more");
    let got: Vec<bool> = probe["files"].as_array().unwrap().iter().map(|way| way["get"] == true).collect();
    assert_eq!(got, [false, true, true]);
}

#[test]
fn a_set_access_is_what_would_be_chosen() {
    let faces = Faces { smartlic: true, restconf: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "ssh");
    let probe = probed(&site, 0);
    assert_eq!(probe["chosen"], "ssh");
    assert!(accesses(&probe).contains(&("rest", true)), "{probe}");
}

#[test]
fn outdated_algorithms_are_named() {
    let mut spec = Spec { faces: Faces::ssh_and_scp(), ..specs::switch("dev-1") };
    spec.ssh.algorithms = Algorithms::Legacy;
    let probe = probed(&site(spec, "auto"), 0);
    let outdated = probe["ssh"][0]["outdated"].as_array().unwrap();
    assert!(
        outdated.contains(&"diffie-hellman-group14-sha1".into()) && outdated.contains(&"ssh-rsa".into()),
        "{probe}"
    );
}

#[test]
fn a_refused_password_is_offered_to_no_other_access() {
    let faces = Faces { smartlic: true, restconf: true, netconf: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "auto");
    site.device("dev-1").set_fault(Fault::RefuseLogin);
    let probe = probed(&site, 1);
    assert_eq!(accesses(&probe), [("rest", false)]);
    assert_eq!(probe["not_tried"], serde_json::json!(["ssh", "nx-api", "netconf"]));
    let lines = mends(&probe, "accesses", "access", "rest");
    assert!(lines.last().unwrap().contains("credential release"), "{lines:?}");
    let counters = site.device("dev-1").counters();
    assert_eq!((counters.logins_refused, counters.passwords_tried), (1, 0));

    // It is on record: neither a probe nor a poll asks again.
    let again = probed(&site, 1);
    assert!(again["stopped"].as_str().unwrap().contains("refused credential 'slp'"), "{again}");
    site.run(["poll", "dev-1"]).exits(1);
    assert_eq!(site.device("dev-1").counters(), counters);
}

#[test]
fn a_changed_key_ends_it_and_waits_for_a_person() {
    let faces = Faces { restconf: true, netconf: true, ..Faces::ssh_and_scp() };
    let site = site(Spec { faces, ..specs::switch("dev-1") }, "auto");
    probed(&site, 0);
    site.device("dev-1").rotate_host_key();
    let before = site.device("dev-1").counters().passwords_tried;
    let probe = probed(&site, 1);
    assert_eq!(accesses(&probe), [("rest", false), ("ssh", false)]);
    assert_eq!(probe["not_tried"], serde_json::json!(["nx-api", "netconf"]));
    assert!(mends(&probe, "accesses", "access", "ssh")[0].contains("device trust"));
    assert_eq!(site.device("dev-1").counters().passwords_tried, before, "a password went to somebody unknown");
    let shown = site.run(["device", "trust", "dev-1"]).exits(0).out;
    assert!(shown.contains("nothing is accepted yet"), "{shown}");
}

#[test]
fn where_nothing_answers_every_system_gets_its_lines() {
    let site = site(Spec { faces: Faces::none(), ..specs::nexus("dev-1") }, "auto");
    let probe = probed(&site, 1);
    assert_eq!(probe["chosen"], Value::Null);
    assert!(mends(&probe, "accesses", "access", "ssh").contains(&"feature ssh"));
    assert!(mends(&probe, "accesses", "access", "ssh").contains(&"ssh server v2"));
    assert_eq!(site.status()[0]["contact"], "never");
    site.run(["device", "probe", "nobody"]).exits(64);
}

#[test]
fn a_slip_in_a_name_is_told_and_a_host_key_is_called_one() {
    let spec = Spec { faces: Faces::ssh_and_scp(), ..specs::switch("edge-1") };
    let site = Site::entered(vec![spec], LIMITS, |_| "observe", |_| "ssh");
    site.run(["poll", "--all"]).exits(0);
    for words in [
        ["device", "trust", "--site", "nowhere"],
        ["report", "list", "--device", "nowhere"],
        ["bundle", "create", "--site", "nowhere"],
    ] {
        let slip = site.run(words).exits(64);
        assert!(slip.err.contains("'nowhere'") && slip.err.contains("nothing is known of one"), "{slip:?}");
    }
    site.run(["report", "list", "--device", "edge-1"]).exits(0);
    let pinned = site.run(["device", "trust", "edge-1"]).exits(1);
    assert!(pinned.out.contains("edge-1  ssh-") && !pinned.out.contains("certificate"), "{pinned:?}");
}
