//! The licensing state of IOS XR: `Cisco-IOS-XR-infra-smartlicense-oper` and `Cisco-IOS-XR-smart-license-platform-oper`.
//!
//! The models tell identity, transport, registration and usage. Policy, last ACK, deadline, trust and the
//! ids of reports are not in them (published models, 7.4.1 to 26.2.1): those stay untold here.

use std::sync::Arc;

use serde_json::Value;

use super::{deep, flag, list, node, number, privacy, read_udi, text, word};
use crate::domain::report::EntitlementTag;
use crate::domain::shared::Shared;
use crate::domain::state::{Compliance, DeviceState, License, Model, Transport};

/// Reads the `<data>` of one `<get>` over both models. `None` when the licensing agent's is not in it.
pub fn state(data: &Value) -> Option<DeviceState> {
    let state = deep(data, &["smart-agent", "licensing", "state"]).filter(|state| state.is_object())?;
    let info = node(state, "state-info").unwrap_or(&Value::Null);
    let udi = node(info, "udi");
    let registration = node(info, "registration");
    let account = |name| text(registration.and_then(|value| deep(value, &["registration-complete", name])));
    let mut licenses: Vec<License> = list(node(info, "usage")).iter().filter_map(license).collect();
    let platform = deep(data, &["plat-smart-license", "summary", "license"]);
    for counted in list(platform).iter().filter_map(platform_license) {
        if !licenses.iter().any(|known| known.name == counted.name || known.description == counted.name) {
            licenses.push(counted);
        }
    }
    Some(DeviceState {
        model: model(state, registration),
        smart_account: account("smart-account").map(Arc::from),
        virtual_account: account("virtual-account").map(Arc::from),
        transport: node(info, "transport").map(|value| transport(value).into()),
        privacy: node(info, "privacy").map(|value| privacy(value, "host-name")),
        udi: udi.and_then(read_udi),
        uuid: text(udi.and_then(|udi| node(udi, "uuid"))),
        licenses: licenses.into_iter().map(Shared::from).collect(),
        agent_version: text(node(state, "version")).map(Arc::from),
        compliance: compliance(data, info).into(),
        ..DeviceState::default()
    })
}

fn model(state: &Value, registration: Option<&Value>) -> Model {
    // Under SLP there is nothing to register; classic licensing always has a state of it.
    let registration = word(registration.and_then(|value| node(value, "registration-state")), "reg-state-");
    match (registration.as_deref(), flag(node(state, "smart-enabled"))) {
        (Some("not-supported"), _) => Model::Slp,
        (_, Some(false)) => Model::Disabled,
        (Some(_), _) => Model::ClassicSmartLicensing,
        (None, _) => Model::Unknown,
    }
}

/// The words of the enumerations are not in the published trees: they are kept as they come, and that `out-of-compliance`
/// is among them is inferred from the command line's.
fn compliance(data: &Value, info: &Value) -> Compliance {
    let platform = |container: &str, leaf: &str| {
        let status = deep(data, &["plat-smart-license", "summary", container])?;
        let state = text(node(status, leaf))?;
        let expired = flag(node(status, "grace-period-expired")) == Some(true);
        Some(if expired { format!("{state}(Grace Period Expired)") } else { state })
    };
    Compliance {
        authorization: word(deep(info, &["authorization", "authorization-state"]), "authorization-state-"),
        upgrade_right: platform("sia-status", "sia-state")
            .or_else(|| platform("upgrade-license-status", "upgrade-license-state")),
    }
}

fn transport(value: &Value) -> Transport {
    let kind = word(node(value, "transport-type"), "transport-type-").map(|kind| match kind.as_str() {
        // The model spells it so.
        "clsu" => "cslu".to_owned(),
        "transport-off" => "off".to_owned(),
        _ => kind,
    });
    let url = |name| text(deep(value, &["url-settings", name]));
    Transport { kind, url: url("url-registration").or_else(|| url("url-utility")) }
}

fn license(value: &Value) -> Option<License> {
    value.is_object().then(|| License {
        name: text(node(value, "license-name")).or_else(|| text(node(value, "short-name"))),
        entitlement_tag: text(node(value, "entitlement-tag")).map(EntitlementTag::from),
        description: text(node(value, "description")),
        count: number(node(value, "count")),
        // `not-applicable` says only that the agent is in the mode that SLP brings.
        status: word(node(value, "enforce-mode"), "enforcement-").filter(|mode| mode != "not-applicable"),
        license_type: None,
        enforcement: None,
    })
}

/// A licence as the platform counts it: `count/last` is what was last measured.
fn platform_license(value: &Value) -> Option<License> {
    let name = text(node(value, "entitlement"))?;
    Some(License { name: Some(name), count: number(deep(value, &["count", "last"])), ..License::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::Udi;
    use crate::domain::state::{Privacy, UsageReporting};
    use serde_json::json;

    #[test]
    fn what_the_models_tell_is_read_and_nothing_else_is_made_up() {
        let data = json!({
            "smart-agent": {"licensing": {"state": {"smart-enabled": "true", "version": "5.6.8", "state-info": {
                "registration": {"registration-state": "not-supported"},
                "transport": {"transport-type": "clsu", "url-settings": {"url-registration": "http://cslu-local:8182"}},
                "privacy": {"host-name": "false"},
                "udi": {"pid": "8201-SYS", "sn": "FOC0000X001", "uuid": "u"},
                "usage": {"entitlement-tag": "regid.x", "license-name": "ADV", "count": "4", "enforce-mode": "in-use"},
            }}}},
            "plat-smart-license": {"summary": {"sia-status": {"sia-state": "out-of-compliance",
                "grace-period-expired": "true"}, "license": [
                {"entitlement": "ADV", "count": {"last": "4"}}, {"entitlement": "ESS", "count": {"last": "0"}},
            ]}},
        });
        let state = state(&data).unwrap();
        assert_eq!(state.model, Model::Slp);
        assert_eq!(state.udi, Some(Udi::new("8201-SYS", "FOC0000X001")));
        assert_eq!(state.privacy, Some(Privacy { sends_hostname: Some(true), sends_version: None }));
        let transport = state.transport.unwrap();
        assert_eq!(
            (transport.kind.as_deref(), transport.url.as_deref()),
            (Some("cslu"), Some("http://cslu-local:8182"))
        );
        let names: Vec<_> = state.licenses.iter().map(|license| (license.name.as_deref(), license.count)).collect();
        assert_eq!(names, [(Some("ADV"), Some(4)), (Some("ESS"), Some(0))]);
        assert_eq!(state.licenses[0].status.as_deref(), Some("in-use"));
        let breaches: Vec<_> = state.compliance.breaches().collect();
        assert_eq!(breaches, ["out-of-compliance(Grace Period Expired)"]);
        assert_eq!((state.policy, state.usage_reporting), (None, UsageReporting::default()));
    }

    #[test]
    fn the_licensing_model_shows_in_the_registration() {
        let of = |enabled: &str, registration: serde_json::Value| {
            let info = json!({"registration": registration});
            let data = json!({"smart-agent": {"licensing": {"state": {"smart-enabled": enabled, "state-info": info}}}});
            state(&data).unwrap().model
        };
        assert_eq!(of("true", json!({"registration-state": "registered"})), Model::ClassicSmartLicensing);
        assert_eq!(of("false", json!("")), Model::Disabled);
        assert_eq!(of("true", json!("")), Model::Unknown);
        assert_eq!(state(&json!({"smart-agent": ""})), None);
    }
}
