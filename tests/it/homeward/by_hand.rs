//! A device that nobody reaches: every step by a person, from `license smart save usage` to `ack confirm`.

use std::fs;
use std::path::Path;

use lab::{Operation, Reply, Spec, specs};
use serde_json::Value;

use super::{answers, me, saved, written};
use crate::support::site::{LIMITS, Site};

/// One device of each system at a dark site, and one in reach elsewhere.
fn site() -> Site {
    let dark = |spec: Spec| Spec { site: "dark-3".to_owned(), ..spec };
    let all = vec![dark(specs::switch("dark-xe")), dark(specs::nexus("dark-nx")), specs::switch("edge-1")];
    let access = |spec: &Spec| if spec.site == "dark-3" { "by-hand" } else { "rest" };
    let site = Site::entered(all, LIMITS, |_| "deliver", access);
    site.advance(3600);
    site
}

/// Its reports as a person brings them.
fn bring(site: &Site, device: &str) {
    let file = written(site, &format!("{device}.txt"), &saved(&site.device(device)));
    let ran = site.run(["report", "import", file.to_str().unwrap()]).exits(0);
    assert!(ran.out.contains(&format!("'{device}' is known as this instance from now on")), "{ran:?}");
}

fn row(site: &Site, device: &str) -> Value {
    let mut rows = site.status();
    rows.retain(|row| row["device"] == device);
    rows.pop().unwrap()
}

