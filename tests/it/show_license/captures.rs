//! Recorded outputs: each reads as its text says, told by a search of the text that knows nothing of sections.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use slp_collector::domain::show_license::{self, Kind, Reading};
use slp_collector::domain::state::{License, Model, ReportState, Stamp};

use crate::support::captures;

/// Every recorded or constructed output of the three systems, by its path within the folder.
fn outputs(folder: &Path) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    for part in ["iosxe", "iosxr", "nxos", "drafts/iosxr", "drafts/nxos"] {
        for entry in fs::read_dir(folder.join(part)).expect("the folder can be read") {
            let path: PathBuf = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            if name.ends_with(".txt") || name.ends_with(".raw") {
                let bytes = fs::read(&path).expect("the file can be read");
                outputs.insert(format!("{part}/{name}"), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
    assert!(outputs.len() > 70, "{} outputs", outputs.len());
    outputs
}

/// The values of a label, wherever it stands.
fn values<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(label).map(str::trim);
    text.lines().filter_map(value).collect()
}

fn told(value: Option<&&str>) -> Option<String> {
    value.map(|value| (*value).to_owned()).filter(|value| !["<none>", "<empty>"].contains(&value.as_str()))
}

fn text(stamp: Option<&Stamp>) -> Option<String> {
    stamp.map(|stamp| stamp.text.to_string())
}

fn readings() -> Option<Vec<(String, String, Reading)>> {
    let outputs = outputs(&captures()?);
    let read = |(name, text): (String, String)| {
        let reading = show_license::read(&text, None);
        (name, text, reading)
    };
    Some(outputs.into_iter().map(read).collect())
}

#[test]
fn every_label_has_the_value_that_stands_beside_it() {
    let Some(readings) = readings() else { return };
    let mut compared = 0;
    for (name, output, reading) in readings.iter().filter(|(_, _, reading)| reading.kind == Kind::ShowLicense) {
        let reporting = &reading.state.usage_reporting;
        for (label, got) in [
            ("Last ACK received:", &reporting.last_ack),
            ("Next ACK deadline:", &reporting.next_ack_deadline),
            ("Next ACK push check:", &reporting.next_ack_push_check),
            ("Next report push:", &reporting.next_push),
            ("Last report push:", &reporting.last_push),
            ("Last report file write:", &reporting.last_file_write),
        ] {
            let printed = values(output, label);
            assert_eq!(text(got.as_deref()), told(printed.first()), "{name}: {label}");
            compared += printed.len();
            if let Some(Stamp { text, utc: Some(_) }) = got.as_deref() {
                assert!(text.ends_with("UTC"), "{name}: {text}");
            }
        }
        let account = told(values(output, "Smart Account:").first());
        let account = account.map(|account| account.split(" As of ").next().unwrap_or_default().to_owned());
        assert_eq!(reading.state.smart_account.as_deref(), account.as_deref(), "{name}");
        let account = told(values(output, "Virtual Account:").first());
        assert_eq!(reading.state.virtual_account.as_deref(), account.as_deref(), "{name}");
        let policy = reading.state.policy.as_ref().and_then(|policy| policy.name.clone());
        assert_eq!(policy, told(values(output, "Policy name:").first()), "{name}");
        let agent = told(values(output, "Smart Agent for Licensing:").first());
        assert_eq!(reading.state.agent_version.as_deref(), agent.as_deref(), "{name}");
        let urls = [values(output, "URL:"), values(output, "Cslu address:")].concat();
        let url = reading.state.transport.as_ref().and_then(|transport| transport.url.clone());
        assert_eq!(url, told(urls.first()), "{name}");
        let sends = |label: &str, yes: &str| values(output, label).first().map(|word| word.eq_ignore_ascii_case(yes));
        let privacy = reading.state.privacy;
        assert_eq!(privacy.and_then(|told| told.sends_hostname), sends("Sending Hostname:", "yes"), "{name}");
        assert_eq!(privacy.and_then(|told| told.sends_version), sends("Version privacy:", "disabled"), "{name}");
        let udi = values(output, "UDI:").into_iter().find(|udi| udi.starts_with("PID:"));
        let got = reading.state.udi.as_ref().map(ToString::to_string);
        assert!(udi.is_none() || udi == got.as_deref(), "{name}: {got:?}");
    }
    assert!(compared > 120, "{compared} times");
}

#[test]
fn every_licence_is_counted_as_printed() {
    let Some(readings) = readings() else { return };
    let mut compared = 0;
    for (name, output, reading) in &readings {
        if reading.kind != Kind::ShowLicense || reading.state.model != Model::Slp {
            continue;
        }
        let printed: Vec<Option<u64>> = values(output, "Count:").into_iter().map(|count| count.parse().ok()).collect();
        let got: Vec<Option<u64>> = reading.state.licenses.iter().map(|license| license.count).collect();
        if !printed.is_empty() {
            assert_eq!(got, printed, "{name}");
            let types = [values(output, "License type:"), values(output, "License Type:")].concat();
            let got: Vec<&str> =
                reading.state.licenses.iter().filter_map(|license| license.license_type.as_deref()).collect();
            assert_eq!(got, types, "{name}");
        }
        compared += printed.len();
    }
    assert!(compared > 50, "{compared} licences");
}

#[test]
fn every_report_and_every_summary_is_read() {
    let Some(readings) = readings() else { return };
    let mut compared = 0;
    for (name, output, reading) in readings.iter().filter(|(_, _, reading)| reading.kind == Kind::ShowLicense) {
        let rows: Vec<(u64, Option<ReportState>)> = output
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let id = words.next()?.parse().ok()?;
                Some((id, ReportState::read(words.next()?)))
            })
            .filter(|(id, state)| *id > 1_000_000_000 && state.is_some())
            .collect();
        let got: Vec<(u64, Option<ReportState>)> =
            reading.state.rum_ids.iter().map(|listed| (listed.report_id.0, listed.state)).collect();
        if name.contains("rum_id_all") || name.contains("RumIdAll") {
            assert_eq!(got, rows, "{name}");
            assert!(reading.state.rum_ids.iter().all(|listed| listed.feature.is_some()), "{name}");
        }
        compared += rows.len();
        let number = |label: &str| {
            let at = output.find(label)? + label.len();
            let digits = output[at..].trim_start();
            digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse::<u64>().ok()
        };
        let reports = reading.state.reports.clone().unwrap_or_default();
        assert_eq!(reports.acknowledged, number("Total Acknowledged Received:"), "{name}");
        assert_eq!(reports.waiting_for_ack, number("Waiting for Ack:"), "{name}");
        assert_eq!(reports.available, number("Available to Report:"), "{name}");
        assert_eq!(reports.purged, number("Purged:"), "{name}");
        assert_eq!(reports.total.is_some(), reports.purged.is_some(), "{name}");
    }
    assert!(compared > 15, "{compared} rows");
}

