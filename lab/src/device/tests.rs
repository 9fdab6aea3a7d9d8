use serde_json::Value;

use super::*;
use crate::measurement::Measurement;
use crate::portal::Portal;
use crate::report::ReportState;
use crate::spec::Payload;
use crate::specs;

const T0: i64 = 1_767_225_600;

fn device(spec: Spec) -> Device {
    Device::new(Arc::new(spec), T0)
}

fn state(device: &mut Device, now: i64) -> State {
    match device.apply(now, Operation::State) {
        Reply::State(state) => *state,
        other => panic!("{other:?}"),
    }
}

fn all(device: &mut Device, now: i64) -> Vec<Fetched> {
    device.apply(now, Operation::AllReports).into_reports()
}

fn payload(report: &Fetched) -> Value {
    let outer: Value = serde_json::from_str(&report.json).unwrap();
    serde_json::from_str(outer["payload"].as_str().unwrap()).unwrap()
}

fn usage_file(reports: &[Fetched]) -> Vec<u8> {
    let reports: String = reports.iter().map(|report| crate::saved::rum_report(&report.json)).collect();
    format!("<smartLicense>{reports}</smartLicense>").into_bytes()
}

fn answer_to(portal: &mut Portal, now: i64, reports: &[Fetched]) -> Vec<u8> {
    portal.upload(now, "dev.txt", &usage_file(reports)).unwrap().bytes
}

fn imported(reply: Reply) -> Imported {
    match reply {
        Reply::Imported(imported) => imported,
        other => panic!("{other:?}"),
    }
}

fn states(device: &mut Device, now: i64) -> Vec<ReportState> {
    state(device, now).reports.iter().map(|report| report.state).collect()
}

#[test]
fn a_report_goes_from_open_to_purged() {
    let mut device = device(specs::branch("b-1"));
    assert_eq!(states(&mut device, T0), [ReportState::Open]);
    let now = T0 + 30 * DAY;
    assert!(matches!(device.apply(now, Operation::Close), Reply::Closed(ids) if ids.len() == 1));
    assert_eq!(states(&mut device, now), [ReportState::Closed, ReportState::Open]);
    let reports = all(&mut device, now);
    assert_eq!(states(&mut device, now), [ReportState::Unacknowledged, ReportState::Open]);
    let ack = answer_to(&mut Portal::new(), now, &reports);
    assert_eq!(imported(device.apply(now, Operation::Import(ack))).acknowledged, [reports[0].report_id]);
    assert_eq!(states(&mut device, now), [ReportState::Acknowledged, ReportState::Open]);
    assert_eq!(all(&mut device, now), []);
    assert_eq!(device.apply(now, Operation::Purge), Reply::Purged(vec![reports[0].report_id]));
    assert_eq!(states(&mut device, now), [ReportState::Purged, ReportState::Open]);
}

