//! The whole loop over a simulated fleet, with the real program: poll and close, bundle, portal, import, read back.

pub mod accesses;
mod damage;
mod entries;
mod faults;
mod hold;
mod misbehaviour;
mod pacing;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::Timestamp;
use lab::face::counters::Counters;
use lab::report::ReportState;
use lab::spec::{AcknowledgedKeys, ImportForm, ListShape, Payload, StateModel, TlsVersions};
use lab::state::Known;
use lab::{Fleet, Handle, Spec};
use serde_json::Value;
use slp_collector::domain::event::{Event, Fact};
use slp_collector::domain::fleet::Confirmation;
use slp_collector::domain::instance::{DeviceName, Udi};
use slp_collector::domain::report::{ReportId, ReportType};
use slp_collector::ledger::{self, Ledger};

use crate::support::site::{Ran, Site};
use misbehaviour::{ALL_OF_THEM, Misbehaviour, OBSERVED, Told, WITHHELD};

const DEVICES: usize = 200;
/// Every tenth device misbehaves.
const EVERY: usize = DEVICES / ALL_OF_THEM.len();

/// A fleet in which everything differs that may differ, and whose devices all have something to acknowledge.
fn specs() -> Vec<Spec> {
    let mut specs = Fleet::spec(DEVICES, 20_261_121);
    for (index, spec) in specs.iter_mut().enumerate() {
        for licence in &mut spec.licences {
            licence.count = licence.count.max(1);
        }
        // Older models cannot tell what became of an acknowledgement; `damage` has one.
        spec.knobs.state_model = StateModel::Full;
        spec.knobs.list_shape =
            [ListShape::IdAndTimestamp, ListShape::Strings, ListShape::Ids, ListShape::IdOnly][index % 4];
        spec.tls.versions = [TlsVersions::Both, TlsVersions::Only12, TlsVersions::Only13][index % 3];
        if index % EVERY == 0 {
            (ALL_OF_THEM[index / EVERY].spec)(spec);
        }
    }
    specs
}

fn is_varied(specs: &[Spec]) {
    let all = |holds: &dyn Fn(&Spec) -> bool| specs.iter().filter(|spec| holds(spec)).count() >= 5;
    assert!(all(&|s| s.knobs.payload == Payload::V1) && all(&|s| s.knobs.payload == Payload::V2));
    assert!(all(&|s| s.members.len() == 2) && all(&|s| s.members.len() > 2));
    assert!(all(&|s| s.knobs.acknowledged_keys == AcknowledgedKeys::Vanish));
    assert!(all(&|s| s.knobs.acknowledged_keys == AcknowledgedKeys::Listed));
    for form in [ImportForm::Raw, ImportForm::Base64, ImportForm::Json("import".to_owned())] {
        assert!(all(&|s| s.knobs.import_form == form));
    }
    assert!(all(&|s| s.tls.expired) && all(&|s| s.knobs.telemetry) && all(&|s| s.clock_offset < 0));
    assert!(all(&|s| s.account.is_none()) && all(&|s| s.policy.name.is_some()));
    let accounts: BTreeSet<String> = specs.iter().map(|s| format!("{:?}", s.account)).collect();
    let zones: BTreeSet<i32> = specs.iter().map(|s| s.knobs.timezone_minutes).collect();
    assert!(accounts.len() == 4 && zones.len() == 4, "{accounts:?} {zones:?}");
}

