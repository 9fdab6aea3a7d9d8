//! The licensing state of IOS XE: `cisco-smart-license`, revision 2021-03-01, and what of it older images serve.
//!
//! Reads by name, wherever a node stands, and takes what is there. Under SLP the old nodes
//! `registration-state`, `authorization-state` and `enforcement-mode` hold leftovers that look
//! like faults (seen on a C9300, 17.15); they are not read at all.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{deep, flag, list, node, number, privacy, read_udi, stamp, text, word};
use crate::domain::instance::Udi;
use crate::domain::policy::{ClassPolicy, Policy};
use crate::domain::report::{EntitlementTag, ReportId};
use crate::domain::state::{
    Authorization, AuthorizationCode, Authorizations, DeviceState, License, ListedReport, Model, ReportState,
    Transport, TrustCode, UsageReporting,
};

/// Reads `licensing/state` or `licensing/state/state-info`. `None` when it holds neither.
pub fn state(answer: &Value) -> Option<DeviceState> {
    let outer = node(answer, "state").unwrap_or(answer);
    let info = node(outer, "state-info")?;
    if !info.is_object() {
        return None;
    }
    let udi = node(info, "udi");
    let keys = node(info, "rum-reports-closed-keys");
    let mut rum_ids: Vec<ListedReport> = list(keys).iter().filter_map(listed).collect();
    rum_ids.sort_by_key(|listed| listed.report_id);
    Some(DeviceState {
        model: model(outer, info),
        smart_account: text(deep(info, &["registration", "registration-complete", "smart-account"])),
        virtual_account: text(deep(info, &["registration", "registration-complete", "virtual-account"])),
        transport: node(info, "transport").map(|value| transport(value).into()),
        privacy: node(info, "privacy").map(|value| privacy(value, "hostname")),
        policy: node(info, "policy").map(|value| policy(value).into()),
        usage_reporting: UsageReporting {
            last_ack: stamp(deep(info, &["rum-ack", "last-received-time"])).map(Box::new),
            next_ack_deadline: stamp(deep(info, &["rum-ack", "next-report-deadline"])).map(Box::new),
            ..UsageReporting::default()
        },
        trust_codes: list(node(info, "trust-code")).iter().map(trust_code).collect(),
        udi: udi.and_then(read_udi),
        uuid: text(udi.and_then(|udi| node(udi, "uuid"))),
        licenses: list(node(info, "usage")).iter().map(|value| license(value).into()).collect(),
        rum_ids,
        agent_version: text(node(outer, "version")),
        authorizations: node(info, "imported-authorizations").map(|value| authorizations(value).into()),
        ..DeviceState::default()
    })
}

fn model(outer: &Value, info: &Value) -> Model {
    // SLP cannot be switched off where it exists, and its nodes exist only there.
    if ["policy", "rum-ack", "rum-reports-closed-keys"].iter().any(|name| node(info, name).is_some()) {
        return Model::Slp;
    }
    match flag(node(outer, "smart-enabled")) {
        Some(true) => Model::ClassicSmartLicensing,
        Some(false) => Model::Disabled,
        None => Model::Unknown,
    }
}

fn transport(value: &Value) -> Transport {
    let urls = node(value, "url-settings");
    let url = |name| urls.and_then(|urls| text(node(urls, name)));
    Transport {
        kind: word(node(value, "transport-type"), "transport-type-"),
        url: url("url-registration").or_else(|| url("url-utility")),
    }
}

fn policy(value: &Value) -> Policy {
    let class = |name: &str| {
        let class = node(value, name)?;
        let days = |name| number(node(class, name)).and_then(|days| u32::try_from(days).ok());
        Some(ClassPolicy {
            first_report_days: days("reporting-first-time"),
            reporting_frequency_days: days("reporting-ongoing"),
            report_on_change_days: days("reporting-macd"),
        })
    };
    Policy {
        name: text(node(value, "policy-name")),
        source: word(node(value, "policy-type"), "policy-type-"),
        ack_required: flag(node(value, "ack-required")),
        perpetual: class("policy-perpetual"),
        subscription: class("policy-subscription"),
        enforced: class("policy-enforced"),
        export: class("policy-export"),
        ..Policy::default()
    }
}

