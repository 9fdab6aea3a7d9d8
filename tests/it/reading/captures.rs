//! Recorded files: each reads as the contract says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use slp_collector::cli::output::Format;
use slp_collector::domain::rum_file;
use slp_collector::inspect::{Completeness, inspect};

use super::printed;
use crate::support::captures;

fn look(file: &str) -> Option<(Value, bool)> {
    let bytes = fs::read(captures()?.join(file)).expect("the recorded file is there");
    let inspection = inspect(file, &bytes);
    Some((inspection.json, inspection.completeness == Completeness::Whole))
}

fn problems(json: &Value) -> String {
    json["problems"].as_array().expect("problems is a list").iter().map(|one| one.as_str().unwrap_or("?")).collect()
}

#[test]
fn every_protocol_file_has_its_kind() {
    let Some(folder) = captures() else { return };
    let expected = [
        ("ack-file-c8000v-2022-transcript.xml", "ack-file", true),
        ("slac-file-c8000v-2022-transcript.xml", "ack-file", true),
        ("cssm-api-reportusage-request-c8000v-v1-payload.json", "rum-report-file", true),
        ("rum-file-c9800cl-17.9-example-rum-1671840750.xml", "rum-report-file", true),
        ("rum-payload-v1-c8000v-17.6-1646687340.json", "rum-report-file", true),
        ("rum-payload-v2-telemetry-c9300-17.11.json", "rum-report-file", true),
        ("rum-file-nxos-n3550t-10.2-truncated.xml", "rum-report-file", false),
        ("rum-file-nxos-n9k-10.2-truncated.xml", "rum-report-file", false),
        ("bundle-manifest-xe-sip-api-code.mf", "unknown", false),
        ("cssm-api-examples-gve.md", "unknown", false),
        ("syslog-lines.txt", "unknown", false),
    ];
    let there: BTreeSet<String> = fs::read_dir(folder.join("protocol"))
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(there, expected.iter().map(|(name, ..)| (*name).to_owned()).collect(), "every file is told of here");
    for (name, kind, whole) in expected {
        let path = folder.join("protocol").join(name);
        let (code, text) = printed(std::slice::from_ref(&path), Format::Json);
        let json: Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(json["kind"], kind, "{name}: {}", problems(&json));
        assert_eq!(code, u8::from(!whole), "{name}: {}", problems(&json));
        assert!(whole || !problems(&json).is_empty(), "{name} says why");
    }
}

#[test]
fn the_cut_off_prints_of_nx_os_say_that_they_are() {
    for file in ["protocol/rum-file-nxos-n3550t-10.2-truncated.xml", "protocol/rum-file-nxos-n9k-10.2-truncated.xml"] {
        let Some((json, whole)) = look(file) else { return };
        assert!(!whole);
        assert_eq!(json["reports"], json!([]));
        let problems = problems(&json);
        assert!(problems.contains("cut off: the CDATA section that begins on line 4 (byte"), "{problems}");
    }
}

#[test]
fn the_c9800_report_reads_in_full() {
    let Some((json, _)) = look("protocol/rum-file-c9800cl-17.9-example-rum-1671840750.xml") else { return };
    assert_eq!(json["problems"], json!([]));
    let report = &json["reports"][0];
    let udi = json!({"pid": "C9800-CL-K9", "sn": "9NTUEA8FIIH"});
    assert_eq!(report["report_id"], 1671840750);
    assert_eq!(report["payload_version"], "2.0");
    assert_eq!(report["udi"], udi);
    assert_eq!(report["product_instance_identifier"], Value::Null);
    assert_eq!(report["software_version"], "17.09.02");
    assert_eq!(
        report["entitlement_tag"],
        "regid.2018-06.com.cisco.DNA_NWStack,1.0_e7244e71-3ad5-4608-8bf0-d12f67c80896"
    );
    assert_eq!(report["software_tag"], "regid.2018-05.com.cisco.WLC_9500C,1.0_85665885-b865-4e32-8184-5510412fcb54");
    assert_eq!(report["report_type"], "entitlement");
    assert_eq!(report["signing_type"], "builtin");
    assert_eq!(report["members"], json!([{"role": "active", "udi": udi}]));
    assert_eq!(report["measurements"].as_array().map(Vec::len), Some(3));
    let first = &report["measurements"][0];
    assert_eq!((&first["metric"], &first["value"]), (&json!("ENTITLEMENT"), &json!(2)));
    let last = &report["measurements"][2];
    assert_eq!((&last["samples"], &last["value"]), (&json!(1615), &json!(3)));
    assert_eq!(last["clock_change_seconds"], -3433);
    assert_eq!(
        (&last["termination_reason"], &last["close_reason"]),
        (&json!("ProductReload"), &json!("ProductReload"))
    );
    assert_eq!((&last["start"], &last["end"]), (&json!("2022-12-29T19:10:45Z"), &json!("2023-01-15T13:43:32Z")));
    assert_eq!(report["measurements"][1]["added"], json!([{"pid": "AIR-AP2802I-E-K9", "sn": "FDW2028D3SV"}]));
}

#[test]
fn the_older_payload_reads_the_same_alone_and_in_a_request() {
    let Some((alone, _)) = look("protocol/rum-payload-v1-c8000v-17.6-1646687340.json") else { return };
    let Some((request, _)) = look("protocol/cssm-api-reportusage-request-c8000v-v1-payload.json") else { return };
    let (mut alone, mut request) = (alone["reports"][0].clone(), request["reports"][0].clone());
    assert_eq!((alone["signing_type"].take(), request["signing_type"].take()), (Value::Null, json!("SHA-256")));
    assert_eq!(alone, request);
    assert_eq!(alone["report_id"], 1646687340);
    assert_eq!(alone["payload_version"], Value::Null);
    assert_eq!(alone["measurements"][1]["value"], 0);
    assert_eq!(alone["measurements"][1]["termination_reason"], "CurrentUsageRequested");
}

