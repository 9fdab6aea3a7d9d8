//! The verbs as other programs and people rely on them: exit codes, formats, and what must not be believed.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use lab::{Fault, specs};
use serde_json::Value;
use slp_collector::domain::digest::Sha256;

use crate::support::site::{Ran, Site, files};

/// Two devices with two reports each, in no account.
fn site() -> Site {
    let site = Site::new(vec![specs::switch("edge-1"), specs::switch("edge-2")]);
    site.advance(3600);
    site
}

/// The same, polled, bundled and answered; the answers' files are those of `edge-1` and `edge-2`, in this order.
fn answered() -> (Site, PathBuf, Vec<PathBuf>) {
    let mut site = site();
    site.run(["poll", "--all", "--close"]).exits(0);
    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    site.advance(3600);
    let mut files = site.download(&answers);
    let serial = site.device("edge-1").spec().udi().sn.clone();
    files.sort_by_key(|file| !file.display().to_string().contains(&serial));
    (site, bundle, files)
}

fn csv(ran: &Ran) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(ran.out.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn how_a_verb_ended_is_told_by_its_exit_code() {
    let site = site();
    site.run(["poll", "--all"]).exits(0);
    site.device("edge-2").set_fault(Fault::RefuseConnection);
    site.run(["poll", "edge-2"]).exits(1);
    site.run(["poll", "--all"]).exits(2);
    for wrong in [
        &["poll"] as &[&str],
        &["poll", "edge-9"],
        &["poll", "edge-1", "--all"],
        &["fly"],
        &["status", "--at", "soon"],
        &["status", "--format", "xml"],
        &["report", "show", "1"],
        &["bundle", "create"],
        &["bundle", "create", "--site", "nowhere"],
        &["bundle", "show", "nothing"],
        &["ack", "assign", "nothing", "edge-1", "--note", "x"],
        &["credential", "release", "nobody"],
        &["device", "show", "edge-9"],
    ] {
        let ran = site.run(wrong).exits(64);
        assert!(ran.out.is_empty() && !ran.err.trim().is_empty(), "{wrong:?}: {ran:?}");
    }
    let missing = site.run(["bundle", "verify", "nowhere"]).exits(1);
    assert!(missing.err.contains("nowhere"), "{missing:?}");
    site.run(["ack", "import", "nowhere"]).exits(1);
}

#[test]
fn the_register_is_asked_about_the_past_and_the_future() {
    let (site, _, files) = answered();
    let before = site.status();
    let in_between = Timestamp::now().to_string();
    site.import(&files, &[]).exits(0);
    let now = site.status();
    assert!(now.iter().zip(&before).all(|(now, before)| now["last_ack"] != before["last_ack"]));

    let past: Vec<Value> = site.run(["status", "--at", &in_between, "--format", "json"]).exits(0).json();
    for (past, before) in past.iter().zip(&before) {
        for key in ["device", "due", "last_ack", "reports_waiting", "state", "basis"] {
            assert_eq!(past[key], before[key], "{key}");
        }
    }
    let future: Vec<Value> = site.run(["status", "--at", "+400d", "--format", "json"]).exits(0).json();
    assert!(
        future.iter().all(|row| row["state"] == "overdue" && row["days_left"].as_f64() < Some(-300.0)),
        "{future:?}"
    );
    assert!(future.iter().zip(&now).all(|(future, now)| future["due"] == now["due"]));
    // Before anything was known there is nobody to tell of, but the inventory.
    let long_ago = (Timestamp::now() - SignedDuration::from_hours(24 * 365)).to_string();
    let none: Vec<Value> = site.run(["status", "--at", &long_ago, "--format", "json"]).exits(0).json();
    assert!(
        none.len() == 2 && none.iter().all(|row| row["state"] == "unknown" && row["instance"].is_null()),
        "{none:?}"
    );
    let soon: Vec<Value> = site.run(["status", "--due-within", "30d", "--format", "json"]).exits(0).json();
    assert_eq!(soon, [] as [Value; 0]);
}

#[test]
fn listings_are_json_ndjson_and_csv() {
    let (site, _, answers) = answered();
    site.import(&answers, &[]).exits(0);
    for verb in [
        &["status"] as &[&str],
        &["poll", "--all"],
        &["report", "list", "--all"],
        &["bundle", "list"],
        &["ack", "list"],
        &["device", "list"],
    ] {
        let of = |format: &str| site.run(verb.iter().copied().chain(["--format", format])).exits(0);
        let all: Vec<Value> = of("json").json();
        assert!(!all.is_empty(), "{verb:?}");
        let lines: Vec<Value> = of("ndjson").out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), all.len(), "{verb:?}");
        let rows = csv(&of("csv"));
        assert!(rows.len() == all.len() + 1 && rows.iter().all(|row| row.len() == rows[0].len()), "{verb:?}");
        assert!(rows[0].len() > 3 && rows[0].iter().all(|heading| !heading.is_empty()), "{verb:?}");
    }
}

