//! Snapshots by the real program: forms that agree, bytes that stay, seals that others check.

mod forms;
mod plot;
mod post;
mod real;
mod stack;
mod truth;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use lab::specs;
use serde_json::Value;
use slp_collector::exchange::snapshot::COLUMNS;

use crate::support::site::{Site, files};
use crate::support::{peer, python};

/// The columns that other programs rely on, in their order.
const CONTRACT: &str = "schema_version, snapshot_id, as_of, window_start, window_end, site, environment, tags, \
smart_account, virtual_account, device, pid, sn, uuid, ha_role, os, software_version, model, reporter, \
entitlement_tag, license_name, license_type, tier, quantity, quantity_peak, quantity_average, quantity_reserved, \
measured_state, first_seen, last_measured, last_report_id, last_ack, due, days_left, state, source_sha256";

/// Two switches with a closed report for each licence. The instant is one that the reports measured.
fn site() -> (Site, Timestamp) {
    let site = Site::new(vec![specs::switch("edge-1"), specs::switch("edge-2")]);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    let lab = Timestamp::from_second(Timestamp::now().as_second() - 5 * 86_400 + 80_000).unwrap();
    (site, lab)
}

fn create(site: &Site, as_of: Timestamp, form: &str, folder: &str) -> PathBuf {
    let (as_of, folder) = (as_of.to_string(), site.path(folder).display().to_string());
    let made = site.run(["snapshot", "create", "--as-of", &as_of, "--format", form, "--out", &folder]).exits(0);
    PathBuf::from(made.out.lines().next().unwrap())
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn schema_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/snapshot-v1.schema.json")
}

fn schema() -> Value {
    read(&schema_file())
}

