//! Every form read by programs of others, and what is published read as one table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use lab::{Spec, specs};
use serde_json::{Value, json};
use slp_collector::domain::event::{Fact, ScheduleRan};
use slp_collector::exchange::snapshot::COLUMNS;

use super::{create, read};
use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site, files};
use crate::support::{peer, python};

/// The forms that this build writes.
fn built() -> Vec<&'static str> {
    let mut forms = vec!["json", "csv", "ndjson", "resource-values"];
    forms.extend(cfg!(feature = "parquet").then_some("parquet"));
    forms
}

/// Switches with reports, one in each place; the instant is one that the reports measured.
fn site(names: &[(&str, &str)], snapshot: &str) -> (Site, Timestamp) {
    let spec = |(name, place): &(&str, &str)| Spec { site: (*place).to_owned(), ..specs::switch(name) };
    let site = Site::with(names.iter().map(spec).collect(), &format!("{LIMITS}{snapshot}"), |_| "deliver");
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    (site, Timestamp::from_second(Timestamp::now().as_second() - 5 * 86_400 + 80_000).unwrap())
}

fn section(folder: &Path, more: &str) -> String {
    let forms: Vec<&str> = built().into_iter().filter(|form| *form != "csv").collect();
    format!("[snapshot]\nfolder = {:?}\nformats = {forms:?}\n{more}", folder.display().to_string())
}

/// What readers.py prints, a document a line.
fn readers(python: &std::ffi::OsStr, arguments: &[String]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshot/readers.py");
    let ran = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let out = String::from_utf8(ran.stdout).unwrap();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn duckdb_and_pyarrow_read_every_form_as_jq_reads_the_json() {
    let (site, as_of) = site(&[("edge-1", "dark-3"), ("edge-2", "")], "");
    let made: BTreeMap<&str, String> =
        built().into_iter().map(|form| (form, create(&site, as_of, form, "out").display().to_string())).collect();
    let Some(mut jq) = peer("jq", &["--version"]) else { return };
    // All that stands in a row; the five columns before are the same in all of them.
    let columns: Vec<&str> = COLUMNS.iter().skip(5).map(|(name, _)| *name).collect();
    let taken = columns.iter().map(|name| format!(".{name}")).collect::<Vec<_>>().join(", ");
    let said = jq.args(["-c", &format!("[.rows[] | [{taken}]]"), &made["json"]]).output().unwrap();
    let mut expected: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap();
    assert!(expected.len() >= 4, "{expected:?}");
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    for row in &mut expected {
        for name in ["quantity_average", "coverage", "coverage_observed", "days_left"] {
            row[at(name)] = json!(row[at(name)].as_f64());
        }
    }
    let values = [at("device"), at("entitlement_tag"), at("quantity")];
    let Some(python) = python() else { return };
    let arguments: Vec<String> =
        ["forms".to_owned(), columns.join(",")].into_iter().chain(made.values().cloned()).collect();
    let told = readers(&python, &arguments);
    assert_eq!(told.len(), if cfg!(feature = "parquet") { 9 } else { 6 });
    let key = |row: &Value| row.to_string();
    expected.sort_by_key(key);
    for told in told {
        if let Some(types) = told.get("types") {
            for (column, kind) in [
                ("as_of", "timestamp[us, tz=UTC]"),
                ("quantity", "int64"),
                ("quantity_average", "double"),
                ("source_sha256", "fixed_size_binary[32]"),
                ("site", "string"),
                ("tags", "list<element: string not null>"),
            ] {
                assert_eq!(types[column], kind, "{column}");
            }
        } else if let Some(found) = told.get("values") {
            let mut expected: Vec<Value> = expected.iter().map(|row| json!(values.map(|at| row[at].clone()))).collect();
            expected.sort_by_key(key);
            let mut found = found.as_array().unwrap().clone();
            found.sort_by_key(key);
            assert_eq!(found, expected, "{}", told["file"]);
        } else {
            let mut rows = told["rows"].as_array().unwrap().clone();
            rows.sort_by_key(key);
            assert_eq!(rows, expected, "{} {}", told["reader"], told["file"]);
        }
    }
}

#[test]
fn what_two_collectors_publish_is_one_table_and_a_correction_stands_beside_the_old() {
    let shared = tempfile::tempdir().unwrap();
    let snapshot = section(shared.path(), "");
    let (one, as_of) = site(&[("edge-1", "dark-3"), ("edge-2", "hq")], &snapshot);
    let (two, _) = site(&[("core-1", "far-away"), ("core-2", "")], &snapshot);
    let toml = fs::read_to_string(two.config_file()).unwrap();
    fs::write(two.config_file(), toml.replace("test-house", "other-house")).unwrap();
    let publish = |site: &Site| {
        let made = site.run(["snapshot", "publish", "--as-of", &as_of.to_string()]).exits(0).out;
        assert!(made.contains(": 4 rows of 2 instances, 100.0 %"), "{made}");
        made
    };
    let said = publish(&one);
    assert_eq!(said.lines().count(), built().len(), "{said}");
    publish(&two);
    let before: BTreeMap<_, _> =
        files(shared.path()).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    let day = format!("as_of={}", as_of.strftime("%Y-%m-%d"));
    for place in ["site=dark-3", "site=hq", "site=far-away", "site=__HIVE_DEFAULT_PARTITION__"] {
        let parts = files(&shared.path().join(&day).join(place));
        assert_eq!(parts.len(), built().len() - 2, "{place}: {parts:?}");
    }
    // Again: nothing is new, nothing is written.
    assert_eq!(publish(&one).matches("was there already").count(), built().len() - 1);
    // An operator's word changes what it says: that is another snapshot.
    let inventory = fs::read_to_string(one.path("devices.csv")).unwrap();
    let moved = inventory.lines().enumerate().map(|(at, line)| match at {
        0 => format!("{line},virtual_account\n"),
        _ => format!("{line},Branch\n"),
    });
    fs::write(one.path("devices.csv"), moved.collect::<String>()).unwrap();
    let corrected = publish(&one);
    assert!(corrected.contains("it stands in place of snapshot"), "{corrected}");
    for (file, bytes) in &before {
        assert_eq!(fs::read(file).unwrap(), *bytes, "{}", file.display());
    }
    // Each index is sealed, and vouches for its parts.
    let index = corrected.lines().find(|line| line.ends_with(".ndjson.parts")).unwrap();
    assert!(one.run(["snapshot", "verify", index]).exits(0).out.contains("signed by test-house"));
    let parts: Value = read(Path::new(index));
    let part = shared.path().join(parts["parts"][0]["path"].as_str().unwrap());
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[1..]).unwrap();
    let refused = one.run(["snapshot", "verify", index]).exits(3);
    assert!(refused.err.contains("changed after it was sealed"), "{}", refused.err);
    fs::write(&part, &bytes).unwrap();

    let Some(python) = python() else { return };
    let mut kinds = vec!["json"];
    kinds.extend(cfg!(feature = "parquet").then_some("parquet"));
    for kind in kinds {
        let folder = shared.path().display().to_string();
        let told = readers(&python, &["folder".to_owned(), folder, kind.to_owned()]);
        let sites = told[0]["sites"].as_array().unwrap();
        let counted: Vec<(&Value, &Value)> = sites.iter().map(|line| (&line[0], &line[2])).collect();
        let two = json!(2);
        let names = [json!("dark-3"), json!("far-away"), json!("hq"), Value::Null];
        assert_eq!(counted, names.iter().map(|name| (name, &two)).collect::<Vec<_>>(), "{told:?}");
        assert!(sites.iter().all(|line| line[3].as_u64() > Some(0)), "{told:?}");
        assert!(told[1..].iter().all(|line| line["every"] == 12), "{told:?}");
    }
}