#[test]
fn exported_reports_are_the_devices_own_bytes() {
    let site = site();
    site.run(["poll", "--all", "--close"]).exits(0);
    let truth = site.bodies("edge-1");
    let out = site.path("export");
    site.run(["report", "export", "--device", "edge-1", "--out", out.to_str().unwrap()]).exits(0);
    let listed: Vec<Value> = site.run(["report", "list", "--device", "edge-1", "--format", "json"]).exits(0).json();
    assert_eq!((listed.len(), files(&out).len()), (2, 2));
    for line in &listed {
        let id = line["report_id"].as_u64().unwrap();
        let exported =
            files(&out).into_iter().find(|file| file.display().to_string().contains(&id.to_string())).unwrap();
        let bytes = fs::read(exported).unwrap();
        assert_eq!(bytes, truth[&id].as_bytes());
        let signed: Value = serde_json::from_slice(&bytes).unwrap();
        let payload = Sha256::of(signed["payload"].as_str().unwrap().as_bytes());
        assert_eq!(line["payload_sha256"], payload.to_string());
    }
}

#[test]
fn a_bundle_with_any_byte_changed_does_not_verify() {
    let (site, bundle, _) = answered();
    let verify = || site.run(["bundle", "verify", bundle.to_str().unwrap()]);
    verify().exits(0);
    for file in files(&bundle) {
        let name = file.strip_prefix(&bundle).unwrap().display().to_string();
        let good = fs::read(&file).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            let ran = verify().exits(3);
            // A manifest that is not the signed one says nothing of its members, nor does its signature.
            let told = ["manifest.json", "manifest.sig", "signer.pem"].contains(&name.as_str());
            assert!(told || format!("{}{}", ran.out, ran.err).contains(&name), "{name} at {at}: {ran:?}");
        }
        fs::write(&file, good).unwrap();
    }
    fs::write(bundle.join("one-more.txt"), "x").unwrap();
    assert!(format!("{:?}", verify().exits(3)).contains("one-more.txt"));
    fs::remove_file(bundle.join("one-more.txt")).unwrap();
    verify().exits(0);
}

fn status_of(site: &Site, name: &str) -> Value {
    let listed: Vec<Value> = site.run(["ack", "list", "--format", "json"]).exits(0).json();
    listed.into_iter().find(|answer| answer["name"] == name).unwrap_or_else(|| panic!("{name} is not listed"))
}