/// The file is as the schema says, and there is no key in it that the schema does not describe.
fn keeps_its_schema(file: &Path) {
    let schema = schema();
    let mut unknown = BTreeSet::new();
    undescribed(&schema, &schema, &read(file), "", &mut unknown);
    assert_eq!(unknown, BTreeSet::new());
    let Some(python) = python() else { return };
    let checked = std::process::Command::new(python)
        .args(["-m", "check_jsonschema", "--schemafile"])
        .args([schema_file().as_path(), file])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// The keys of a document of which its schema says nothing.
fn undescribed(schema: &Value, node: &Value, value: &Value, path: &str, unknown: &mut BTreeSet<String>) {
    if let Some(target) = node["$ref"].as_str() {
        let target = schema.pointer(target.trim_start_matches('#')).unwrap();
        return undescribed(schema, target, value, path, unknown);
    }
    if let Some(either) = node["anyOf"].as_array() {
        let fits = |one: &&Value| (one["type"] == "null") == value.is_null();
        return undescribed(schema, either.iter().find(fits).unwrap(), value, path, unknown);
    }
    match value {
        Value::Object(own) if node["additionalProperties"].is_null() => {
            for (key, value) in own {
                let path = format!("{path}.{key}");
                let known = &node["properties"][key];
                if !known["description"].is_string() && !known["$ref"].is_string() {
                    unknown.insert(path.clone());
                }
                undescribed(schema, known, value, &path, unknown);
            }
        }
        Value::Array(list) => list.iter().for_each(|one| undescribed(schema, &node["items"], one, path, unknown)),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn all_forms_say_the_same_in_the_order_of_the_contract() {
    let (site, as_of) = site();
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    let environments = ["environment", "=1+1", "@lab"];
    let lines = inventory.lines().zip(environments).map(|(line, environment)| format!("{line},{environment}\n"));
    fs::write(site.path("devices.csv"), lines.collect::<String>()).unwrap();
    let whole = read(&create(&site, as_of, "json", "out"));
    assert_eq!((&whole["completeness"], &whole["instances"]), (&Value::from(1.0), &Value::from(2)), "{whole:#}");
    let rows = whole["rows"].as_array().unwrap();
    assert!(rows.len() >= 4 && rows.iter().all(|row| row["measured_state"] == "measured"), "{whole:#}");

    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let contract: Vec<&str> = CONTRACT.split(", ").collect();
    assert_eq!(names[..contract.len()], contract);

    let flat = fs::read_to_string(create(&site, as_of, "ndjson", "out")).unwrap();
    assert_eq!(flat.lines().count(), rows.len());
    for (line, row) in flat.lines().zip(rows) {
        let keys: Vec<usize> = names.iter().map(|name| line.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(keys.is_sorted(), "{line}");
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.as_object().unwrap().len(), names.len());
        assert_eq!(line["snapshot_id"], whole["snapshot_id"]);
        for name in &names[5..] {
            assert_eq!(line[name], row[name], "{name}");
        }
    }
    let mut csv = csv::Reader::from_path(create(&site, as_of, "csv", "out")).unwrap();
    assert_eq!(csv.headers().unwrap().iter().collect::<Vec<_>>(), names);
    let records: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(rows) {
        for (name, cell) in names.iter().zip(record).skip(5) {
            let expected = match &row[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Array(words) => words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" "),
                other => other.to_string(),
            };
            match *name {
                "environment" => assert_eq!(cell, format!("'{expected}")),
                "coverage" | "coverage_observed" | "quantity_average" | "days_left" if !cell.is_empty() => {
                    assert_eq!(cell.parse::<f64>().ok(), row[name].as_f64(), "{name}");
                }
                _ => assert_eq!(cell, expected, "{name}"),
            }
        }
    }
    assert!(rows.iter().any(|row| row["environment"] == "=1+1"));
    // Each number goes back to signed bytes that are kept.
    for row in rows {
        let id = &row["last_report_id"];
        let name = row["device"].as_str().unwrap();
        let reports: Vec<Value> =
            site.run(["report", "list", "--all", "--device", name, "--format", "json"]).exits(0).json();
        let report = reports.iter().find(|report| report["report_id"] == *id).unwrap();
        assert_eq!(report["object"], row["source_sha256"], "{report:#}");
    }
}

#[test]
fn the_whole_form_keeps_its_schema_and_the_schema_knows_every_key() {
    let (site, as_of) = site();
    let file = create(&site, as_of, "json", "out");
    let (whole, known) = (read(&file), schema());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&whole), keys(&known["properties"]));
    assert_eq!(keys(&whole["rows"][0]), keys(&known["$defs"]["row"]["properties"]));
    assert_eq!(keys(&whole["roll_ups"][0]), keys(&known["$defs"]["roll_up"]["properties"]));
    assert_eq!(whole["row_count"], whole["rows"].as_array().unwrap().len());
    keeps_its_schema(&file);
}