#[test]
fn of_two_hundred_devices_twenty_misbehave_and_the_others_end_acknowledged() {
    let specs = specs();
    is_varied(&specs);
    let wrong: BTreeMap<String, &Misbehaviour> =
        ALL_OF_THEM.iter().enumerate().map(|(at, one)| (specs[at * EVERY].name.clone(), one)).collect();
    let observed = name_of(&wrong, OBSERVED);
    let limits = format!("{}concurrency = 16\n", crate::support::site::LIMITS);
    let mut site = Site::with(specs, &limits, |name| if name == observed { "observe" } else { "deliver" });

    // First contact: all but the observed one are well, and their certificates are pinned.
    site.run(["poll", "--all"]).exits(2);
    let before = site.status();
    site.advance(86_400);
    for (name, one) in &wrong {
        (one.strike)(&site, &site.device(name));
    }

    let polled = site.run(["poll", "--all", "--close", "--format", "json"]).exits(2);
    told_by_poll(&polled, &wrong);
    let truth: BTreeMap<String, BTreeMap<u64, String>> = site
        .fleet
        .names()
        .into_iter()
        .filter(|name| is_well(&wrong, name))
        .map(|name| (name.clone(), site.bodies(&name)))
        .collect();

    let withheld = site.device(&name_of(&wrong, WITHHELD));
    let kept_back = finished(&withheld)[0].clone();
    site.portal.withhold(kept_back.udi.clone(), kept_back.id);
    let bundle = site.bundle();
    site.run(["bundle", "verify", bundle.to_str().unwrap()]).exits(0);
    let (answers, refusals) = site.upload(&bundle);
    told_by_portal(&refusals, &wrong);
    assert!(answers.len() > 3, "archives and single files");

    site.advance(86_400);
    let imported = site.import(&site.download(&answers), &[]).exits(2);
    told_by_import(&imported, &wrong, &kept_back);

    let counted: BTreeMap<String, Counters> = counters(&site);
    let again = site.run(["poll", "--all", "--format", "json"]).exits(2);
    told_once_more(&again, &wrong, &counted, &counters(&site));

    let after = site.status();
    register_is_right(&site, &before, &after, &wrong);
    ledger_is_right(&site, &truth, &wrong, &kept_back);
    treated_gently(&site, &observed);
}

fn name_of(wrong: &BTreeMap<String, &Misbehaviour>, what: &str) -> String {
    wrong.iter().find(|(_, one)| one.what == what).unwrap().0.clone()
}

/// Polls go well, whatever becomes of it later.
fn is_well(wrong: &BTreeMap<String, &Misbehaviour>, name: &str) -> bool {
    wrong.get(name).is_none_or(|one| one.told != Told::ByPoll)
}

/// What the device itself says of its finished reports with licence counts.
fn finished(device: &Handle) -> Vec<Known> {
    let counts = |report: &Known| report.end.is_some() && report.licence != "TELEMETRY";
    device.state().reports.into_iter().filter(counts).collect()
}

fn counters(site: &Site) -> BTreeMap<String, Counters> {
    site.fleet.devices().map(|device| (device.name().to_owned(), device.counters())).collect()
}

/// The failures of `poll --format json`, by device.
fn failures(polled: &Ran) -> BTreeMap<String, String> {
    let lines: Vec<Value> = polled.json();
    assert_eq!(lines.len(), DEVICES);
    let cause = |line: &Value| line["failure"][1].as_str().map(str::to_owned);
    lines.iter().filter_map(|line| Some((line["device"].as_str().unwrap().to_owned(), cause(line)?))).collect()
}

#[track_caller]
fn says(text: &str, one: &Misbehaviour, name: &str) {
    for words in one.words {
        assert!(text.contains(words), "{name}, which {}: expected {words:?} in {text:?}", one.what);
    }
}

fn told_by_poll(polled: &Ran, wrong: &BTreeMap<String, &Misbehaviour>) {
    let failures = failures(polled);
    for (name, cause) in &failures {
        assert!(!is_well(wrong, name), "{name} fails though nothing is wrong with it: {cause}");
        says(cause, wrong[name], name);
    }
    let well: Vec<_> =
        wrong.iter().filter(|(name, _)| !is_well(wrong, name) && !failures.contains_key(*name)).collect();
    assert!(well.is_empty(), "{:?}", well.iter().map(|(name, one)| (name, one.what)).collect::<Vec<_>>());
    let causes: BTreeSet<&String> = failures.values().collect();
    assert_eq!(causes.len(), failures.len(), "each has a cause of its own");
}

