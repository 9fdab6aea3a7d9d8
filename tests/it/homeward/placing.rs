//! Whose an answer is: several devices for one file, ids alone, and reports that never left from here.

use std::fs;
use std::path::PathBuf;

use lab::specs;
use serde_json::Value;

use super::{POLICY, answered, answers, me, nameless_ack, written};
use crate::support::site::Site;

/// Two devices that were polled, and the answers to their bundle.
fn site() -> (Site, Vec<PathBuf>) {
    let mut site = Site::new(vec![specs::switch("edge-1"), specs::switch("edge-2")]);
    let files = answered(&mut site);
    (site, files)
}

fn of<'a>(all: &'a [Value], name: &str) -> Vec<&'a Value> {
    all.iter().filter(|answer| answer["name"] == name).collect()
}

#[test]
fn a_policy_goes_to_as_many_devices_as_a_person_says() {
    let (site, _) = site();
    let policy = written(&site, "policy.xml", POLICY.as_bytes());
    let policy = policy.to_str().unwrap();
    site.run(["ack", "import", policy]).exits(3);
    assert_eq!(of(&answers(&site), "policy.xml").len(), 1);
    let assign = |args: &[&str]| site.run([&["ack", "assign"], args].concat());
    assign(&[policy, "edge-1", "edge-9", "--note", "all or none"]).exits(64);
    assign(&[policy, "edge-1", "--note", " "]).exits(64);
    assert_eq!(of(&answers(&site), "policy.xml")[0]["device"], Value::Null);
    // The lab's devices refuse a policy that nobody signed; each is asked for itself.
    let ran = assign(&[policy, "edge-1", "edge-2", "edge-1", "--note", "account team"]).exits(2);
    assert_eq!(ran.out.matches(": assigned to ").count(), 2, "{ran:?}");
    let all = answers(&site);
    let mut devices: Vec<&str> =
        of(&all, "policy.xml").iter().map(|answer| answer["device"].as_str().unwrap()).collect();
    devices.sort_unstable();
    assert_eq!(devices, ["edge-1", "edge-2"]);
    for device in devices {
        assert!(site.device(device).counters().of("/smartlic-service/import") > 0, "{device}");
    }
    // Brought again, it starts anew where it stood, and nobody is asked whose it is.
    let again = site.run(["ack", "import", policy, "--no-deliver"]).exits(0);
    assert_eq!(again.out.matches("taken for edge-").count(), 2, "{again:?}");
    // One of the two is confirmed by a word; the other waits.
    let confirm = ["ack", "confirm", "policy.xml", "--device", "edge-2", "--note", "seen"];
    site.run(confirm).exits(0);
    let all = answers(&site);
    let status = |device: &str| {
        let one = of(&all, "policy.xml").into_iter().find(|answer| answer["device"] == device).unwrap();
        one["status"].clone()
    };
    assert_eq!(status("edge-2")["confirmed"], "by-person");
    assert_eq!(status("edge-1"), "awaiting-delivery");
}

#[test]
fn the_same_bytes_under_two_names_are_two_answers() {
    let (site, files) = site();
    for file in &files {
        // Readable ids would tell them apart.
        fs::write(file, "<smartLicense><smartLicenseRumAck><data>opaque</data></smartLicenseRumAck></smartLicense>")
            .unwrap();
    }
    let ran = site.import(&files, &["--no-deliver"]).exits(0);
    assert!(ran.out.contains("taken for edge-1") && ran.out.contains("taken for edge-2"), "{ran:?}");
    let all = answers(&site);
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|answer| answer["status"] == "awaiting-delivery"), "{all:?}");
    assert_eq!(all[0]["object"], all[1]["object"]);
    let again = site.import(&files, &["--no-deliver"]).exits(0);
    assert_eq!(again.out.matches("the same bytes came before").count(), 2, "{again:?}");
}