#[test]
fn what_was_bought_stands_beside_what_is_used_and_what_a_table_names_is_named() {
    let (site, as_of) = site();
    let plain = read(&create(&site, as_of, "json", "plain"));
    assert!(plain["entitlements"].is_null(), "{plain:#}");
    let row = plain["rows"].as_array().unwrap().iter().find(|row| row["quantity"].as_u64() > Some(0)).unwrap();
    let tag = row["entitlement_tag"].as_str().unwrap();
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    let moved = inventory.lines().enumerate().map(|(at, line)| match at {
        0 => format!("{line},virtual_account\n"),
        _ => format!("{line},Branch\n"),
    });
    fs::write(site.path("devices.csv"), moved.collect::<String>()).unwrap();
    let config = site.path("slp-collector.toml");
    let text = fs::read_to_string(&config).unwrap();
    let tables = "\n[snapshot]\nnames = \"licences.csv\"\nentitlements = \"entitlements.csv\"\n";
    fs::write(&config, format!("{text}{tables}allowed_tier = {{ Branch = \"essentials\" }}\n")).unwrap();
    fs::write(site.path("licences.csv"), format!("licence,family\n\"{tag}\",add-on\n")).unwrap();
    let (start, end) = (as_of - SignedDuration::from_hours(24 * 200), as_of + SignedDuration::from_hours(24 * 200));
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let (start, end) = (day(start), day(end));
    let bought = format!(
        "account,licence,quantity,term_start,term_end,milestones\nBranch,\"{tag}\",1,{start},{end},quarterly\n"
    );
    fs::write(site.path("entitlements.csv"), bought).unwrap();

    let (at, folder) = (as_of.to_string(), site.path("out").display().to_string());
    let made = site.run(["snapshot", "create", "--as-of", &at, "--out", &folder]).exits(0);
    let file = PathBuf::from(made.out.lines().next().unwrap());
    let whole = read(&file);
    assert_ne!(whole["snapshot_id"], plain["snapshot_id"]);
    let line = &whole["entitlements"]["lines"][0];
    let used: u64 = whole["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["entitlement_tag"] == tag)
        .map(|row| row["quantity"].as_u64().unwrap())
        .sum();
    assert_eq!((line["quantity"].as_u64(), line["completeness"].as_f64()), (Some(used), Some(1.0)), "{line:#}");
    assert_eq!(line["headroom"]["measured"].as_i64(), Some(1 - used as i64));
    assert_eq!((&line["headroom"]["estimate"], &line["over"]["state"]), (&Value::from(true), &Value::from("over")));
    assert!(made.out.contains("over since") && made.out.contains("listed in it: "), "{}", made.out);
    let named = |row: &&Value| row["entitlement_tag"] == tag;
    assert_eq!(
        whole["rows"].as_array().unwrap().iter().find(named).unwrap()["family"],
        row["family"].as_str().unwrap_or("add-on")
    );
    assert!(!whole["lists"]["above_tier"].as_array().unwrap().is_empty(), "{:#}", whole["lists"]);
    assert_eq!(whole["lists"]["reporters"][0]["instances"], 2);

    let known = schema();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let described = &known["$defs"]["entitlements"]["properties"]["lines"]["items"]["properties"];
    assert_eq!(keys(line), keys(described));
    for part in ["headroom", "over"] {
        assert_eq!(keys(&line[part]), keys(&described[part]["anyOf"][0]["properties"]), "{part}");
    }
    let lists = &known["$defs"]["lists"]["properties"];
    assert_eq!(keys(&whole["lists"]), keys(lists));
    assert_eq!(keys(&whole["lists"]["above_tier"][0]), keys(&lists["above_tier"]["items"]["properties"]));
    assert!(site.run(["snapshot", "diff", &file.display().to_string(), &file.display().to_string()]).code == 0);
    keeps_its_schema(&file);
}

#[test]
fn the_same_ledger_gives_the_same_bytes_and_what_is_out_never_changes() {
    let (site, as_of) = site();
    let (one, other) = (create(&site, as_of, "json", "one"), create(&site, as_of, "json", "other"));
    assert_eq!(one.file_name(), other.file_name());
    let bytes = fs::read(&one).unwrap();
    assert_eq!(bytes, fs::read(&other).unwrap());
    assert_eq!(create(&site, as_of, "json", "one"), one);
    assert_eq!(files(&site.path("one")).len(), 4);

    // What comes later changes nothing of that instant.
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    assert_eq!(fs::read(create(&site, as_of, "json", "third")).unwrap(), bytes);

    // Another window is another snapshot; another word of the operator's a correction.
    let old = read(&one)["snapshot_id"].clone();
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    let moved = inventory.lines().enumerate().map(|(at, line)| match at {
        0 => format!("{line},virtual_account\n"),
        _ => format!("{line},Branch\n"),
    });
    fs::write(site.path("devices.csv"), moved.collect::<String>()).unwrap();
    let corrected = create(&site, as_of, "json", "one");
    assert_ne!(corrected, one);
    assert_eq!(read(&corrected)["corrects"], old);
    assert_eq!(fs::read(&one).unwrap(), bytes);
    let told = site.run(["snapshot", "diff", &one.display().to_string(), &corrected.display().to_string()]).exits(0);
    assert_eq!(told.out.matches("moved-account").count(), 2, "{}", told.out);
    assert_eq!(told.out.lines().count(), 3, "{}", told.out);
    let file = corrected.display().to_string();
    let (rows, row) = (read(&corrected)["rows"].as_array().unwrap().len(), &read(&corrected)["rows"][0]);
    let explained = site.run(["snapshot", "explain", &file, "--account", "Branch"]).exits(0);
    assert!(explained.out.contains(&format!("in {rows} measured rows of {rows}")), "{}", explained.out);
    let tag = row["entitlement_tag"].as_str().unwrap();
    let explained = site.run(["snapshot", "explain", &file, "--tag", tag, "--account", "Elsewhere"]).exits(0);
    assert!(explained.out.contains("0 in 0 measured rows of 0"), "{}", explained.out);
    assert!(site.run(["snapshot", "explain", &file]).out.contains(row["source_sha256"].as_str().unwrap()));
    let unknown = site.run(["snapshot", "explain", &file, "--tag", "nosuch"]).exits(64);
    assert!(unknown.err.contains("no row of the snapshot is of nosuch"), "{}", unknown.err);
    assert!(site.run(["snapshot", "explain"]).exits(64).err.contains("no snapshot in JSON"));
    let folder = site.path("one").display().to_string();
    let list: Vec<Value> = site.run(["snapshot", "list", "--out", &folder, "--format", "json"]).exits(0).json();
    assert_eq!(list.len(), 2);
    assert!(list.iter().any(|line| line["corrects"] == old));
}

#[test]
fn a_seal_is_checked_by_us_and_by_others() {
    let (site, as_of) = site();
    let file = create(&site, as_of, "csv", "out");
    let path = file.display().to_string();
    assert!(site.run(["snapshot", "verify", &path]).exits(0).out.contains("signed by test-house"));
    let other = "0".repeat(64);
    site.run(["snapshot", "verify", &path, "--signer", &other]).exits(3);
    let beside = |extension: &str| PathBuf::from(format!("{path}.{extension}"));
    if let Some(mut openssl) = peer("openssl", &["version"]) {
        let verified = openssl.args(["pkeyutl", "-verify", "-rawin", "-certin", "-inkey"]).arg(beside("pem"));
        let verified = verified.arg("-in").arg(beside("seal")).arg("-sigfile").arg(beside("sig")).output().unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }
    let bytes = fs::read(&file).unwrap();
    for changed in [&bytes[1..], &[&bytes[..], b"\n"].concat(), &[b"x", &bytes[1..]].concat()] {
        fs::write(&file, changed).unwrap();
        site.run(["snapshot", "verify", &path]).exits(3);
    }
    fs::write(&file, &bytes).unwrap();
    let seal = fs::read_to_string(beside("seal")).unwrap();
    fs::write(beside("seal"), seal.replace("test-house", "best-house")).unwrap();
    site.run(["snapshot", "verify", &path]).exits(3);
    fs::remove_file(beside("seal")).unwrap();
    site.run(["snapshot", "verify", &path]).exits(1);
}

#[test]
fn of_now_nothing_is_measured_yet_and_polls_tell_what_is_in_use() {
    let (site, _) = site();
    let now: Value = site.run(["snapshot", "create"]).exits(0).json();
    assert_eq!(now["completeness"], 0.0);
    for row in now["rows"].as_array().unwrap() {
        assert_eq!((&row["measured_state"], &row["quantity"]), (&Value::from("not-yet-measured"), &Value::Null));
        assert_eq!(row["quantity_last"], row["quantity_peak"], "{row:#}");
        assert_eq!(row["quantity_observed"], row["quantity_last"], "{row:#}");
        assert!(row["license_name"].is_string() && row["model"] == "slp", "{row:#}");
    }
    let ours: Vec<Value> = site.run(["snapshot", "list", "--format", "json"]).exits(0).json();
    assert_eq!(ours[0]["snapshot_id"], now["snapshot_id"]);

    let tomorrow = (Timestamp::now() + SignedDuration::from_hours(24)).to_string();
    site.run(["snapshot", "create", "--as-of", &tomorrow]).exits(64);
    site.run(["snapshot", "create", "--window", "0d"]).exits(64);
    if !cfg!(feature = "parquet") {
        let refused = site.run(["snapshot", "create", "--format", "parquet"]).exits(64);
        assert!(refused.err.contains("--features parquet"), "{}", refused.err);
    }
    site.run(["snapshot", "create", "--format", "xlsx"]).exits(64);
}