fn told_by_portal(refusals: &[(String, String)], wrong: &BTreeMap<String, &Misbehaviour>) {
    let (name, one) = wrong.iter().find(|(_, one)| one.told == Told::ByPortal).unwrap();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    says(&refusals[0].1, one, name);
}

fn told_by_import(imported: &Ran, wrong: &BTreeMap<String, &Misbehaviour>, kept_back: &Known) {
    for (name, one) in wrong.iter().filter(|(_, one)| one.told == Told::ByImport) {
        let line = imported.out.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap_or_default();
        says(line, one, name);
    }
    let (name, one) = wrong.iter().find(|(_, one)| one.told == Told::AsRemark).unwrap();
    let taken = format!("taken for {name};");
    let line = imported.out.lines().find(|line| line.contains(&taken)).unwrap_or_default();
    says(line, one, name);
    assert!(line.ends_with(&kept_back.id.to_string()), "{line}");
}

/// The same causes, except that nobody who refused a login was asked once more.
fn told_once_more(
    again: &Ran,
    wrong: &BTreeMap<String, &Misbehaviour>,
    before: &BTreeMap<String, Counters>,
    after: &BTreeMap<String, Counters>,
) {
    for (name, cause) in failures(again) {
        let one = wrong[&name];
        if one.words[0].contains("refused the login") {
            assert_eq!(before[&name], after[&name], "{name} was asked again");
            assert!(cause.contains(&format!("`credential release only-{name}`")), "{cause}");
        } else {
            says(&cause, one, &name);
        }
    }
}