#[test]
fn a_missed_run_is_made_up_once_and_what_changed_since_is_corrected() {
    let shared = tempfile::tempdir().unwrap();
    // The lab lives five days ago.
    let snapshot = section(shared.path(), "schedule = \"0 0 * * *\"\nwindow = \"30d\"\nlag = \"84h\"\n");
    let (site, _) = site(&[("edge-1", "dark-3")], &snapshot);
    let hours = |hours: i64| Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    site.run(["snapshot", "publish", "--as-of", &hours(114).to_string()]).exits(0);
    let inventory = fs::read_to_string(site.path("devices.csv")).unwrap();
    let (header, line) = inventory.trim_end().split_once('\n').unwrap();
    fs::write(site.path("devices.csv"), format!("{header},virtual_account\n{line},Branch\n")).unwrap();

    // Four runs were missed, one is made up; the one before it says something else by now.
    let ran = ScheduleRan { schedule: "snapshot".to_owned(), due: hours(4 * 24), polled: 0, failed: 0 };
    let ledger = site.ledger();
    ledger.append(hours(4 * 24), vec![Fact::ScheduleRan(ran)], Vec::new()).unwrap();
    ledger.close().unwrap();
    let formats = built().len() - 1;
    let mut daemon = Daemon::start(&site, None);
    let lines: Vec<String> = (0..2 * formats).map(|_| daemon.logs("snapshot published")).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("corrects=")).count(), formats, "{lines:#?}");
    daemon.logs("snapshots are up to date");
    assert_eq!(daemon.stop().0, Some(0));
    let indexes = || {
        let mut found = files(&shared.path().join("_snapshots"));
        found.retain(|file| file.extension().is_some_and(|kind| kind == "parts" || kind == "json"));
        found.len()
    };
    assert_eq!(indexes(), 3 * formats);

    // Nothing is missed any more.
    let mut daemon = Daemon::start(&site, Some(std::time::Duration::from_millis(200)));
    daemon.told("WATCHDOG=1");
    daemon.told("WATCHDOG=1");
    let (_, log) = daemon.stop();
    assert!(!log.contains("snapshot published"), "{log}");
    assert_eq!(indexes(), 3 * formats);
    let ran = site.ledger().fleet().schedules["snapshot"].clone();
    assert_eq!(ran.due.as_second() % 86_400, 0);
}
