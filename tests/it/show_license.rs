//! What devices print of their licensing: our own fixtures, recorded outputs, and damage.

mod captures;
mod damage;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jiff::tz::TimeZone;
use slp_collector::cli::inspect::inspect;
use slp_collector::cli::output::Format;
use slp_collector::domain::instance::{Role, Udi};
use slp_collector::domain::show_license::{self, Kind, Traditional};
use slp_collector::domain::state::{DeviceState, Model, ReportState};

use crate::support::{data, golden};

/// Our own fixtures, in the order of the golden files.
fn fixtures() -> Vec<PathBuf> {
    let folder = fs::read_dir(data("show")).expect("the folder can be read");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn fixture(name: &str) -> String {
    fs::read_to_string(data("show").join(name)).expect("the fixture is there")
}

fn printed(format: Format) -> (u8, String) {
    let mut out = Vec::new();
    let exit = inspect(&fixtures(), None, format, &mut out).expect("memory takes every write");
    let text = String::from_utf8(out).expect("what is printed is text");
    (exit.code(), text.replace(&data("show/").display().to_string(), ""))
}

#[test]
fn every_fixture_is_printed_as_json() {
    let (code, text) = printed(Format::Json);
    assert_eq!(code, 2, "one is cut off, one has refusals alone");
    golden("show.ndjson", &text);
}

#[test]
fn every_fixture_is_printed_for_people() {
    golden("show.txt", &printed(Format::Table).1);
}

#[test]
fn every_fixture_is_printed_as_rows() {
    golden("show.csv", &printed(Format::Csv).1);
}

#[test]
fn codes_are_told_only_where_they_are_printed() {
    let codes = |name: &str| show_license::read(&fixture(name), None).state.authorizations;
    let printed = codes("ios-xe-authorized.txt").unwrap();
    let chassis: Vec<_> = printed.codes.iter().map(|code| (code.role, code.status.as_str())).collect();
    assert_eq!(chassis, [(Some(Role::Active), "SMART AUTHORIZATION INSTALLED")]);
    assert!(printed.codes[0].installed.as_ref().is_some_and(|installed| installed.utc.is_some()));
    let [allowed] = &printed.allowed[..] else { panic!("not one licence: {:?}", printed.allowed) };
    assert_eq!((allowed.name.as_deref(), allowed.count), (Some("C9K HSEC"), Some(1)));
    assert_eq!(allowed.enforcement.as_deref(), Some("EXPORT RESTRICTED"));
    // Printed, and none installed; and not printed.
    assert_eq!(codes("ios-xe-all.txt"), Some(Default::default()));
    assert_eq!(codes("ios-xe-status-fresh.txt"), None);
}

#[test]
fn compliance_is_the_devices_word_without_what_changes_daily() {
    let of = |text: &str| show_license::read(text, None).state.compliance;
    let classic = |word: &str| {
        of(&format!("r#show license all\nSmart Licensing is ENABLED\n\nLicense Authorization:\n  Status: {word}\n"))
    };
    let out = classic("OUT OF COMPLIANCE on Jul 20 10:00:00 2026 UTC");
    assert_eq!(out.authorization.as_deref(), Some("OUT OF COMPLIANCE"));
    assert_eq!(out.breaches().collect::<Vec<_>>(), ["OUT OF COMPLIANCE"]);
    assert_eq!(classic("AUTHORIZED on Jul 20 10:00:00 2026 UTC").breaches().count(), 0);
    assert_eq!(classic("Not Applicable"), Default::default());
    let upgrade = |status: &str| {
        let span = "LAST: Tue Jul 02 2024 13:13:37 UTC";
        of(&format!("RP/0/RP0/CPU0:x#show license platform summary\nCollection: {span}\nSIA Status: {status}\n"))
    };
    let grace = upgrade("Out of Compliance(Remaining Grace Period: 69 days, 21 hours)");
    assert_eq!(grace.breaches().collect::<Vec<_>>(), ["Out of Compliance"]);
    let expired = upgrade("Out of Compliance(Grace Period Expired)");
    assert_eq!(expired.breaches().collect::<Vec<_>>(), ["Out of Compliance(Grace Period Expired)"]);
    assert_eq!(upgrade("In Compliance").breaches().count(), 0);
}

#[test]
fn every_model_is_told() {
    for (name, model) in [
        ("ios-xe-all.txt", Model::Slp),
        ("ios-xe-reserved-under-slp.txt", Model::Slp),
        ("ios-xr-all.txt", Model::Slp),
        ("nx-os-all-fresh.txt", Model::Slp),
        ("nx-os-usage-nothing.txt", Model::Slp),
        ("ios-xe-classic.txt", Model::ClassicSmartLicensing),
        ("ios-xe-classic-slr.txt", Model::SpecificLicenseReservation),
        ("ios-xe-classic-plr.txt", Model::PermanentLicenseReservation),
        ("nx-os-traditional.txt", Model::Traditional),
        ("nx-os-pak.txt", Model::Traditional),
        ("ios-index.txt", Model::Traditional),
        ("ios-xe-right-to-use.txt", Model::Traditional),
        ("nx-os-disabled.txt", Model::Disabled),
        ("ios-xe-udi-slots.txt", Model::Unknown),
        ("ios-xr-platform.txt", Model::Unknown),
    ] {
        let reading = show_license::read(&fixture(name), None);
        assert_eq!((reading.kind, reading.state.model), (Kind::ShowLicense, model), "{name}");
    }
    for (name, kinds) in [
        ("nx-os-traditional.txt", vec![Traditional::Pak, Traditional::HonourBased]),
        ("nx-os-pak.txt", vec![Traditional::Pak]),
        ("ios-index.txt", vec![Traditional::Pak, Traditional::RightToUse]),
        ("ios-xe-right-to-use.txt", vec![Traditional::RightToUse]),
        ("ios-xe-all.txt", vec![]),
    ] {
        assert_eq!(Vec::from_iter(show_license::read(&fixture(name), None).traditional), kinds, "{name}");
    }
}

#[test]
fn a_reservation_held_under_slp_is_read_a_chassis_at_a_time() {
    let state = show_license::read(&fixture("ios-xe-reserved-under-slp.txt"), None).state;
    let reserved: Vec<_> =
        state.reserved.iter().map(|one| (one.name.as_deref().unwrap_or("?"), one.count, one.role)).collect();
    assert_eq!(
        reserved,
        [
            ("C9500 Network Advantage", Some(1), Some(Role::Active)),
            ("C9500 Network Advantage", Some(1), Some(Role::Standby)),
            ("C9500-DNA-16X-A", Some(1), Some(Role::Active)),
        ]
    );
    let term = &state.reserved[2];
    assert_eq!(term.authorization.as_deref(), Some("SPECIFIC INSTALLED"));
    assert_eq!(term.installed.as_ref().and_then(|at| at.utc), "2025-11-02T03:16:01Z".parse().ok());
    assert_eq!(term.end.as_ref().map(|end| &*end.text), Some("2028-OCT-31 UTC"));
    let plr = "Overall status:\n  Active: PID:C8000V,SN:9AAAAAAAAAA\n      Status: PLR INSTALLED on Nov 02 03:16:01 2025 UTC\n";
    let state = show_license::read(plr, None).state;
    assert_eq!(state.reserved.len(), 1);
    assert_eq!(state.reserved[0].udi, Some(Udi::new("C8000V", "9AAAAAAAAAA")));
}

#[test]
fn local_times_have_utc_when_the_zone_is_given() {
    let text = fixture("ios-xe-tech-local-zone.txt");
    let without = show_license::read(&text, None);
    let stamp = without.state.usage_reporting.next_ack_deadline.clone().expect("it is printed");
    assert_eq!((&*stamp.text, stamp.utc), ("Aug 01 10:00:00 2026 CEST", None));
    let check = show_license::cross_check(&without.state, without.os);
    let computed = check.computed.expect("distances need no zone");
    assert_eq!((&*computed.text, computed.utc, check.agrees), ("Aug 01 10:00:00 2026 CEST", None, Some(true)));

    let berlin = TimeZone::get("Europe/Berlin").expect("the zone is known");
    let with = show_license::read(&text, Some(&berlin));
    let deadline = with.state.usage_reporting.next_ack_deadline.as_ref().and_then(|stamp| stamp.utc);
    assert_eq!(deadline, "2026-08-01T08:00:00Z".parse().ok());
    assert_eq!(with.clock.and_then(|clock| clock.utc), "2026-07-17T07:41:12Z".parse().ok());
    let check = show_license::cross_check(&with.state, with.os);
    assert_eq!(check.computed.and_then(|computed| computed.utc), deadline);
}

#[test]
fn several_outputs_of_one_device_make_its_identity() {
    let texts = ["show-version-ios-xe.txt", "show-inventory-ios-xe.txt", "ios-xe-all.txt"].map(fixture);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let identity = show_license::identity(order.map(|at| texts[at].as_str()), None);
        assert_eq!(identity.os, Some("ios-xe"));
        assert_eq!(identity.hostname.as_deref(), Some("edge-17"));
        assert_eq!(identity.software.as_deref(), Some("17.15.20260101:001500"));
        assert_eq!(identity.udi, Some(Udi::new("C9300-48P", "FOC0000A17A")));
        assert_eq!(identity.members.len(), 3);
        assert_eq!(identity.clock.and_then(|clock| clock.utc), "2026-11-02T08:15:31Z".parse().ok());
    }
    let nexus = ["show-version-nx-os.txt", "show-inventory-nx-os.txt"].map(fixture);
    let identity = show_license::identity(nexus.iter().map(String::as_str), None);
    assert_eq!((identity.os, identity.software.as_deref()), (Some("nx-os"), Some("10.4(5)")));
    assert_eq!(identity.udi, Some(Udi::new("N9K-C93180YC-FX3", "FDO0000NX07")));
    let router = ["show-version-ios-xr.txt", "ios-xr-all.txt"].map(fixture);
    let identity = show_license::identity(router.iter().map(String::as_str), None);
    assert_eq!((identity.os, identity.hostname.as_deref()), (Some("ios-xr"), Some("xr-5")));
    assert_eq!(identity.udi, Some(Udi::new("8201-32FH", "FOC0000XR05")));
    let clock = "wlc-2#show clock\n*12:00:00.123 UTC Mon Nov 2 2026\n";
    let clock = show_license::identity([clock], None).clock.and_then(|clock| clock.utc);
    assert_eq!(clock, "2026-11-02T12:00:00Z".parse().ok());
}