#[test]
fn every_output_tells_its_system_and_its_model() {
    let Some(readings) = readings() else { return };
    for (name, output, reading) in &readings {
        let system = match name {
            _ if name.contains("iosxe/") => "ios-xe",
            _ if name.contains("iosxr/") => "ios-xr",
            _ => "nx-os",
        };
        assert!(reading.os.is_none_or(|os| os == system), "{name}: {:?}", reading.os);
        let slp = output.to_ascii_lowercase().contains("smart licensing using policy:");
        if reading.kind == Kind::ShowLicense {
            assert!(!slp || reading.state.model == Model::Slp, "{name}");
            assert!(reading.problems.is_whole() || name.contains("PARTIAL"), "{name}: {:?}", reading.problems);
        }
    }
    let model = |file: &str| {
        let (_, _, reading) = readings.iter().find(|(name, ..)| name == file).expect("the file is there");
        reading.state.model
    };
    for (file, expected) in [
        ("iosxe/ShowLicense__golden_output1.txt", Model::Traditional),
        ("iosxe/ShowLicenseUsage__golden_output1.txt", Model::Slp),
        ("iosxe/ShowLicenseSummary__golden_output2.txt", Model::Slp),
        ("iosxr/show_license_platform_summary.8711-32FH-M.2024-07.txt", Model::Unknown),
        ("nxos/show_license_summary.classic-SL.N9K-before-upgrade.PARTIAL.txt", Model::ClassicSmartLicensing),
        ("nxos/ntc-cisco_nxos_show_license_usage.raw", Model::Traditional),
        ("nxos/ntc-cisco_nxos_show_license_usage_ver10.raw", Model::Slp),
        ("nxos/show_license.PAK.N3K.txt", Model::Traditional),
        ("drafts/iosxr/show_license_all.classic-SL.registered.txt", Model::ClassicSmartLicensing),
        ("drafts/nxos/show_license_usage.slp.no-licenses.txt", Model::Slp),
    ] {
        assert_eq!(model(file), expected, "{file}");
    }
}

