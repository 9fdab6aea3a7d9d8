//! Answers damaged on the way: nothing half is kept, and what the device took is found out.

use lab::spec::{AcknowledgedKeys, StateModel};
use lab::{Fault, Scope, Spec, specs};
use serde_json::Value;
use slp_collector::domain::fleet::Confirmation;

use crate::support::site::Site;

const ALL: &str = "/smartlic-service/all-reports";
const IMPORT: &str = "/smartlic-service/import";

fn one(change: impl FnOnce(&mut Spec)) -> Site {
    let mut spec = specs::switch("edge-1");
    change(&mut spec);
    let site = Site::new(vec![spec]);
    site.advance(3600);
    site
}

/// Polls, bundles and has the portal answer.
fn answered(site: &mut Site) -> Vec<std::path::PathBuf> {
    site.run(["poll", "--all", "--close"]).exits(0);
    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    site.advance(3600);
    site.download(&answers)
}

#[test]
fn a_report_cut_at_any_place_is_kept_whole_later_or_not_at_all() {
    let site = one(|_| {});
    let device = site.device("edge-1");
    device.apply(lab::Operation::Close);
    let truth = site.bodies("edge-1");
    let whole = truth.values().map(String::len).sum::<usize>() as u64;
    for at in [0, 1, 40, 74, 80, 200, whole / 2, whole, whole + 80] {
        device.set_fault_on(Fault::CutAfter(at), Scope::path(ALL));
        let polled = site.run(["poll", "--all"]).exits(1);
        assert!(polled.out.contains("edge-1: unreachable: fetch reports: no answer from"), "at {at}: {polled:?}");
        let ledger = site.ledger();
        let fleet = ledger.fleet();
        let instance = fleet.of_device(&"edge-1".into()).unwrap();
        assert!(instance.collected.is_empty() && instance.owed.is_empty(), "at {at}");
    }
    device.clear_fault();
    site.run(["poll", "--all"]).exits(0);
    let listed: Vec<Value> = site.run(["report", "list", "--format", "json"]).exits(0).json();
    let ids: Vec<u64> = listed.iter().map(|line| line["report_id"].as_u64().unwrap()).collect();
    assert_eq!(ids, truth.keys().copied().collect::<Vec<u64>>());
}

#[test]
fn an_import_whose_answer_is_lost_is_found_out_by_reading_back() {
    for (keys, how) in
        [(AcknowledgedKeys::Listed, Confirmation::ById), (AcknowledgedKeys::Vanish, Confirmation::ByTime)]
    {
        let mut site = one(|spec| spec.knobs.acknowledged_keys = keys);
        let files = answered(&mut site);
        site.device("edge-1").set_fault_on(Fault::CutAfter(10), Scope::path(IMPORT));
        site.import(&files, &[]).exits(0);
        assert_eq!(site.device("edge-1").counters().of(IMPORT), 1);
        let ledger = site.ledger();
        let fleet = ledger.fleet();
        let instance = fleet.of_device(&"edge-1".into()).unwrap();
        assert_eq!((instance.owed.len(), instance.confirmation), (0, Some(how)));
    }
}

#[test]
fn an_import_that_never_arrives_is_told_and_tried_again() {
    let mut site = one(|_| {});
    let files = answered(&mut site);
    site.device("edge-1").set_fault_on(Fault::Status500, Scope::path(IMPORT));
    let imported = site.import(&files, &[]).exits(2);
    assert!(imported.out.contains("not delivered, tried again later: import: the device answered HTTP 500"));
    let listed: Vec<Value> = site.run(["ack", "list", "--format", "json"]).exits(0).json();
    assert_eq!((&listed[0]["status"], &listed[0]["attempts"]), (&"awaiting-delivery".into(), &1.into()));
    assert!(listed[0]["waits_for"].as_str().unwrap().contains("HTTP 500"), "{listed:?}");
}

#[test]
fn a_release_that_cannot_tell_what_became_of_an_acknowledgement_is_not_believed() {
    let mut site = one(|spec| {
        spec.software = "17.04.01".to_owned();
        spec.knobs.state_model = StateModel::NoRumAck;
    });
    let files = answered(&mut site);
    let imported = site.import(&files, &[]).exits(2);
    assert!(imported.out.contains("reading back shows no change"), "{imported:?}");
    let rows = site.status();
    assert_eq!(rows[0]["reports_waiting"], 2);
}

#[test]
fn an_answer_that_acknowledges_nothing_settles_nothing() {
    for keys in [AcknowledgedKeys::Listed, AcknowledgedKeys::Vanish] {
        let mut site = one(|spec| spec.knobs.acknowledged_keys = keys);
        site.run(["poll", "--all", "--close"]).exits(0);
        for id in site.bodies("edge-1").keys() {
            let udi = site.device("edge-1").spec().udi().clone();
            site.portal.withhold(udi, *id);
        }
        let bundle = site.bundle();
        let (answers, _) = site.upload(&bundle);
        site.advance(3600);
        let imported = site.import(&site.download(&answers), &[]);
        assert!(!imported.out.contains("the device lists the reports as acknowledged"), "{imported:?}");
        assert_eq!(site.status()[0]["reports_waiting"], 2, "{imported:?}");
    }
}