#[test]
fn a_report_listed_twice_has_its_newer_state() {
    let listed = show_license::rum_ids(&fixture("ios-xe-rum-ids.txt"));
    let ids: Vec<u64> = listed.iter().map(|one| one.report_id.0).collect();
    assert_eq!(ids, Vec::from_iter(1_790_000_001..=1_790_000_008));
    assert_eq!(listed[2].state, Some(ReportState::Acknowledged));
    assert_eq!(listed[2].start, "2026-09-01T00:00:01Z".parse().ok());
    assert_eq!(listed[3].state, Some(ReportState::Closed));
    assert_eq!(listed[6].state, None);
}

#[test]
fn a_session_is_read_as_if_nothing_had_been_between_its_lines() {
    let reading = show_license::read(&fixture("ios-xe-session.txt"), None);
    let counts: Vec<_> =
        reading.state.licenses.iter().map(|one| (one.name.as_deref().unwrap_or("?"), one.count)).collect();
    assert_eq!(counts, [("network-advantage", Some(2)), ("dna-advantage", Some(3))], "of usage, not of summary");
    assert!(reading.state.licenses.iter().all(|one| one.license_type.is_some()));
    assert_eq!(reading.hostname.as_deref(), Some("edge-17"));
    assert_eq!(reading.complaints.len(), 1);
    assert_eq!(reading.complaints[0].command.as_deref(), Some("show license rum id al"));
    assert!(reading.problems.is_whole());
}