#[test]
fn the_stated_deadline_of_every_vector_is_read_and_our_rule_agrees() {
    let Some(folder) = captures() else { return };
    let vectors = fs::read_to_string(folder.join("iosxe/deadline-vectors.tsv")).expect("the file can be read");
    let mut lines = vectors.lines();
    let columns: Vec<&str> = lines.next().expect("a heading").split('\t').collect();
    let mut rows = 0;
    for line in lines {
        let cells: BTreeMap<&str, &str> = columns.iter().copied().zip(line.split('\t')).collect();
        let file = cells["file"];
        let output = fs::read(folder.join("iosxe").join(file)).expect("the file can be read");
        let reading = show_license::read(&String::from_utf8_lossy(&output), None);
        let state = &reading.state;
        let check = show_license::cross_check(state, reading.os);
        let cell = |name: &str| told(cells.get(name).filter(|cell| !cell.is_empty()));
        assert_eq!(text(check.due.as_ref()), cell("next_ack_deadline"), "{file}");
        assert_eq!(text(state.usage_reporting.last_ack.as_deref()), cell("last_ack"), "{file}");
        assert_eq!(text(state.usage_reporting.last_push.as_deref()), cell("last_push"), "{file}");
        assert_eq!(text(state.usage_reporting.next_push.as_deref()), cell("next_push"), "{file}");
        assert_eq!(state.usage_reporting.push_interval_days, Some(30), "{file}");
        let policy = state.policy.as_ref().expect("a policy is printed");
        let classes = [policy.perpetual, policy.subscription, policy.enforced, policy.export];
        let days = |number: fn(&slp_collector::domain::policy::ClassPolicy) -> Option<u32>| {
            let number =
                |class: &Option<_>| class.as_ref().and_then(number).map_or("?".to_owned(), |days| days.to_string());
            classes.iter().map(number).collect::<Vec<_>>().join("/")
        };
        assert_eq!(days(|class| class.first_report_days), cells["first(perp/sub/enf/exp)"], "{file}");
        assert_eq!(days(|class| class.reporting_frequency_days), cells["ongoing"], "{file}");
        assert_eq!(days(|class| class.report_on_change_days), cells["change"], "{file}");
        let source = if cells["policy"] == "custom" { "customer" } else { "default" };
        assert_eq!(policy.source.as_deref(), Some(source), "{file}");
        assert_eq!(state.agent_version.as_deref(), cell("agent").as_deref(), "{file}");
        // Never acknowledged: the beginning is not printed, so our rule says nothing.
        let expected = cell("last_ack").map(|_| true);
        assert_eq!(check.agrees, expected, "{file}: {:?}", check.computed);
        rows += 1;
    }
    assert_eq!(rows, 13);
}

#[test]
fn an_independent_reading_knows_what_we_read() {
    let Some(folder) = captures() else { return };
    let mut compared = 0;
    for entry in fs::read_dir(folder.join("iosxe/expected")).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a plain name").to_owned();
        let expected = fs::read_to_string(&path).expect("the file can be read");
        let output = fs::read(folder.join(format!("iosxe/{name}.txt"))).expect("the output is there");
        let state = show_license::read(&String::from_utf8_lossy(&output), None).state;
        let mut facts: Vec<String> = Vec::new();
        facts.extend(
            state
                .udi
                .iter()
                .chain(state.members.iter().map(|member| &member.udi))
                .flat_map(|udi| [udi.pid.to_string(), udi.sn.to_string()]),
        );
        let told =
            |one: &License| [one.name.as_deref(), one.description.as_deref()].map(|text| text.map(str::to_owned));
        facts.extend(state.licenses.iter().flat_map(|one| told(one)).flatten());
        facts.extend(state.licenses.iter().filter_map(|one| one.entitlement_tag.as_ref().map(|tag| tag.0.to_string())));
        facts.extend(state.rum_ids.iter().map(|one| one.report_id.to_string()));
        facts.extend(state.trust_codes.iter().filter_map(|code| text(code.installed.as_ref())));
        facts.extend([state.smart_account, state.virtual_account].into_iter().flatten().map(|name| name.to_string()));
        for fact in &facts {
            assert!(expected.contains(fact.as_str()), "{name}: {fact}");
        }
        compared += facts.len();
    }
    assert!(compared > 200, "{compared} facts");
}