#[test]
fn ids_alone_tell_whose_an_answer_is_where_just_one_instance_sent_them() {
    let site = Site::new(vec![specs::switch("edge-1"), specs::switch("edge-2")]);
    site.advance(3600);
    let ids = |device: &str| -> Vec<u64> {
        site.run(["poll", device, "--close"]).exits(0);
        let args = ["report", "list", "--device", device, "--format", "json"];
        let owed: Vec<Value> = site.run(args).exits(0).json();
        owed.iter().map(|report| report["report_id"].as_u64().unwrap()).collect()
    };
    let import = |name: &str, ids: &[u64]| {
        let file = written(&site, name, nameless_ack(ids).as_bytes());
        site.import(&[file], &["--no-deliver"])
    };
    let one = ids("edge-1");
    let ran = import("renamed.txt", &one).exits(0);
    assert!(ran.out.contains("renamed.txt: taken for edge-1"), "{ran:?}");
    import("never.txt", &[1, 2]).exits(3);
    import("half.txt", &[one[0], 1]).exits(3);
    // Devices that began at the same second count alike: then an id says nothing.
    assert_eq!(ids("edge-2"), one);
    import("either.txt", &one[..1]).exits(3);
}

#[test]
fn an_answer_to_what_never_left_from_here_is_taken_for_its_device_and_told() {
    let (site, _) = site();
    let udi = site.device("edge-1").spec().udi().clone();
    let pair = format!(r#""sudi":{{"udi_pid":"{}","udi_serial_number":"{}"}}"#, udi.pid, udi.sn);
    let ack = nameless_ack(&[7]).replace(r#""status""#, &format!(r#"{pair},"status""#));
    let file = written(&site, "ACK_of_a_bundle_never_made.txt", ack.as_bytes());
    let ran = site.import(&[file], &["--no-deliver"]).exits(0);
    assert!(ran.out.contains("taken for edge-1; it acknowledges reports that never came here: 7"), "{ran:?}");
    let all = answers(&site);
    assert_eq!((&all[0]["bundle_id"], &all[0]["brought_by"]), (&Value::Null, &Value::from(me())));
}

/// What a browser calls a file of which it has one already.
#[test]
fn a_count_behind_a_name_belongs_to_no_name() {
    let (site, files) = site();
    for (file, count) in files.iter().zip([" (1)", "(12)"]) {
        let (head, ending) = file.to_str().unwrap().rsplit_once('.').unwrap();
        let bytes = "<smartLicense><smartLicenseRumAck><data>opaque</data></smartLicenseRumAck></smartLicense>";
        fs::write(format!("{head}{count}.{ending}"), bytes).unwrap();
        let ran = site.import(&[format!("{head}{count}.{ending}").into()], &["--no-deliver"]).exits(0);
        assert!(ran.out.contains("taken for edge-"), "{ran:?}");
    }
    assert_eq!(answers(&site).len(), 2);
    let (head, _) = files[0].to_str().unwrap().rsplit_once('.').unwrap();
    for other in ["(x)", "(1)y", "(1234)", "()"] {
        let file: PathBuf = format!("{head}{other}.txt").into();
        fs::write(&file, format!("{POLICY}<!--{other}-->")).unwrap();
        site.import(&[file], &["--no-deliver"]).exits(3);
    }
}

#[test]
fn an_answer_that_names_two_devices_waits_and_goes_to_each_that_a_person_says() {
    let (site, _) = site();
    let named = |device: &str| {
        let udi = site.device(device).spec().udi().clone();
        format!(r#"{{"sudi":{{"udi_pid":"{}","udi_serial_number":"{}"}},"report_id":7}}"#, udi.pid, udi.sn)
    };
    let list = [named("edge-1"), named("edge-2")].join(",");
    let list = list.replace(r#""report_id":7"#, r#""report_id":7,"status":"OK""#);
    let ack = nameless_ack(&[7]).replace(r#"{"report_id":7,"status":"OK"}"#, &list);
    let file = written(&site, "both.txt", ack.as_bytes());
    let ran = site.import(&[file], &["--no-deliver"]).exits(3);
    assert!(ran.out.contains("it names two instances") && ran.out.contains("`ack assign`"), "{ran:?}");
    let assign = |device: &str| site.run(["ack", "assign", "both.txt", device, "--note", "one file for both"]);
    for device in ["edge-1", "edge-2"] {
        assert!(assign(device).out.contains(&format!("assigned to {device}")));
    }
    assert_eq!(of(&answers(&site), "both.txt").len(), 2);
}
