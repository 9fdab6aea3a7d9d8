//! The life of a fleet by verbs: retired, replaced, On-Prem's own duty, silences; by the ledger and through the socket.

use std::fs;

use lab::specs;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site};

/// Two devices, polled, each with reports that are owed.
fn site() -> Site {
    let specs = vec![specs::switch("edge-1"), specs::switch("edge-2")];
    let site = Site::with(specs, &format!("{LIMITS}spread = \"0s\"\n"), |_| "deliver");
    site.advance(3600);
    site.run(["poll", "--all", "--close"]).exits(0);
    site
}

/// Takes a device off the inventory.
fn take_off(site: &Site, name: &str) {
    let csv = fs::read_to_string(site.path("devices.csv")).unwrap();
    let kept: Vec<&str> = csv.lines().filter(|line| !line.starts_with(&format!("{name},"))).collect();
    fs::write(site.path("devices.csv"), kept.join("\n") + "\n").unwrap();
}

fn udi(site: &Site, name: &str) -> String {
    let device = site.device(name);
    let udi = device.spec().udi().clone();
    format!("PID:{},SN:{}", udi.pid, udi.sn)
}

fn row<'a>(rows: &'a [Value], key: &str, value: &str) -> &'a Value {
    rows.iter().find(|row| row[key] == value).unwrap_or_else(|| panic!("no {key} {value} in {rows:#?}"))
}

#[test]
fn what_left_the_inventory_is_orphaned_until_it_is_retired_and_still_owes() {
    let site = site();
    let refused = site.run(["device", "retire", "edge-2", "--note", "scrapped"]).exits(64);
    assert!(refused.err.contains("take it off first"), "{refused:?}");
    take_off(&site, "edge-2");
    let rows = site.status();
    let orphan = row(&rows, "device", "edge-2");
    assert!(orphan["trouble"].as_str().unwrap().contains("no longer in the inventory"));
    assert!(orphan["reports_waiting"].as_u64().unwrap() > 0 && orphan["retired"].is_null());

    let ended = site.run(["device", "retire", "edge-2", "--note", "scrapped"]).exits(0);
    assert!(ended.out.contains("scrapped"), "{ended:?}");
    assert!(!site.status().iter().any(|row| row["device"] == "edge-2"));
    let rows: Vec<Value> = site.run(["status", "--retired", "--format", "json"]).exits(0).json();
    let retired = row(&rows, "device", "edge-2");
    assert!(!retired["retired"].is_null() && retired["state"] == "not-required" && retired["due"].is_null());
    let again = site.run(["device", "retire", &udi(&site, "edge-2"), "--note", "x"]).exits(64);
    assert!(again.err.contains("retired already"), "{again:?}");

    let made: Value = site.run(["bundle", "create", "--format", "json"]).exits(0).json();
    assert_eq!(made["instances"], 2, "what it owed is still of use to Cisco");
}

#[test]
fn a_retired_device_that_a_poll_sees_again_is_back() {
    let site = site();
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    take_off(&site, "edge-2");
    site.run(["device", "retire", "edge-2", "--note", "scrapped"]).exits(0);
    fs::write(site.path("devices.csv"), inventory).unwrap();
    let rows = site.status();
    assert!(row(&rows, "device", "edge-2")["reason"].as_str().unwrap().contains("retired on"));
    site.run(["poll", "edge-2"]).exits(0);
    let rows = site.status();
    let back = row(&rows, "device", "edge-2");
    assert!(back["retired"].is_null() && !back["due"].is_null(), "{back}");
}

#[test]
fn another_chassis_stands_in_through_the_running_daemon() {
    let site = site();
    take_off(&site, "edge-2");
    let old = udi(&site, "edge-2");
    let daemon = Daemon::start(&site, None);
    for wrong in [["edge-1", "edge-1"], [&old, "edge-9"], ["edge-1", &old], [&old, &old]] {
        site.run(["device", "replace", wrong[0], wrong[1]]).exits(64);
    }
    site.run(["device", "replace", &old, "edge-1", "--note", "RMA 12345"]).exits(0);
    let rows: Vec<Value> = site.run(["status", "--retired", "--format", "json"]).exits(0).json();
    let reason = row(&rows, "device", "edge-2")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&udi(&site, "edge-1")) && reason.contains("RMA 12345"), "{reason}");
    assert!(row(&rows, "device", "edge-1")["retired"].is_null());
    site.run(["device", "replace", "edge-1", &old]).exits(64);

    site.run(["on-prem", "synced", "ssm-1", "--note", "by the console"]).exits(0);
    let listed: Vec<Value> = site.run(["silence", "list", "--format", "json"]).exits(0).json();
    assert!(listed.is_empty());
    assert_eq!(daemon.stop().0, Some(0));
    assert!(site.status().iter().any(|row| row["on_prem"] == "ssm-1"));
}

#[test]
fn on_prem_has_a_row_in_the_register() {
    let site = site();
    site.run(["on-prem", "synced", "ssm-1", "--at", "+1d"]).exits(64);
    site.run(["on-prem", "synced", "ssm-1", "--at", "-40d"]).exits(0);
    let rows: Vec<Value> = site.run(["status", "--state", "due-soon", "--format", "json"]).exits(0).json();
    let server = row(&rows, "on_prem", "ssm-1");
    assert!(server["device"].is_null() && server["instance"].is_null(), "{server}");
    assert_eq!(server["days_left"], 50.0);
    let rows: Vec<Value> = site.run(["status", "--at", "+60d", "--format", "json"]).exits(0).json();
    assert_eq!(row(&rows, "on_prem", "ssm-1")["violations"], serde_json::json!(["on-prem-sync-overdue"]));
    let listed: Vec<Value> = site.run(["on-prem", "list", "--format", "json"]).exits(0).json();
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &Value::from("due-soon")));
    let devices: Vec<Value> = site.run(["device", "list", "--format", "json"]).exits(0).json();
    assert_eq!(devices.len(), 2, "a server is no device");
}

#[test]
fn a_silence_is_set_listed_and_ended() {
    let site = site();
    let add = |args: &[&str]| site.run([&["silence", "add"], args].concat());
    let long = add(&["--until", "+91d", "--note", "moving"]).exits(64);
    assert!(long.err.contains("at most 90 days"), "{long:?}");
    add(&["--until", "+1d", "--note", "moving", "--site", "nowhere"]).exits(64);
    add(&["--until", "+1d", "--note", "moving", "--device", "edge-9"]).exits(64);
    add(&["--until", "+1d", "--note", "moving", "--kind", "rain"]).exits(64);
    add(&["--until", "+1d"]).exits(64);
    add(&["--until", "+1d", "--note", "moving", "--device", "edge-1", "--severity", "warning"]).exits(0);
    add(&["--from", "+2d", "--until", "+3d", "--note", "lift", "--kind", "clock-skew"]).exits(0);
    let listed: Vec<Value> = site.run(["silence", "list", "--format", "json"]).exits(0).json();
    let phases: Vec<&Value> = listed.iter().map(|line| &line["phase"]).collect();
    assert_eq!(phases, ["holds", "coming"]);
    assert_eq!(listed[0]["covers"]["device"], "edge-1");
    let id = listed[0]["id"].as_str().unwrap();
    site.run(["silence", "end", id]).exits(0);
    site.run(["silence", "end", id]).exits(64);
    let listed: Vec<Value> = site.run(["silence", "list", "--all", "--format", "json"]).exits(0).json();
    assert_eq!(listed.len(), 1);
}