fn written(site: &Site, name: &str, bytes: &[u8]) -> PathBuf {
    let path = site.path(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn an_answer_that_is_not_whose_it_says_waits_in_quarantine() {
    let (site, _, answers) = answered();
    let (one, two) = (&answers[0], &answers[1]);
    // The bytes of one under the name of the other.
    let swapped = written(&site, &name_of(two), &fs::read(one).unwrap());
    let ran = site.import(&[swapped], &[]).exits(3);
    assert!(ran.out.contains("in quarantine: its name belongs to"), "{ran:?}");
    // A serial number that nobody has.
    let text = String::from_utf8(fs::read(two).unwrap()).unwrap();
    let serial = site.device("edge-2").spec().udi().sn.clone();
    let foreign = written(&site, "ACK_foreign.txt", text.replace(&serial, "LABFFFFFFFF").as_bytes());
    let ran = site.import(std::slice::from_ref(&foreign), &[]).exits(3);
    assert!(ran.out.contains("which is no instance known here"), "{ran:?}");
    assert!(status_of(&site, "ACK_foreign.txt")["status"].to_string().contains("quarantined"));
    // It cannot be talked into another device: the device would refuse it.
    let ran = site.run(["ack", "assign", foreign.to_str().unwrap(), "edge-2", "--note", "try"]).exits(64);
    assert!(ran.err.contains("LABFFFFFFFF"), "{ran:?}");
    // One good, one in quarantine: partly done, and nothing was imported that should not be.
    let other = written(&site, "ACK_other.txt", text.replace(&serial, "LABEEEEEEEE").as_bytes());
    site.import(&[two.clone(), other], &[]).exits(2);
    assert_eq!(site.device("edge-1").counters().of("/smartlic-service/import"), 0);
    assert_eq!(site.device("edge-2").counters().of("/smartlic-service/import"), 1);
    // A damaged file is no answer at all, and no file of another kind is.
    let cut = written(&site, "ACK_cut.txt", &fs::read(one).unwrap()[..200]);
    assert!(site.import(&[cut], &[]).exits(1).out.contains("not taken"));
}

#[test]
fn an_answer_renamed_still_finds_its_device_and_one_without_names_is_placed_by_a_person() {
    let (site, _, answers) = answered();
    let renamed = written(&site, "from the courier.txt", &fs::read(&answers[0]).unwrap());
    let ran = site.import(std::slice::from_ref(&renamed), &[]).exits(0);
    assert!(ran.out.contains("taken for edge-1"), "{ran:?}");
    let again = site.import(&[renamed], &[]).exits(0);
    assert!(again.out.contains("the same bytes came before for edge-1"), "{again:?}");

    // A policy names no device.
    let policy = "<smartLicensePolicy><policyCode><name>P</name><ackRequired>yes</ackRequired></policyCode>\
                  <signature>x</signature></smartLicensePolicy>";
    let policy = written(&site, "policy.xml", policy.as_bytes());
    site.import(std::slice::from_ref(&policy), &[]).exits(3);
    let assigned = site.run(["ack", "assign", policy.to_str().unwrap(), "edge-2", "--note", "from the account team"]);
    // The lab's device refuses a policy that nobody signed; that it was placed and sent is what counts here.
    assert!(
        assigned.out.contains("assigned") && assigned.out.contains("edge-2: policy.xml not delivered"),
        "{assigned:?}"
    );
    assert_eq!(status_of(&site, "policy.xml")["assigned"], "from the account team");
    // What failed for good starts anew when a person says so; the device still refuses it.
    site.run(["ack", "assign", policy.to_str().unwrap(), "edge-2", "--note", "again"]).exits(2);
    assert_eq!(status_of(&site, "policy.xml")["assigned"], "again");
}

#[test]
fn completions_and_manual_come_from_the_same_definitions() {
    let site = site();
    for shell in ["bash", "zsh", "fish"] {
        let ran = site.run(["completions", shell]).exits(0);
        assert!(ran.out.contains("handover") && ran.out.len() > 5_000, "{shell}");
    }
    let man = site.run(["man"]).exits(0);
    assert!(man.out.contains(".TH") && man.out.contains("CREDENTIAL RELEASE"));
    let help = site.run(["--help"]).exits(0);
    assert!(help.out.contains("75 another process holds the ledger"));
}

#[test]
fn an_unknown_key_is_told_with_its_file_and_line() {
    let site = site();
    let file = site.config_file();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[poll]\n", "[poll]\nspeed = 9\n")).unwrap();
    let line = 1 + text.lines().position(|line| line == "[poll]").unwrap() + 1;
    for verb in ["status", "check-config", "run"] {
        let ran = site.run([verb]).exits(64);
        assert!(
            ran.err.contains(&format!("slp-collector.toml:{line}:")) && ran.err.contains("speed"),
            "{verb}: {ran:?}"
        );
    }
    assert!(!site.path("state").exists(), "nothing is made under a wrong configuration");
}

#[test]
fn whoever_closes_the_pipe_early_makes_nothing_panic() {
    use std::process::Stdio;
    let site = site();
    for verb in [&["completions", "bash"][..], &["man"]] {
        let mut child =
            site.command(verb.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads: the first write meets a broken pipe.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