fn trust_code(value: &Value) -> TrustCode {
    let installed = flag(node(value, "is-installed")) != Some(false);
    TrustCode {
        role: None,
        udi: node(value, "udi").and_then(read_udi).or_else(|| key_udi(node(value, "key_udi")?.as_str()?)),
        installed: if installed { stamp(node(value, "time-installed")) } else { None },
        expires: None,
    }
}

/// Codes and what they allow (published model; no answer that has any was seen).
fn authorizations(value: &Value) -> Authorizations {
    let codes = |chassis: &Value| {
        let udi = node(chassis, "udi").and_then(read_udi).or_else(|| key_udi(node(chassis, "key_udi")?.as_str()?));
        let installed = list(node(chassis, "installed-list")).iter().filter_map(move |code| {
            let status = word(node(code, "install-type"), "license-auth-type-")?;
            let installed = stamp(node(code, "install-time"));
            Some(AuthorizationCode { role: None, udi: udi.clone(), status, installed })
        });
        installed.collect::<Vec<_>>()
    };
    let allowed = |value: &Value| Authorization {
        name: text(node(value, "license-name")).or_else(|| text(node(value, "short-name"))),
        entitlement_tag: text(node(value, "entitlement-tag")).map(EntitlementTag),
        description: text(node(value, "description")),
        count: number(node(value, "total-count")),
        enforcement: word(node(value, "license-enforcement-type"), "license-enforcement-type-").map(Arc::from),
        license_type: None,
    };
    Authorizations {
        codes: list(node(value, "overall-status")).iter().flat_map(codes).collect(),
        allowed: list(node(value, "authorization-list")).iter().map(allowed).collect(),
    }
}

/// `PID:C9300-24UX,SN:FCW0000A001`, the list key of the model.
fn key_udi(key: &str) -> Option<Udi> {
    let (pid, sn) = key.strip_prefix("PID:")?.split_once(",SN:")?;
    Some(Udi::new(pid, sn))
}

fn license(value: &Value) -> License {
    License {
        name: text(node(value, "license-name")).or_else(|| text(node(value, "short-name"))),
        entitlement_tag: text(node(value, "entitlement-tag")).map(EntitlementTag),
        description: text(node(value, "description")),
        count: number(node(value, "count")),
        status: None,
        license_type: None,
        enforcement: None,
    }
}

