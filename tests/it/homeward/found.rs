//! Answers that somebody else carried: a later look at the device closes them.

use lab::{Operation, Reply, Spec, specs};
use serde_json::Value;

use super::{answered, answers};
use crate::support::site::{LIMITS, Site};

/// One device that is read and collected from, but never written an answer to; its answers are on it by a person's hand.
fn carried(spec: Spec, access: &'static str) -> Site {
    let mut site = Site::entered(vec![spec], LIMITS, |_| "collect", |_| access);
    let files = answered(&mut site);
    site.import(&files, &[]).exits(0);
    // The lab's clock is days behind the system's, by which the answer was received.
    site.advance(6 * 86_400);
    let waiting = answers(&site);
    assert!(waiting.iter().all(|answer| answer["by_hand"] == true), "{waiting:?}");
    site.run(["poll", "--all"]).exits(0);
    assert!(
        answers(&site).iter().all(|answer| answer["status"] == "awaiting-delivery"),
        "nothing is on the device yet"
    );
    let folder = site.path("out");
    let ran = site.run(["ack", "export", "--site", "s-1", "--format", "json", "--out", folder.to_str().unwrap()]);
    let exported: Value = ran.exits(0).json();
    for file in exported["files"].as_array().unwrap() {
        let path = std::path::Path::new(exported["path"].as_str().unwrap()).join(file["file"].as_str().unwrap());
        let imported = site.device("edge-1").apply(Operation::Import(std::fs::read(path).unwrap()));
        assert!(!matches!(imported, Reply::Refused(_)), "{imported:?}");
    }
    site.run(["poll", "--all"]).exits(0);
    site
}

#[test]
fn the_devices_word_on_its_reports_closes_what_a_person_carried() {
    let spec = Spec { site: "s-1".to_owned(), ..specs::switch("edge-1") };
    let site = carried(spec, "rest");
    let told = answers(&site);
    assert_eq!((&told[0]["status"]["confirmed"], &told[0]["attempts"]), (&Value::from("by-id"), &Value::from(0)));
    let id = told[0]["reports"][0].to_string();
    let text = site.run(["report", "show", &id]).exits(0);
    assert!(text.out.contains("answer found on edge-1: the device lists it as acknowledged"), "{text:?}");
}

#[test]
fn where_no_ids_are_listed_a_moved_last_ack_closes_it_and_is_shown_as_weaker() {
    let faces = lab::spec::Faces::ssh_and_scp();
    let mut spec = Spec { site: "s-1".to_owned(), faces, ..specs::xr("edge-1") };
    spec.terminal.has_rum = false;
    let site = carried(spec, "ssh");
    let told = answers(&site);
    assert_eq!(told[0]["status"]["confirmed"], "by-time", "{told:?}");
    let owed: Vec<Value> = site.run(["report", "list", "--format", "json"]).exits(0).json();
    assert_eq!(owed, [] as [Value; 0]);
}