fn register_is_right(site: &Site, before: &[Value], after: &[Value], wrong: &BTreeMap<String, &Misbehaviour>) {
    let by_name = |rows: &[Value]| -> BTreeMap<String, Value> {
        rows.iter().map(|row| (row["device"].as_str().unwrap().to_owned(), row.clone())).collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    assert_eq!(after.len(), DEVICES);
    for (name, row) in &after {
        let trouble = row["trouble"].as_str();
        let Some(one) = wrong.get(name) else {
            let device = site.device(name).state();
            let instant = |at: Option<i64>| at.map(|at| Timestamp::from_second(at).unwrap().to_string());
            assert_eq!(trouble, None, "{name}");
            assert_eq!(row["reports_waiting"], 0, "{name}");
            assert_eq!(row["last_ack"].as_str().map(str::to_owned), instant(device.last_ack), "{name}");
            assert!(row["last_ack"] != before[name]["last_ack"], "{name}: the clock was not reset");
            assert_eq!(row["contact"], "ok", "{name}");
            match instant(device.due) {
                Some(due) => {
                    assert_eq!((&row["due"], &row["basis"]), (&due.into(), &"device-stated".into()), "{name}");
                    assert!(row["due"] != before[name]["due"], "{name}: the deadline did not move");
                    assert!(["ok", "due-soon"].contains(&row["state"].as_str().unwrap()), "{name}: {row}");
                }
                // RESTCONF tells no classes: where the device states nothing, the earliest of all is taken and marked.
                None => {
                    assert_eq!(row["basis"], "last-ack-plus-frequency", "{name}: {row}");
                    assert!(row["reason"].as_str().unwrap().contains("the earliest of all classes"), "{name}: {row}");
                }
            }
            continue;
        };
        match one.told {
            Told::ByPoll => says(trouble.unwrap_or_default(), one, name),
            Told::ByImport | Told::ByPortal => assert!(row["reports_waiting"].as_u64() > Some(0), "{name}: {row}"),
            Told::AsRemark => assert_eq!(row["reports_waiting"], 1, "{name}"),
        }
    }
}

type Collected = BTreeMap<(String, u64), Vec<(Udi, Vec<u8>)>>;

/// Every report that was ever kept, by device and id.
fn collected(ledger: &Ledger) -> Collected {
    let mut kept: Vec<(String, u64, Udi, _)> = Vec::new();
    ledger
        .events(None, &mut |event: &Event| {
            if let Fact::ReportCollected(fact) = &event.fact {
                let device = fact.device.as_ref().unwrap().to_string();
                kept.push((device, fact.report.report_id.0, fact.report.udi.clone(), fact.object));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut all = Collected::new();
    for (device, id, udi, object) in kept {
        all.entry((device, id)).or_default().push((udi, ledger.object(&object).unwrap().unwrap()));
    }
    all
}

fn ledger_is_right(
    site: &Site,
    truth: &BTreeMap<String, BTreeMap<u64, String>>,
    wrong: &BTreeMap<String, &Misbehaviour>,
    kept_back: &Known,
) {
    let verified = ledger::verify(&site.ledger_dir()).unwrap();
    assert!(verified.is_sound() && verified.findings.is_empty(), "{:?}", verified.findings);
    let ledger = site.ledger();
    let kept = collected(&ledger);
    let altered = wrong.iter().find(|(_, one)| one.told == Told::ByPortal).unwrap().0;
    for ((name, id), copies) in &kept {
        assert_eq!(copies.len(), 1, "{name} {id} is kept twice");
        let bodies = truth.get(name).unwrap_or_else(|| panic!("{name} misbehaves and left a report"));
        assert!(name == altered || bodies[id].as_bytes() == copies[0].1, "{name} {id}: other bytes than the device's");
    }
    let fleet = ledger.fleet();
    let mut acknowledged = 0;
    for device in site.fleet.devices() {
        let name = device.name();
        let Some(instance) = fleet.of_device(&DeviceName::from(name)) else {
            assert_eq!(wrong[name].what, OBSERVED);
            continue;
        };
        let owed: BTreeSet<u64> = instance.owed.iter().map(|owed| owed.report_id.0).collect();
        let counts = instance.owed.iter().filter(|owed| owed.report_type == ReportType::Entitlement).count();
        for ((_, id), copies) in kept.range((name.to_owned(), 0)..=(name.to_owned(), u64::MAX)) {
            let settled = instance.acknowledged.contains(&copies[0].0, ReportId(*id));
            assert!(settled != owed.contains(id), "{name} {id}: acknowledged {settled}");
        }
        if !is_well(wrong, name) {
            assert!(instance.collected.is_empty() && owed.is_empty(), "{name} left half an answer");
            continue;
        }
        assert_eq!(instance.collected.len(), truth[name].len() as u64, "{name}");
        match wrong.get(name) {
            None => {
                let reports = finished(device);
                assert!(!reports.is_empty() && counts == 0, "{name}");
                for report in reports {
                    assert_eq!(report.state, ReportState::Acknowledged, "{name}");
                    let udi = Udi::new(&report.udi.pid, &report.udi.sn);
                    assert!(instance.acknowledged.contains(&udi, ReportId(report.id)), "{name} {}", report.id);
                }
                let how = match device.spec().knobs.acknowledged_keys {
                    AcknowledgedKeys::Listed => Confirmation::ById,
                    AcknowledgedKeys::Vanish => Confirmation::ByTime,
                };
                assert_eq!(instance.confirmation, Some(how), "{name}");
                acknowledged += 1;
            }
            Some(one) if one.told == Told::AsRemark => assert_eq!(owed, BTreeSet::from([kept_back.id])),
            Some(_) => assert_eq!(counts, finished(device).len(), "{name}"),
        }
    }
    assert_eq!(acknowledged, DEVICES - ALL_OF_THEM.len());
}

fn treated_gently(site: &Site, observed: &str) {
    for device in site.fleet.devices() {
        let (name, counters) = (device.name(), device.counters());
        assert!(counters.max_in_flight <= 1, "{name}: {} requests at once", counters.max_in_flight);
        assert!(counters.logins_refused <= 1, "{name}: a refused password was sent again");
        if name == observed {
            for (request, count) in &counters.requests {
                let reads = request.starts_with("GET /restconf/") || request == "GET /smartlic-service/list";
                assert!(reads, "{name} is only observed, yet {request} came {count} times");
            }
        }
    }
}