fn listed(value: &Value) -> Option<ListedReport> {
    let time = |name| node(value, name)?.as_str()?.parse::<Timestamp>().ok();
    Some(ListedReport {
        report_id: ReportId(number(node(value, "report-id"))?),
        state: word(node(value, "report-state"), "rum-report-state-").and_then(|word| ReportState::read(&word)),
        feature: None,
        start: time("report-start-time"),
        end: time("report-end-time"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::state::Privacy;
    use serde_json::json;

    fn full() -> Value {
        json!({"cisco-smart-license:state": {"smart-enabled": true, "version": "5.3.16_rel/55", "state-info": {
            "registration": {"registration-state": "reg-state-not-registered"},
            "transport": {"transport-type": "transport-type-cslu",
                "url-settings": {"url-registration": "http://192.0.2.7:8182/cslu/v1/pi"}},
            "privacy": {"hostname": true, "version": "false"},
            "udi": {"pid": "C9300-24UX", "sn": "FOC0000A001"},
            "usage": [{"entitlement-tag": "regid.2017-05.com.cisco.x,1.0_a", "license-name": "dna-advantage",
                "count": 2, "enforcement-mode": "enforcement-invalid-tag"}],
            "policy": {"policy-type": "policy-type-custom", "policy-name": "Custom Policy", "ack-required": true,
                "policy-subscription": {"reporting-first-time": 90, "reporting-ongoing": 60, "reporting-macd": 30}},
            "imported-authorizations": {
                "overall-status": [{"key_udi": "PID:C9300-24UX,SN:FOC0000A001",
                    "installed-list": [{"install-type": "license-auth-type-slac"}]}],
                "authorization-list": [{"entitlement-tag": "regid.h", "license-name": "hseck9", "total-count": 1}]},
            "trust-code": [{"key_udi": "PID:C9300-24UX,SN:FOC0000A001", "is-installed": true,
                "time-installed": "2026-01-14T11:37:52+02:00"}],
            "rum-reports-closed-keys": [
                {"rum-report-key": "k2", "report-id": "9223372036854775809", "report-state": "rum-report-state-closed"},
                {"rum-report-key": "k1", "report-id": "1700000000", "report-state": "rum-report-state-acknowledged",
                    "report-start-time": "2026-01-01T00:00:00+00:00", "report-end-time": "2026-02-01T00:00:00+00:00"}],
            "rum-ack": {"last-received-time": "2026-02-02T10:00:00+02:00", "next-report-deadline": "2026-05-03T08:00:00+00:00"}
        }}})
    }

    #[test]
    fn reads_every_node_that_matters() {
        let state = state(&full()).unwrap();
        assert_eq!(state.model, Model::Slp);
        assert_eq!(state.udi, Some(Udi::new("C9300-24UX", "FOC0000A001")));
        assert_eq!(state.transport.unwrap().kind.as_deref(), Some("cslu"));
        assert_eq!(state.privacy, Some(Privacy { sends_hostname: Some(false), sends_version: Some(true) }));
        let policy = state.policy.unwrap();
        assert_eq!(policy.subscription, Some(ClassPolicy::of(90, 60, 30)));
        assert_eq!((policy.source.as_deref(), policy.perpetual), (Some("custom"), None));
        let ack = state.usage_reporting.last_ack.unwrap();
        assert_eq!(&*ack.text, "2026-02-02T10:00:00+02:00");
        assert_eq!(ack.utc, "2026-02-02T08:00:00Z".parse().ok());
        assert_eq!(state.trust_codes[0].udi, Some(Udi::new("C9300-24UX", "FOC0000A001")));
        let ids: Vec<_> = state.rum_ids.iter().map(|id| (id.report_id.0, id.state)).collect();
        let expected =
            [(1_700_000_000, Some(ReportState::Acknowledged)), (9_223_372_036_854_775_809, Some(ReportState::Closed))];
        assert_eq!(ids, expected);
        let printed = state.authorizations.unwrap();
        assert_eq!((printed.codes[0].status.as_str(), printed.allowed[0].name.as_deref()), ("slac", Some("hseck9")));
        assert_eq!(state.licenses[0].count, Some(2));
        assert_eq!(state.agent_version.as_deref(), Some("5.3.16_rel/55"));
    }

    #[test]
    fn takes_what_an_older_image_serves() {
        let old = json!({"cisco-smart-license:state-info": {"udi": {"pid": "ISR4331/K9", "sn": "FDO0000A002"},
            "policy": {"policy-type": "policy-type-platform-default"}}});
        let state = state(&old).unwrap();
        assert_eq!(state.model, Model::Slp);
        assert_eq!(state.usage_reporting, UsageReporting::default());
        assert!(state.rum_ids.is_empty());
        assert!(super::state(&json!({"unrelated": 1})).is_none());
        assert!(super::state(&json!([1, 2])).is_none());
    }

    #[test]
    fn the_epoch_is_not_an_ack() {
        let never = json!({"state-info": {"rum-ack": {"last-received-time": "1970-01-01T00:00:00+00:00"}}});
        assert_eq!(state(&never).unwrap().usage_reporting.last_ack, None);
    }
}