#[test]
fn chains_interleave_ids_and_link_up() {
    let mut device = device(specs::switch("s-1"));
    device.apply(T0 + 100, Operation::Close);
    device.apply(T0 + 200, Operation::Close);
    let reports = state(&mut device, T0 + 200).reports;
    let first = reports[0].id;
    assert!((T0 - 40_000..=T0).contains(&i64::try_from(first).unwrap()));
    assert_eq!(reports.iter().map(|report| report.id - first).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!((reports[2].previous, reports[2].next), (first, first + 4));
    assert_eq!((reports[4].start, reports[2].end), (T0 + 200, Some(T0 + 200)));
    assert!(reports.iter().step_by(2).all(|report| report.licence == "network-advantage"));
}

#[test]
fn two_closes_in_a_second_make_one_report() {
    let mut device = device(specs::branch("b-1"));
    device.apply(T0 + 100, Operation::Close);
    assert_eq!(device.apply(T0 + 100, Operation::Close), Reply::Closed(Vec::new()));
}

#[test]
fn measurements_follow_counts_and_say_why_they_ended() {
    let mut device = device(specs::wlc("w-1"));
    let set = |count| Operation::SetCount { licence: "air-dna-advantage".into(), count };
    device.apply(T0 + 900, set(26));
    device.apply(T0 + 1800, set(27));
    device.apply(T0 + 1800, set(28));
    device.apply(T0 + 2700, Operation::Reload);
    let reports = all(&mut device, T0 + 2700);
    let payload = payload(&reports[1]);
    assert_eq!(payload["version"], "2.0");
    assert_eq!(payload["asset_identification"]["report_id"], reports[1].report_id);
    let rows = payload["measurements"].as_array().unwrap();
    let row = |row: &Value| {
        (row["start_time"].as_i64().unwrap() - T0, row["num_samples"].clone(), row["value"]["value"].clone())
    };
    assert_eq!(
        rows.iter().map(row).collect::<Vec<_>>(),
        [(0, 2.into(), "25".into()), (900, 2.into(), "26".into()), (1800, 2.into(), "28".into())]
    );
    assert_eq!(rows[0].get("meta"), None);
    assert_eq!(rows[2]["meta"]["termination_reason"], "ProductReload");
    assert_eq!(rows[2]["meta"]["close_reason"], "ProductReload");
}

#[test]
fn the_first_schema_keeps_its_places() {
    let mut device = device(specs::branch("b-1"));
    device.apply(T0 + 63_010, Operation::Close);
    let report = &all(&mut device, T0 + 63_010)[0];
    let payload = payload(report);
    assert_eq!(payload.get("version"), None);
    assert_eq!(payload["meta"]["report_id"], report.report_id);
    assert!(payload["asset_identification"]["signature"]["value"].is_string());
    assert_eq!(payload["measurements"][0]["num_samples"], 71);
    assert_eq!(payload["measurements"][0]["meta"], serde_json::json!({"termination_reason": "CurrentUsageRequested"}));
}

#[test]
fn a_released_licence_sleeps_after_its_report() {
    let mut device = device(specs::branch("b-1"));
    let set = |count| Operation::SetCount { licence: "appxk9".into(), count };
    device.apply(T0 + 1000, set(0));
    device.apply(T0 + 2000, Operation::Close);
    assert_eq!(states(&mut device, T0 + 2000), [ReportState::Closed]);
    device.apply(T0 + 3000, set(2));
    let known = state(&mut device, T0 + 3000);
    assert_eq!(known.reports[1].previous, known.reports[0].id);
    assert!(device.apply(T0, Operation::SetCount { licence: "none".into(), count: 1 }).refusal().is_some());
}

#[test]
fn an_unused_device_says_nothing_and_owes_nothing() {
    let mut device = device(specs::idle("i-1"));
    assert_eq!(device.apply(T0 + DAY, Operation::Close), Reply::Closed(Vec::new()));
    assert_eq!(all(&mut device, T0 + DAY), []);
    assert_eq!(state(&mut device, T0 + DAY).due, None);
}

#[test]
fn the_deadline_follows_first_use_then_the_acknowledgement() {
    let mut switch = device(specs::switch("s-1"));
    assert_eq!(state(&mut switch, T0).due, Some(T0 + 90 * DAY));
    let now = T0 + 80 * DAY;
    switch.apply(now, Operation::Close);
    let reports = all(&mut switch, now);
    assert_eq!(state(&mut switch, now).due, Some(T0 + 90 * DAY), "a report moves nothing");
    let ack = answer_to(&mut Portal::new(), now, &reports);
    switch.apply(now + 5, Operation::Import(ack));
    assert_eq!(state(&mut switch, now + 5).due, Some(now + 5 + 90 * DAY));

    let mut branch = device(specs::branch("b-1"));
    assert_eq!(state(&mut branch, T0).due, Some(T0 + 365 * DAY));
    branch.apply(now, Operation::Close);
    let reports = all(&mut branch, now);
    let ack = answer_to(&mut Portal::new(), now, &reports);
    branch.apply(now, Operation::Import(ack));
    assert_eq!(state(&mut branch, now).due, None, "perpetual alone is never due again by default");
}

#[test]
fn a_policy_and_an_account_come_with_the_answer() {
    let mut device = device(specs::switch("s-1"));
    device.apply(T0 + DAY, Operation::Close);
    let reports = all(&mut device, T0 + DAY);
    let account = Account::new("Example & Sons", "example.com", "<Default>");
    let policy = Policy { ack_required: true, ..Policy::custom("Custom Policy", 30, 60, 90) };
    let mut portal = Portal::new().with_policy(policy.clone()).with_account(account.clone());
    let ack = answer_to(&mut portal, T0 + DAY, &reports);
    let imported = imported(device.apply(T0 + 2 * DAY, Operation::Import(ack)));
    assert_eq!((imported.policy.as_deref(), imported.account), (Some("Custom Policy"), true));
    let state = state(&mut device, T0 + 2 * DAY);
    assert_eq!((state.policy, state.policy_installed), (policy, Some(T0 + 2 * DAY)));
    assert_eq!(state.account, Some(account));
    assert_eq!(state.due, Some(T0 + 62 * DAY));
}

#[test]
fn the_same_answer_twice_changes_nothing() {
    let mut device = device(specs::switch("s-1"));
    device.apply(T0 + DAY, Operation::Close);
    let reports = all(&mut device, T0 + DAY);
    let ack = answer_to(&mut Portal::new(), T0 + DAY, &reports);
    device.apply(T0 + DAY, Operation::Import(ack.clone()));
    let before = state(&mut device, T0 + DAY);
    let again = imported(device.apply(T0 + 2 * DAY, Operation::Import(ack)));
    assert_eq!(again, Imported::default());
    let after = state(&mut device, T0 + 2 * DAY);
    assert_eq!((after.last_ack, after.due, after.reports), (before.last_ack, before.due, before.reports));
}

#[test]
fn answers_for_others_and_altered_ones_are_refused() {
    let mut one = device(specs::switch("s-1"));
    let mut other = device(specs::switch("s-2"));
    one.apply(T0 + DAY, Operation::Close);
    let reports = all(&mut one, T0 + DAY);
    let ack = answer_to(&mut Portal::new(), T0 + DAY, &reports);
    let refusal = other.apply(T0 + DAY, Operation::Import(ack.clone())).refusal().unwrap().clone();
    assert_eq!((refusal.code, refusal.name), (28, "matchidentifier"));
    let text = String::from_utf8(ack).unwrap();
    let id = reports[0].report_id;
    let altered = text.replace(&id.to_string(), &(id + 7).to_string());
    let refusal = one.apply(T0 + DAY, Operation::Import(altered.into_bytes())).refusal().unwrap().clone();
    assert_eq!((refusal.code, refusal.name), (45, "verifysignaturefailed"));
    for (file, code) in [("no xml", 17), ("<other/>", 17), ("<smartLicense></smartLicense>", 10)] {
        assert_eq!(one.apply(T0, Operation::Import(file.into())).refusal().unwrap().code, code, "{file}");
    }
    assert!(states(&mut one, T0 + DAY).iter().all(|state| *state != ReportState::Acknowledged));
}

#[test]
fn a_lying_import_does_nothing() {
    let mut spec = specs::switch("s-1");
    spec.knobs.import_lies = true;
    let mut device = device(spec);
    assert_eq!(imported(device.apply(T0, Operation::Import(b"anything".to_vec()))), Imported::default());
    assert_eq!(state(&mut device, T0).last_ack, None);
}

#[test]
fn a_clock_step_shows_in_the_measurement() {
    let mut device = device(specs::branch("b-1"));
    device.apply(T0 + 10_000, Operation::ClockStep(-3433));
    assert_eq!(state(&mut device, T0 + 10_000).now, T0 + 10_000 - 3433);
    device.apply(T0 + 20_000, Operation::Close);
    let payload = payload(&all(&mut device, T0 + 20_000)[0]);
    let row = &payload["measurements"][0];
    assert_eq!(row["meta"]["clock_change_delta"], "-3433");
    assert_eq!(row["end_time"], T0 + 20_000 - 3433);
    assert_eq!(row["log_time"], T0 + 10_000 - 3433);
}

#[test]
fn a_clock_set_far_back_makes_no_negative_time() {
    let mut device = device(specs::branch("b-1"));
    device.apply(T0 + 1000, Operation::ClockStep(-DAY));
    device.apply(T0 + 2000, Operation::Close);
    let payload = payload(&all(&mut device, T0 + 2000)[0]);
    let row: &Value = &payload["measurements"][0];
    assert_eq!((row["sample_interval"].as_i64(), row["start_time"].as_i64()), (Some(0), Some(T0)));
}

#[test]
fn days_are_counted_by_the_reports_end() {
    let mut device = device(specs::branch("b-1"));
    device.apply(T0 + 10 * DAY, Operation::Close);
    device.apply(T0 + 40 * DAY, Operation::Close);
    let now = T0 + 45 * DAY;
    assert_eq!(device.apply(now, Operation::Days(10)).into_reports().len(), 1);
    assert_eq!(device.apply(now, Operation::Days(90)).into_reports().len(), 2);
}

#[test]
fn what_does_not_fit_is_lost_oldest_first() {
    let mut spec = specs::branch("b-1");
    spec.knobs.storage = 2;
    let mut device = device(spec);
    for day in 1..=4 {
        device.apply(T0 + day * DAY, Operation::Close);
    }
    use ReportState::{Closed, Open, Purged};
    assert_eq!(states(&mut device, T0 + 4 * DAY), [Purged, Purged, Closed, Closed, Open]);
    assert_eq!(all(&mut device, T0 + 4 * DAY).len(), 2);
}

#[test]
fn a_switch_over_changes_who_signs() {
    let mut device = device(specs::pair("p-1"));
    let first = device.udi().clone();
    device.apply(T0 + DAY, Operation::Close);
    assert_eq!(device.apply(T0 + DAY, Operation::SwitchOver), Reply::Done);
    assert_ne!(device.udi(), &first);
    device.apply(T0 + 2 * DAY, Operation::Close);
    let reports = all(&mut device, T0 + 2 * DAY);
    let signer = |report: &Fetched| payload(report)["asset_identification"]["instance"]["sudi"].clone();
    assert_eq!(signer(&reports[0])["udi_serial_number"], first.sn.as_str());
    assert_ne!(signer(&reports[3])["udi_serial_number"], first.sn.as_str());
    assert_eq!(payload(&reports[3])["meta"]["ha_udi"][1]["role"], "Standby");
    let ack = answer_to(&mut Portal::new(), T0 + 2 * DAY, &reports);
    assert_eq!(imported(device.apply(T0 + 2 * DAY, Operation::Import(ack))).acknowledged.len(), 4);
    assert!(self::device(specs::switch("s-1")).apply(T0, Operation::SwitchOver).refusal().is_some());
}

#[test]
fn telemetry_rides_along() {
    let mut spec = specs::switch("s-1");
    spec.knobs.telemetry = true;
    let mut device = device(spec);
    device.apply(T0 + DAY, Operation::Close);
    let reports = all(&mut device, T0 + DAY);
    assert_eq!(reports.len(), 3);
    assert_eq!(payload(&reports[2])["meta"]["report_type"], "telemetry");
    Portal::new().upload(T0, "dev.txt", &usage_file(&reports)).unwrap();
}

#[test]
fn reports_may_close_by_themselves() {
    let mut spec = specs::branch("b-1");
    spec.knobs.closes_itself_after = Some(30 * DAY);
    let mut device = device(spec);
    device.apply(T0 + 95 * DAY, Operation::Advance);
    let known = state(&mut device, T0 + 95 * DAY).reports;
    assert_eq!(known.iter().filter_map(|report| report.end).collect::<Vec<_>>(), [1, 2, 3].map(|n| T0 + n * 30 * DAY));
}

#[test]
fn flash_holds_what_fits() {
    let mut spec = specs::branch("b-1");
    spec.flash = 4000;
    let mut device = device(spec);
    let write = |name: &str, length| Operation::WriteFile { name: name.into(), bytes: vec![b'x'; length] };
    assert_eq!(device.apply(T0, write("a", 3000)), Reply::Done);
    assert_eq!(device.apply(T0, write("b", 3000)).refusal().unwrap().code, 25);
    assert_eq!(device.apply(T0, write("a", 3500)), Reply::Done);
    assert_eq!(state(&mut device, T0).free, 500);
    assert_eq!(device.apply(T0, Operation::DeleteFile("a".into())), Reply::Done);
    assert_eq!(device.apply(T0, Operation::ReadFile("a".into())).refusal().unwrap().code, 9);
    assert_eq!(state(&mut device, T0).free, 4000);
}

#[test]
fn saved_usage_loops_through_the_portal() {
    let mut device = device(specs::switch("s-1"));
    let save = |which| Operation::SaveUsage { which, name: "rum.xml".into() };
    assert_eq!(device.apply(T0, save(Saved::All)).refusal().unwrap().code, 9);
    assert_eq!(device.apply(T0 + DAY, save(Saved::Unreported)), Reply::Done);
    let Reply::File(file) = device.apply(T0 + DAY, Operation::ReadFile("rum.xml".into())) else { panic!() };
    let answer = Portal::new().upload(T0 + DAY, "rum.xml", &file).unwrap();
    device.apply(T0 + DAY, Operation::WriteFile { name: "ack.xml".into(), bytes: answer.bytes });
    let imported = imported(device.apply(T0 + DAY, Operation::ImportFile("ack.xml".into())));
    assert_eq!(imported.acknowledged.len(), 2);
}

#[test]
fn every_kind_of_fleet_signs_what_the_portal_takes() {
    for spec in specs::fleet(60, 3) {
        let name = spec.name.clone();
        let old = spec.knobs.payload == Payload::V1;
        let mut device = device(spec);
        device.apply(T0 + DAY, Operation::Close);
        let reports = all(&mut device, T0 + DAY);
        if reports.is_empty() {
            continue;
        }
        assert_eq!(payload(&reports[0]).get("version").is_none(), old, "{name}");
        let ack = Portal::new().upload(T0 + DAY, &name, &usage_file(&reports)).unwrap();
        assert_eq!(imported(device.apply(T0 + DAY, Operation::Import(ack.bytes))).acknowledged.len(), reports.len());
    }
}

#[test]
fn a_row_is_written_in_the_captures_order() {
    let running = crate::measurement::Running::from(5, 3);
    let row: Measurement = running.end(10, Some(Ended::CurrentUsageRequested), true);
    assert_eq!(
        serde_json::to_string(&row).unwrap(),
        "{\"log_time\":5,\"metric_name\":\"ENTITLEMENT\",\"start_time\":5,\"end_time\":10,\"sample_interval\":5,\
         \"num_samples\":1,\"meta\":{\"termination_reason\":\"CurrentUsageRequested\",\"close_reason\":\
         \"CurrentUsageRequested\"},\"value\":{\"type\":\"COUNT\",\"value\":\"3\"}}"
    );
}