#[test]
fn the_telemetry_report_reads_without_counts() {
    let Some((json, _)) = look("protocol/rum-payload-v2-telemetry-c9300-17.11.json") else { return };
    let report = &json["reports"][0];
    assert_eq!((&report["report_id"], &report["report_type"]), (&json!(1667873941), &json!("telemetry")));
    assert_eq!(report["entitlement_tag"], Value::Null);
    assert_eq!(report["product_instance_identifier"], "360b8a0f-7713-4f20-846f-03281350f9d3");
    assert_eq!(report["members"][1]["role"], "standby");
    assert_eq!(report["measurements"].as_array().map(Vec::len), Some(8));
    assert!(report["measurements"].as_array().into_iter().flatten().all(|one| one["value"].is_null()));
}

#[test]
fn the_ack_and_the_slac_read_although_blacked_out() {
    let Some((ack, _)) = look("protocol/ack-file-c8000v-2022-transcript.xml") else { return };
    assert_eq!(ack["parts"], json!(["authorization", "policy", "rum-ack", "account-info"]));
    assert_eq!(ack["udi"], json!({"pid": "C8000V", "sn": "[REDACTED]"}));
    assert_eq!(ack["policy"]["name"], "[REDACTED] Policy");
    assert_eq!(ack["policy"]["ack_required"], true);
    let days = |first: Value, frequency: u32, change: u32| json!({"first_report_days": first, "reporting_frequency_days": frequency, "report_on_change_days": change});
    assert_eq!(ack["policy"]["subscription"], days(json!(90), 365, 90));
    assert_eq!(ack["policy"]["perpetual"], days(json!(90), 356, 90));
    assert_eq!(ack["policy"]["enforced"], days(Value::Null, 0, 90));
    assert_eq!(ack["policy"]["generic"], days(json!(90), 365, 90));
    assert_eq!(ack["acknowledgements"], json!([]));
    assert_eq!(ack["correlation_id"], "6[REDACTED]46a895");
    assert_eq!(ack["account"]["timestamp"], "2022-07-01T14:18:04.85Z");
    assert!(problems(&ack).contains("the data of the RUM ACK is not JSON"));

    let Some((slac, whole)) = look("protocol/slac-file-c8000v-2022-transcript.xml") else { return };
    assert!(whole);
    assert_eq!(slac["parts"], json!(["authorization", "policy", "account-info"]));
    assert_eq!(slac["problems"], json!([]));
}

#[test]
fn constructed_files_give_clear_problems() {
    let Some((saved, whole)) = look("drafts/iosxe/save-usage-file.xml") else { return };
    assert!(!whole, "its payload is an ellipsis");
    assert_eq!(saved["system_info"]["sudi"]["udi_serial_number"], "ABCDEF1234");
    assert!(problems(&saved).starts_with("report 1 on line 4: the payload cannot be read"), "{}", problems(&saved));
    let Some((rest, whole)) = look("drafts/iosxe/smartlic-all-reports.json") else { return };
    assert_eq!((whole, &rest["kind"]), (false, &json!("rum-report-file")));
    let Some((ack, whole)) = look("drafts/iosxe/ack-file.xml") else { return };
    assert!(whole);
    assert_eq!(ack["parts"], json!(["policy", "rum-ack"]));
    assert_eq!(ack["policy"], Value::Null);
}

/// What a file outside of `protocol/` is, by its name.
fn kind_of(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if is(&["xml_show_version_raw", "nxapi_show_license_usage.ascii"]) {
        // Answers of NX-API that hold the output as text.
        if is(&["version"]) { "show-version" } else { "show-license" }
    } else if name.ends_with(".py") || name.ends_with(".json") || name.ends_with(".xml") {
        "unknown"
    } else if is(&["ShowVersion", "show_version"]) {
        "show-version"
    } else if is(&["show_inventory"]) {
        "show-inventory"
    } else if is(&["ShowLicense", "show_license", "show-license"]) {
        "show-license"
    } else {
        "unknown"
    }
}

#[test]
fn every_recorded_file_of_every_folder_has_its_kind() {
    let Some(folder) = captures() else { return };
    let mut folders = vec![folder];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).expect("the file can be read");
            let name = path.display().to_string();
            let inspection = inspect(&name, &bytes);
            assert!(!inspection.json["kind"].as_str().unwrap_or_default().is_empty());
            if !name.contains("/protocol/") && !name.contains("/drafts/iosxe/") {
                assert_eq!(inspection.json["kind"], kind_of(&name), "{name}");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 120, "{looked_at} files");
}

#[test]
fn the_bytes_of_a_recorded_report_are_kept() {
    let Some(folder) = captures() else { return };
    let bytes = fs::read(folder.join("protocol/rum-file-c9800cl-17.9-example-rum-1671840750.xml")).expect("the file");
    let file = rum_file::read(&bytes).expect("a RUM file");
    let raw = &file.reports[0].raw;
    assert!(raw.starts_with(b"{\n  \"payload\": \"{") && raw.ends_with(b"}\n}"));
    assert!(bytes.windows(raw.len()).any(|window| window == raw.as_slice()));
}
