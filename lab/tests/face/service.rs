//! The licensing service: close, list, fetch, import, and the knobs of each.

use data_encoding::BASE64;
use lab::report::ReportState;
use lab::spec::{ImportForm, ListShape};
use lab::{Clock, Fleet, Operation, Portal, specs};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{DAY, T0, alone};

/// What a collector would upload, from the text of a fetch.
fn usage_file(fetched: &Value) -> Vec<u8> {
    let reports = fetched["usage"].as_array().unwrap();
    let reports: String = reports.iter().map(|report| format!("<RUMReport><![CDATA[{report}]]></RUMReport>")).collect();
    format!("<smartLicense>{reports}</smartLicense>").into_bytes()
}

#[tokio::test]
async fn the_whole_loop() {
    let (fleet, device) = alone(specs::switch("edge-001")).await;
    fleet.clock().advance(30 * DAY);
    let mut client = Client::to(&device).await.unwrap();
    assert_eq!(client.get("/smartlic-service/list").await.unwrap().json(), json!({ "usage_list": [] }));
    assert_eq!(client.get("/smartlic-service/all-reports").await.unwrap().json(), json!({}));
    assert_eq!(client.ask("POST", "/smartlic-service/close-reports", b"test=").await.unwrap().status, 200);
    let list = client.get("/smartlic-service/list").await.unwrap().json();
    assert_eq!(list["usage_list"].as_array().unwrap().len(), 2);
    assert_eq!(list["usage_list"][0]["timestamp"], T0 + 30 * DAY);
    assert_eq!(client.get("/smartlic-service/days/1").await.unwrap().json()["usage"].as_array().unwrap().len(), 2);
    let fetched = client.get("/smartlic-service/days").await.unwrap();
    assert_eq!(fetched.header("content-type"), Some("application/json"));
    let fetched = fetched.json();
    assert_eq!(fetched["usage"][0]["header"], json!({ "type": "rum" }));

    fleet.clock().advance(DAY);
    let answer = Portal::new().upload(fleet.clock().now(), "edge-001.txt", &usage_file(&fetched)).unwrap();
    assert_eq!(client.ask("POST", "/smartlic-service/import", &answer.bytes).await.unwrap().status, 200);
    assert_eq!(device.state().last_ack, Some(T0 + 31 * DAY));
    assert_eq!(device.state().due, Some(T0 + 121 * DAY));
    assert_eq!(client.get("/smartlic-service/all-reports").await.unwrap().json(), json!({}));
    assert_eq!(device.counters().of("/smartlic-service/list"), 2);
    assert_eq!(device.counters().connections, 1);
    fleet.stop().await;
}

#[tokio::test]
async fn one_form_of_import_is_taken_and_the_others_are_not() {
    let file = b"<smartLicense></smartLicense>".to_vec();
    let coded = BASE64.encode(&file);
    let bodies = [file, coded.clone().into_bytes(), json!({ "import": coded }).to_string().into_bytes()];
    let forms = [ImportForm::Raw, ImportForm::Base64, ImportForm::Json("import".to_string())];
    for (taken, form) in forms.into_iter().enumerate() {
        let mut spec = specs::switch("edge-001");
        spec.knobs.import_form = form;
        spec.knobs.import_lies = true;
        let (_fleet, device) = alone(spec).await;
        let mut client = Client::to(&device).await.unwrap();
        for (index, body) in bodies.iter().enumerate() {
            let status = client.ask("POST", "/smartlic-service/import", body).await.unwrap().status;
            assert_eq!(status, if index == taken { 200 } else { 400 }, "form {taken}, body {index}");
        }
    }
}

#[tokio::test]
async fn a_refused_import_names_the_error() {
    let fleet = Fleet::start(vec![specs::switch("a"), specs::switch("b")], Clock::at(T0)).await.unwrap();
    fleet.clock().advance(DAY);
    fleet.device("a").apply(Operation::Close);
    let mut a = Client::to(&fleet.device("a")).await.unwrap();
    let fetched = a.get("/smartlic-service/all-reports").await.unwrap().json();
    let answer = Portal::new().upload(T0, "a.txt", &usage_file(&fetched)).unwrap();
    let mut b = Client::to(&fleet.device("b")).await.unwrap();
    let refused = b.ask("POST", "/smartlic-service/import", &answer.bytes).await.unwrap();
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(28)));
    assert_eq!(refused.json()["error"]["name"], "matchidentifier");
}

#[tokio::test]
async fn shapes_follow_the_knobs() {
    let shapes = [
        (ListShape::IdAndTimestamp, "{\"report_id\":N,\"timestamp\":T}"),
        (ListShape::Strings, "{\"report_id\":\"N\",\"timestamp\":\"T\"}"),
        (ListShape::Ids, "N"),
        (ListShape::IdOnly, "{\"report_id\":N}"),
    ];
    for (shape, expected) in shapes {
        let mut spec = specs::branch("edge-001");
        spec.knobs.list_shape = shape;
        spec.knobs.usage_as_object_when_single = true;
        let (fleet, device) = alone(spec).await;
        fleet.clock().advance(DAY);
        device.apply(Operation::Close);
        let known = device.state().reports[0].clone();
        let expected = expected.replace('N', &known.id.to_string()).replace('T', &known.end.unwrap().to_string());
        let mut client = Client::to(&device).await.unwrap();
        let list = client.get("/smartlic-service/list").await.unwrap();
        assert_eq!(String::from_utf8(list.body).unwrap(), format!("{{\"usage_list\":[{expected}]}}"));
        assert!(client.get("/smartlic-service/days/90").await.unwrap().json()["usage"]["payload"].is_string());
    }
}

#[tokio::test]
async fn logins_paths_methods_and_sizes() {
    let mut spec = specs::switch("edge-001");
    spec.limits.body = 100;
    let (_fleet, device) = alone(spec).await;
    let mut client = Client::to(&device).await.unwrap();
    assert_eq!(client.get("/smartlic-service/rum-report-id").await.unwrap().status, 404);
    assert_eq!(client.get("/").await.unwrap().status, 404);
    assert_eq!(client.get("/smartlic-service/days/many").await.unwrap().status, 400);
    let wrong = client.get("/smartlic-service/import").await.unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(client.ask("DELETE", "/smartlic-service/list", b"").await.unwrap().status, 405);
    assert_eq!(client.ask("POST", "/smartlic-service/import", &[b'x'; 101]).await.unwrap().status, 413);
    assert_eq!(device.counters().logins_refused, 0);

    let mut stranger = Client::to(&device).await.unwrap().with_login("slp:guess");
    let refused = stranger.get("/smartlic-service/list").await.unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Basic "));
    assert_eq!(stranger.get("/nowhere").await.unwrap().status, 401);
    assert_eq!(device.counters().logins_refused, 2);
}

#[tokio::test]
async fn fetching_may_leave_no_mark() {
    let mut spec = specs::branch("edge-001");
    spec.knobs.fetch_marks = false;
    let (fleet, device) = alone(spec).await;
    fleet.clock().advance(DAY);
    device.apply(Operation::Close);
    assert_eq!(device.apply(Operation::AllReports).into_reports().len(), 1);
    assert_eq!(device.state().reports[0].state, ReportState::Closed);
}

#[tokio::test]
async fn many_devices_start_at_once() {
    let fleet = Fleet::start(specs::fleet(1000, 5), Clock::at(T0)).await.unwrap();
    let ports: std::collections::BTreeSet<_> = fleet.devices().map(|device| device.addr().port()).collect();
    assert_eq!((ports.len(), fleet.names().len()), (1000, 1000));
    fleet.stop().await;
}