#[test]
fn trust_codes_chassis_and_platforms_read_as_printed() {
    let Some(readings) = readings() else { return };
    let reading = |file: &str| &readings.iter().find(|(name, ..)| name == file).expect("the file is there").2;
    let trust = |file: &str| -> Vec<Option<String>> {
        reading(file).state.trust_codes.iter().map(|code| text(code.installed.as_ref())).collect()
    };
    let at = |at: &str| Some(at.to_owned());
    assert_eq!(trust("iosxe/cube-17.15-ha-show-license-all.txt"), [at("Apr 20 13:26:18 2021 UTC")]);
    assert_eq!(
        trust("iosxe/ShowLicenseStatus__golden_output1.txt"),
        [at("Oct 14 11:37:52 2021 UTC"), at("Oct 14 11:37:52 2021 UTC"), at("Oct 14 11:37:53 2021 UTC")]
    );
    let newest = &reading("iosxe/ShowLicenseTechSupport__golden_output_18.txt").state;
    assert_eq!(newest.trust_codes.len(), 2);
    assert_eq!(newest.trust_codes[0].expires, None, "1970 is no time");
    assert_eq!(newest.members.len(), 2);
    assert_eq!(newest.licenses[2].status.as_deref(), Some("NOT IN USE"));
    let platform = reading("iosxr/show_license_platform_summary.8711-32FH-M.2024-07.txt").platform.clone();
    let platform = platform.expect("a platform is printed");
    assert_eq!(platform.upgrade_status.as_deref(), Some("In Compliance"));
    assert_eq!(text(platform.reporting.next.as_ref()), at("Wed Jul 03 2024 09:13:37 UTC"));
    let rows: Vec<_> = platform.rows.iter().map(|row| (row.area.as_str(), row.last, row.next)).collect();
    assert_eq!(rows, [("FCM 2 Core/E", Some(4), Some(4)), ("FCM 2 Core/E", Some(2), Some(2))]);
    for (file, version, hostname, chassis) in [
        (
            "iosxe/ShowVersion__golden_output_c9800.txt",
            "17.07.01prd16",
            Some("vidya-ewlc-5"),
            Some("PID:C9800-CL,SN:9SV9FR9MWP9"),
        ),
        (
            "iosxe/ShowVersion__golden_output_c9300.txt",
            "17.6.20210302:012459",
            Some("ssr-cat9300"),
            Some("PID:C9300-24P,SN:FCW2223G0B9"),
        ),
        (
            "iosxe/ShowVersion__golden_output_9500h_svl.txt",
            "17.8.20211003:014100",
            Some("intrepid-2"),
            Some("PID:C9606R,SN:FXS2522Q2PC"),
        ),
        ("iosxr/ntc-cisco_xr_show_version.raw", "6.1.4", None, None),
        ("iosxr/ntc-cisco_xr_show_version_01.raw", "7.9.2", Some("gemini"), None),
        ("nxos/ntc-cisco_nxos_show_version.raw", "6.1(2)I3(1)", Some("N9K1"), None),
        ("nxos/ntc-cisco_nxos_show_version2.raw", "7.1(4)N1(1)", Some("IEDP02-N5K-SW01"), None),
    ] {
        let reading = reading(file);
        assert_eq!(reading.kind, Kind::ShowVersion, "{file}");
        assert_eq!(reading.software.as_deref(), Some(version), "{file}");
        assert_eq!(reading.hostname.as_deref(), hostname, "{file}");
        assert_eq!(reading.chassis.as_ref().map(ToString::to_string).as_deref(), chassis, "{file}");
    }
    for (file, chassis) in [
        ("iosxr/ntc-cisco_xr_admin_show_inventory.raw", "PID:ASR-9006,SN:JCY98XR393D"),
        ("iosxr/ntc-cisco_xr_show_inventory_01.raw", "PID:8202-32FH-M,SN:FLM27ABCDEF"),
        ("nxos/ntc-cisco_nxos_show_inventory1.raw", "PID:N9K-C9396PX,SN:SAL1819S6LU"),
    ] {
        let reading = reading(file);
        assert_eq!(reading.kind, Kind::ShowInventory, "{file}");
        assert_eq!(reading.chassis.as_ref().map(ToString::to_string).as_deref(), Some(chassis), "{file}");
    }
    let nexus = &reading("nxos/ntc-cisco_nxos_show_license_usage.raw").state.licenses;
    assert_eq!(nexus.len(), 11);
    assert_eq!(nexus[10].status.as_deref(), Some("In use"));
    assert_eq!(nexus[10].license_type.as_deref(), Some("PAK"));
    assert_eq!(reading("nxos/show_license_host-id.json-pretty.txt").host_id.as_deref(), Some("FDO2321135M"));
}

#[test]
fn refusals_of_the_drafts_are_refusals_and_no_other_output_is_one() {
    let Some(readings) = readings() else { return };
    for (name, output, reading) in &readings {
        let refused = ["invalid_input", "invalid_command", "not_authorized", "permission_denied"]
            .iter()
            .any(|word| name.contains(word));
        assert_eq!(show_license::complaint(output).is_some(), refused, "{name}");
        assert_eq!(reading.kind == Kind::Refusal, refused, "{name}");
    }
}