#[test]
fn outputs_of_two_devices_are_not_taken_for_one() {
    let both = format!("{}\n{}", fixture("ios-xe-all.txt"), fixture("ios-xr-all.txt"));
    let reading = show_license::read(&both, None);
    let told = reading.problems.sentences().join("; ");
    assert!(!reading.problems.is_whole() && told.contains("two instances"), "{told}");
}

#[test]
fn usage_of_before_slp_is_whole_without_types() {
    let classic = "old-1#show license usage\nLicense Authorization:\n  Status: AUTHORIZED on Jan 10 10:00:30 2025 UTC\n\n\
        appxk9 (ISR_4300_Application):\n  Description: AppX\n  Count: 1\n  Version: 1.0\n  Status: AUTHORIZED\n\
        \x20 Export status: NOT RESTRICTED\n";
    let reading = show_license::read(classic, None);
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assert_eq!(reading.state.model, Model::ClassicSmartLicensing);
    assert_eq!(reading.state.licenses[0].entitlement_tag.as_ref().map(|tag| &*tag.0), Some("ISR_4300_Application"));
}

#[test]
fn a_state_is_stored_and_read_back_and_an_older_one_is_read() {
    for path in fixtures() {
        let text = fs::read_to_string(&path).expect("the fixture is there");
        let state = show_license::read(&text, None).state;
        let stored = serde_json::to_value(&state).expect("every state can be written");
        let read: DeviceState = serde_json::from_value(stored.clone()).expect("what was written can be read");
        assert_eq!(read, state, "{}", path.display());
        let mut older = stored;
        let keys = older.as_object_mut().expect("an object");
        keys.remove("reserved");
        if let Some(policy) = keys.get_mut("policy").and_then(|policy| policy.as_object_mut()) {
            policy.remove("groups");
            policy.remove("installed");
        }
        assert!(serde_json::from_value::<DeviceState>(older).is_ok(), "{}", path.display());
    }
}

#[test]
fn inspect_takes_the_time_zone_of_the_device() {
    let files = [data("show/ios-xe-tech-local-zone.txt")];
    let run = |zone: &str| {
        let command = Command::new(env!("CARGO_BIN_EXE_slp-collector"))
            .args(["inspect", "--format", "json", "--timezone", zone])
            .args(&files)
            .output();
        command.expect("the program runs")
    };
    let output = run("Europe/Berlin");
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["deadline"]["due"]["utc"], "2026-08-01T08:00:00Z");
    assert_eq!(json["deadline"]["computed"]["utc"], "2026-08-01T08:00:00Z");
    assert_eq!(run("Nowhere/At-All").status.code(), Some(64));
}
