//! RESTCONF: shapes of the model, and the releases that serve less of it.

use lab::spec::{AcknowledgedKeys, StateModel};
use lab::{Operation, Portal, specs};
use serde_json::json;

use crate::client::Client;
use crate::{DAY, alone};

const STATE: &str = "/restconf/data/cisco-smart-license:licensing/state";

#[tokio::test]
async fn nodes_have_the_models_shapes() {
    let mut spec = specs::pair("edge-001");
    spec.knobs.timezone_minutes = 60;
    let (fleet, device) = alone(spec).await;
    fleet.clock().advance(DAY);
    device.apply(Operation::Close);
    let mut client = Client::to(&device).await.unwrap();
    let whole = client.get(STATE).await.unwrap();
    assert_eq!(whole.header("content-type"), Some("application/yang-data+json"));
    let whole = whole.json();
    let info = &whole["cisco-smart-license:state"]["state-info"];
    let known = &device.state().reports[0];
    let key = &info["rum-reports-closed-keys"][0];
    assert_eq!(key["report-id"], known.id.to_string());
    assert_eq!(key["report-state"], "rum-report-state-closed");
    assert_eq!(key["report-end-time"], "2026-01-02T01:00:00+01:00");
    assert_eq!(info["rum-ack"], json!({ "next-report-deadline": "2026-04-01T01:00:00+01:00" }));
    assert_eq!(info["policy"]["policy-subscription"]["reporting-ongoing"], 90);
    assert_eq!(info["policy"].get("policy-name"), None);
    assert_eq!(info["usage"].as_array().unwrap().len(), 2);
    assert_eq!(info["trust-code"].as_array().unwrap().len(), 2);

    for node in ["udi", "policy", "rum-ack", "trust-code", "rum-reports-closed-keys", "transport", "usage"] {
        let page = client.get(&format!("{STATE}/state-info/{node}")).await.unwrap().json();
        assert_eq!(page[format!("cisco-smart-license:{node}")], info[node], "{node}");
    }
    let pid = client.get(&format!("{STATE}/state-info/udi/pid")).await.unwrap().json();
    assert_eq!(pid, json!({ "cisco-smart-license:pid": "C9500-40X" }));
    let some = client.get(&format!("{STATE}?fields=smart-enabled;state-info(udi(sn);rum-ack)")).await.unwrap().json();
    let own = json!({ "udi": { "sn": device.spec().udi().sn }, "rum-ack": info["rum-ack"] });
    assert_eq!(some, json!({ "cisco-smart-license:state": { "smart-enabled": true, "state-info": own } }));
    let native = "/restconf/data/Cisco-IOS-XE-native:native";
    let hostname = client.get(&format!("{native}/hostname")).await.unwrap().json();
    assert_eq!(hostname, json!({ "Cisco-IOS-XE-native:hostname": "edge-001" }));
    let version = client.get(&format!("{native}/version")).await.unwrap().json();
    assert_eq!(version, json!({ "Cisco-IOS-XE-native:version": "17.9" }));
    let missing = client.get("/restconf/data/other:thing").await.unwrap();
    assert_eq!(missing.status, 404);
    assert!(missing.json()["ietf-restconf:errors"]["error"][0]["error-tag"].is_string());
    assert_eq!(client.ask("POST", STATE, b"{}").await.unwrap().status, 405);
}

#[tokio::test]
async fn acknowledged_keys_stay_or_go() {
    for (knob, states) in
        [(AcknowledgedKeys::Listed, vec!["rum-report-state-acknowledged"]), (AcknowledgedKeys::Vanish, vec![])]
    {
        let mut spec = specs::branch("edge-001");
        spec.knobs.acknowledged_keys = knob;
        let (fleet, device) = alone(spec).await;
        fleet.clock().advance(DAY);
        device.apply(Operation::Close);
        let reports = device.apply(Operation::AllReports).into_reports();
        let file = format!("<RUMReport><![CDATA[{}]]></RUMReport>", reports[0].json);
        let answer = Portal::new().upload(0, "x.txt", file.as_bytes()).unwrap();
        device.apply(Operation::Import(answer.bytes));
        let mut client = Client::to(&device).await.unwrap();
        let keys = client.get(&format!("{STATE}/state-info/rum-reports-closed-keys")).await.unwrap().json();
        let keys = keys["cisco-smart-license:rum-reports-closed-keys"].as_array().unwrap().clone();
        assert_eq!(keys.iter().map(|key| key["report-state"].as_str().unwrap()).collect::<Vec<_>>(), states);
    }
}

#[tokio::test]
async fn older_releases_serve_less() {
    let mut spec = specs::switch("edge-001");
    spec.knobs.state_model = StateModel::NoRumAck;
    spec.knobs.rejects_fields = true;
    let (_fleet, device) = alone(spec).await;
    let mut client = Client::to(&device).await.unwrap();
    assert_eq!(client.get(&format!("{STATE}/state-info/rum-ack")).await.unwrap().status, 404);
    assert_eq!(client.get(&format!("{STATE}/state-info/policy")).await.unwrap().status, 200);
    assert_eq!(client.get(&format!("{STATE}?fields=version")).await.unwrap().status, 400);

    let mut spec = specs::switch("edge-002");
    spec.knobs.state_model = StateModel::None;
    let (_fleet, device) = alone(spec).await;
    let mut client = Client::to(&device).await.unwrap();
    assert_eq!(client.get(STATE).await.unwrap().status, 404);
    assert_eq!(client.get("/smartlic-service/list").await.unwrap().status, 200);
}