#[test]
fn a_dark_sites_month_by_hand_ends_in_a_persons_word() {
    let mut site = site();
    bring(&site, "dark-xe");
    bring(&site, "dark-nx");
    let before = row(&site, "dark-xe");
    assert_eq!((&before["state"], &before["site"]), (&Value::from("never-reported"), &Value::from("dark-3")));
    let owed = before["reports_waiting"].as_u64().unwrap();
    assert!(owed > 0, "{before}");

    let bundle = site.bundle();
    let made: Vec<Value> = site.run(["bundle", "list", "--format", "json"]).exits(0).json();
    let id = made[0]["bundle_id"].as_str().unwrap().to_owned();
    assert_eq!(made[0]["made_by"], me());
    site.run(["bundle", "handover", &id, "--note", " "]).exits(64);
    site.run(["bundle", "handover", &id, "--note", "next year", "--at", "9999-01-01T00:00:00Z"]).exits(64);
    site.run(["bundle", "handover", &id, "--note", "courier"]).exits(0);
    let shown: Vec<Value> = site.run(["bundle", "show", &id, "--format", "json"]).exits(0).json();
    assert_eq!(shown[0]["handed_over_by"], me());
    let (answered, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    site.import(&site.download(&answered), &[]).exits(0);
    for answer in answers(&site) {
        assert_eq!((&answer["by_hand"], &answer["next_try"]), (&Value::Bool(true), &Value::Null), "{answer}");
        assert!(answer["waits_for"].as_str().unwrap().contains("a person who imports it"), "{answer}");
        assert_eq!(answer["brought_by"], me());
    }

    let out = site.path("out");
    let args = ["ack", "export", "--site", "dark-3", "--format", "json", "--out"];
    let exported: Value = site.run(args.iter().copied().chain([out.to_str().unwrap()])).exits(0).json();
    let folder = Path::new(exported["path"].as_str().unwrap());
    let sheet = fs::read_to_string(folder.join("COMMANDS.txt")).unwrap();
    let files = exported["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        let name = file["file"].as_str().unwrap();
        let device = file["device"].as_str().unwrap();
        assert!(sheet.contains(&format!("license smart import bootflash:{name}")), "{sheet}");
        assert!(sheet.contains(site.device(device).spec().udi().sn.as_str()), "{sheet}");
        // The person types it.
        let bytes = fs::read(folder.join(name)).unwrap();
        assert!(!matches!(site.device(device).apply(Operation::Import(bytes)), Reply::Refused(_)), "{device}");
    }
    assert!(sheet.contains("confirmed by public tools for IOS XE"), "{sheet}");
    site.run(["ack", "export", "--site", "nowhere"]).exits(64);

    let confirm = |args: &[&str]| site.run([&["ack", "confirm"], args].concat());
    confirm(&["--site", "dark-3", "--at", "+1d", "--note", "soon"]).exits(64);
    confirm(&["--site", "dark-3", "--note", " "]).exits(64);
    let told = confirm(&["--site", "dark-3", "--at", "-1h", "--note", "Anna, last ACK moved"]).exits(0);
    assert!(told.out.contains(&format!("{owed} reports are acknowledged by that word")), "{told:?}");
    confirm(&["--site", "dark-3", "--note", "again"]).exits(64);

    let after = row(&site, "dark-xe");
    assert_eq!((&after["reports_waiting"], &after["basis"]), (&Value::from(0), &Value::from("configured-default")));
    assert!(after["reason"].as_str().unwrap().contains("(by a person's word)"), "{after}");
    assert!(after["due"].as_str() > before["due"].as_str(), "the clock was reset: {after}");
    let told = answers(&site);
    assert!(told.iter().all(|answer| answer["status"]["confirmed"] == "by-person"), "{told:?}");
    assert_eq!(told[0]["word"]["by"], me());

    whole_life(&site, &id, folder);
    let notes = ["evidence", "--from", "-1d", "--to", "+1d", "--format", "json"];
    let evidence: Value = site.run(notes).exits(0).json();
    let noted: Vec<&Value> = evidence["notes"].as_array().unwrap().iter().map(|note| &note["what"]).collect();
    assert_eq!(noted, ["bundle handed over", "answer confirmed", "answer confirmed"]);
    assert!(evidence["notes"].as_array().unwrap().iter().all(|note| note["by"] == me()));
}

/// One report, from the file it came in to the word that ended it.
fn whole_life(site: &Site, bundle: &str, folder: &Path) {
    let all: Vec<Value> =
        site.run(["report", "list", "--device", "dark-xe", "--all", "--format", "json"]).exits(0).json();
    let id = all[0]["report_id"].to_string();
    let lives: Vec<Value> = site.run(["report", "show", &id, "--format", "json"]).exits(0).json();
    let life = lives.iter().find(|life| life["line"]["device"] == "dark-xe").unwrap();
    let events = life["events"].as_array().unwrap();
    let told: Vec<&str> = events.iter().map(|event| event[1].as_str().unwrap()).collect();
    let object = life["line"]["object"].as_str().unwrap();
    let export = folder.file_name().unwrap().to_str().unwrap();
    let expected = [
        format!("brought in a file, kept as object {object}"),
        format!("put into bundle {bundle}"),
        format!("bundle {bundle} handed over"),
        "answer received: ACK_".to_owned(),
        format!("answer written to {export}"),
        "answer installed at".to_owned(),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(&expected) {
        assert!(told.starts_with(expected.as_str()), "{told} is not {expected}");
    }
    assert!(events.iter().all(|event| event[2] == me()), "{events:?}");
    let text = site.run(["report", "show", &id]).exits(0);
    assert!(text.out.contains(&format!("[{}]", me())), "{text:?}");
}

#[test]
fn reports_brought_twice_are_known_and_other_bytes_are_told() {
    let site = site();
    let bytes = saved(&site.device("dark-xe"));
    let file = written(&site, "usage.txt", &bytes);
    let import = |file: &Path| site.run(["report", "import", file.to_str().unwrap()]);
    import(&file).exits(0);
    assert!(import(&file).exits(0).out.contains(": 0 reports kept"));
    // The same ids with another count.
    let text = String::from_utf8(bytes).unwrap();
    let other = text.replacen(r#"\"num_samples\":"#, r#"\"num_samples\":1"#, 1);
    assert_ne!(text, other);
    let forged = written(&site, "other.txt", other.as_bytes());
    let ran = import(&forged).exits(2);
    assert!(ran.out.contains("came again with other bytes, both kept"), "{ran:?}");
    // What is cut off is kept as far as it is whole, and told.
    let cut = written(&site, "cut.txt", &text.as_bytes()[..text.len() - 40]);
    assert!(import(&cut).exits(2).out.contains("cut off"));
    let nothing = written(&site, "notes.txt", b"hello");
    assert!(import(&nothing).exits(1).out.contains("not taken"));
    let ack = written(&site, "ack.txt", super::nameless_ack(&[1]).as_bytes());
    assert!(import(&ack).exits(1).out.contains("comes from Cisco"));
}

#[test]
fn whose_reports_are_is_said_by_a_person_where_no_name_tells_and_never_against_what_is_known() {
    let site = site();
    let text = String::from_utf8(saved(&site.device("dark-xe"))).unwrap();
    let nameless = written(&site, "x.txt", text.replace("dark-xe", "somebody").as_bytes());
    let ran = site.run(["report", "import", nameless.to_str().unwrap()]).exits(0);
    assert!(ran.out.contains("no device of the inventory"), "{ran:?}");
    assert!(row(&site, "dark-xe")["instance"].is_null());
    let with = |device: &str| site.run(["report", "import", nameless.to_str().unwrap(), "--device", device]);
    with("edge-9").exits(64);
    with("dark-xe").exits(0);
    assert!(!row(&site, "dark-xe")["instance"].is_null());
    assert!(row(&site, "dark-xe")["reports_waiting"].as_u64() > Some(0), "what came before is its own");
    let ran = with("dark-nx").exits(1);
    assert!(ran.out.contains("which is 'dark-xe'"), "{ran:?}");
    let other = written(&site, "nx.txt", &saved(&site.device("dark-nx")));
    let ran = site.run(["report", "import", other.to_str().unwrap(), "--device", "dark-xe"]).exits(1);
    assert!(ran.out.contains("device replace"), "{ran:?}");
}

#[test]
fn devices_whose_names_begin_alike_have_a_file_each() {
    let name = |end: &str| format!("access-switch-of-the-third-building-floor-{end}");
    let site = Site::with(vec![specs::switch(&name("1")), specs::switch(&name("2"))], LIMITS, |_| "collect");
    site.advance(3600);
    site.run(["poll", "--all"]).exits(0);
    let policy = written(&site, "policy.xml", super::POLICY.as_bytes());
    site.import(&[policy], &["--no-deliver"]).exits(3);
    site.run(["ack", "assign", "policy.xml", &name("1"), &name("2"), "--note", "one for both"]).exits(0);
    let at = answers(&site)[0]["site"].as_str().unwrap().to_owned();
    let exported: Value = site.run(["ack", "export", "--site", &at, "--format", "json"]).exits(0).json();
    let mut files: Vec<&str> =
        exported["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    files.dedup();
    assert_eq!(files.len(), 2, "{exported}");
}
