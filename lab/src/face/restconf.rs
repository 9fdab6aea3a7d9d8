//! RESTCONF: the licensing state in the shapes of the model, and the two leaves of the native model that name a box.
//!
//! Nodes and types follow the published model; RFC 7951 gives the JSON (64-bit numbers as strings, the module's name
//! on the top key). Spellings of enumeration values that no public answer shows are inferred from the ones shown.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value, json};

use crate::face::page::{Page, YANG};
use crate::face::rpc::{self, Outcome};
use crate::face::station::Station;
use crate::operation::{Operation, Reply};
use crate::policy::Frequency;
use crate::report::ReportState;
use crate::spec::{AcknowledgedKeys, Spec, StateModel, Transport};
use crate::state::{Known, State};
use crate::udi::Udi;

pub const ROOT: &str = "/restconf/";

const LICENSING: &str = "/restconf/data/cisco-smart-license:licensing/state";
const NATIVE: &str = "/restconf/data/Cisco-IOS-XE-native:native/";

const OPERATIONS: &str = "/restconf/operations/";

pub fn answer(station: &Station, method: &str, path: &str, query: Option<&str>, body: &[u8]) -> Page {
    let spec = &station.spec;
    if let Some(operation) = path.strip_prefix(OPERATIONS) {
        return if method == "POST" { called(station, operation, body) } else { Page::method("POST") };
    }
    if method != "GET" {
        return Page::method("GET");
    }
    if spec.knobs.state_model == StateModel::None {
        return missing();
    }
    if let Some(leaf) = path.strip_prefix(NATIVE) {
        return match leaf {
            "hostname" => Page::ok(YANG, &json!({ "Cisco-IOS-XE-native:hostname": spec.name })),
            "version" => Page::ok(YANG, &json!({ "Cisco-IOS-XE-native:version": spec.release() })),
            _ => missing(),
        };
    }
    let Some(below) = path.strip_prefix(LICENSING) else { return missing() };
    let Reply::State(state) = station.apply(Operation::State) else { return missing() };
    let mut node = tree(spec, &state);
    let mut name = "state";
    for step in below.split('/').skip(1) {
        name = step;
        match node.get_mut(step).map(Value::take) {
            Some(child) => node = child,
            None => return missing(),
        }
    }
    if !below.is_empty() && !below.starts_with('/') {
        return missing();
    }
    if let Some(fields) = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("fields="))) {
        if spec.knobs.rejects_fields {
            return Page::error(400, "invalid-value", "the fields query parameter is not supported");
        }
        let fields = fields.replace("%3B", ";").replace("%28", "(").replace("%29", ")").replace("%2F", "/");
        match selected(&node, &fields) {
            Some(chosen) => node = chosen,
            None => return Page::error(400, "invalid-value", "the fields expression cannot be read"),
        }
    }
    Page::ok(YANG, &json!({ format!("cisco-smart-license:{name}"): node }))
}

/// `module:name`, its input as `{"module:input":{…}}`.
fn called(station: &Station, operation: &str, body: &[u8]) -> Page {
    let Some((module, name)) = operation.split_once(':') else { return missing() };
    let input: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let input = input.as_ref().and_then(|body| body.get(&format!("{module}:input"))).and_then(Value::as_object);
    let Some(input) = input else { return Page::error(400, "malformed-message", "no input of this module") };
    let leaf = |name: &str| input.get(name).map(|leaf| leaf.as_str().map_or_else(|| leaf.to_string(), str::to_string));
    match rpc::call(station, module, name, &leaf) {
        Outcome::Output(leaf, value) => Page::ok(YANG, &json!({ format!("{module}:output"): { leaf: value } })),
        Outcome::Unknown => missing(),
        Outcome::Missing(leaf) => Page::error(400, "missing-element", &format!("{leaf} is missing")),
        Outcome::Invalid(leaf) => Page::error(400, "invalid-value", &format!("{leaf} is not valid")),
    }
}

fn missing() -> Page {
    Page::error(404, "invalid-value", "uri keypath not found")
}

/// The container `state`.
pub fn tree(spec: &Spec, state: &State) -> Value {
    let time = |unix: i64| date_and_time(unix, spec.knobs.timezone_minutes);
    let mut info = Map::new();
    info.insert("registration".into(), json!({ "registration-state": "reg-state-not-registered" }));
    info.insert("authorization".into(), json!({ "authorization-state": "auth-state-none" }));
    let transport = match spec.transport {
        Transport::Off => "transport-type-off",
        Transport::Cslu => "transport-type-cslu",
        Transport::Smart => "transport-type-smart",
        Transport::Callhome => "transport-type-callhome",
    };
    info.insert("transport".into(), json!({ "transport-type": transport }));
    let mut own = udi(&state.udi);
    own["host-identifier"] = json!(state.name);
    if let Some(uuid) = &state.uuid {
        own["uuid"] = json!(uuid);
    }
    info.insert("udi".into(), own);
    info.insert("usage".into(), usage(state));
    info.insert("policy".into(), policy(state, &time));
    info.insert("trust-code".into(), trust_codes(state, &time));
    if spec.knobs.state_model == StateModel::Full {
        let listed = |known: &&Known| match known.state {
            ReportState::Closed | ReportState::Unacknowledged => true,
            ReportState::Acknowledged => spec.knobs.acknowledged_keys == AcknowledgedKeys::Listed,
            ReportState::Open | ReportState::Purged => false,
        };
        let keys: Vec<Value> = state.reports.iter().filter(listed).map(|known| key(known, &time)).collect();
        info.insert("rum-reports-closed-keys".into(), json!(keys));
        let mut ack = Map::new();
        if let Some(last) = state.last_ack {
            ack.insert("last-received-time".into(), json!(time(last)));
        }
        if let Some(due) = state.due {
            ack.insert("next-report-deadline".into(), json!(time(due)));
        }
        info.insert("rum-ack".into(), Value::Object(ack));
    }
    json!({ "always-enabled": true, "smart-enabled": true, "version": "6.1.4_rel/1", "state-info": info })
}

fn udi(udi: &Udi) -> Value {
    json!({ "pid": udi.pid, "sn": udi.sn })
}

fn usage(state: &State) -> Value {
    let used = state.licences.iter().filter(|licence| licence.count > 0);
    let entry = |licence: &crate::licence::Licence| {
        json!({
            "entitlement-tag": licence.tag,
            "short-name": licence.name,
            "license-name": licence.name,
            "count": licence.count,
            // What real devices print under this way of licensing, for licences that are in use.
            "enforcement-mode": "enforcement-invalid-tag",
            "post-paid": false,
        })
    };
    used.map(entry).collect()
}

fn policy(state: &State, time: &dyn Fn(i64) -> String) -> Value {
    let policy = &state.policy;
    let three = |frequency: Frequency| {
        json!({
            "reporting-first-time": frequency.first,
            "reporting-ongoing": frequency.ongoing,
            "reporting-macd": frequency.change,
        })
    };
    let mut node = json!({
        "policy-type": if policy.name.is_some() { "policy-type-custom" } else { "policy-type-merged" },
        "ack-required": policy.ack_required,
        "policy-enforced": three(policy.enforced),
        "policy-export": three(policy.export),
        "policy-subscription": three(policy.subscription),
        "policy-perpetual": three(policy.perpetual),
    });
    if let Some(name) = &policy.name {
        node["policy-name"] = json!(name);
    }
    if let Some(installed) = state.policy_installed {
        node["install-time"] = json!(time(installed));
    }
    node
}

fn trust_codes(state: &State, time: &dyn Fn(i64) -> String) -> Value {
    let entry = |member: &crate::udi::Member| {
        let key = member.udi.to_string();
        let mut node = json!({ "key_udi": key, "is-installed": state.trusted.is_some(), "udi": udi(&member.udi) });
        if let Some(installed) = state.trusted {
            node["time-installed"] = json!(time(installed));
        }
        node
    };
    state.members.iter().map(entry).collect()
}

/// What the key string looks like is not public; this one is unique and says nothing.
fn key(known: &Known, time: &dyn Fn(i64) -> String) -> Value {
    let state = match known.state {
        ReportState::Open => "rum-report-state-open",
        ReportState::Closed => "rum-report-state-closed",
        ReportState::Unacknowledged => "rum-report-state-unacknowledged",
        ReportState::Acknowledged => "rum-report-state-acknowledged",
        ReportState::Purged => "rum-report-state-invalid",
    };
    json!({
        "rum-report-key": format!("{},ID:{}", known.udi, known.id),
        "report-id": known.id.to_string(),
        "udi": udi(&known.udi),
        "report-start-time": time(known.start),
        "report-end-time": time(known.end.unwrap_or(known.start)),
        "report-state": state,
    })
}

/// `2026-01-31T12:00:00+01:00`.
fn date_and_time(unix: i64, zone_minutes: i32) -> String {
    let offset = Offset::from_seconds(zone_minutes * 60).unwrap_or(Offset::UTC);
    let time = Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::fixed(offset)).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The parts of a node that a `fields` expression names: `a;b(c;d);e/f`.
fn selected(node: &Value, fields: &str) -> Option<Value> {
    if let Value::Array(entries) = node {
        return entries.iter().map(|entry| selected(entry, fields)).collect();
    }
    let mut chosen = Map::new();
    for field in split(fields)? {
        let (name, below) = match field.find(['(', '/']) {
            Some(at) if field[at..].starts_with('/') => (&field[..at], Some(&field[at + 1..])),
            Some(at) => (&field[..at], Some(field[at + 1..].strip_suffix(')')?)),
            None => (field, None),
        };
        if name.is_empty() {
            return None;
        }
        if let Some(child) = node.get(name) {
            let child = below.map_or_else(|| Some(child.clone()), |below| selected(child, below))?;
            chosen.insert(name.to_string(), child);
        }
    }
    Some(Value::Object(chosen))
}

/// Splits at the semicolons outside of parentheses.
fn split(fields: &str) -> Option<Vec<&str>> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, letter) in fields.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ';' if depth == 0 => {
                parts.push(&fields[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&fields[from..]);
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_the_zone() {
        assert_eq!(date_and_time(1_767_225_600, 0), "2026-01-01T00:00:00+00:00");
        assert_eq!(date_and_time(1_767_225_600, -480), "2025-12-31T16:00:00-08:00");
        assert_eq!(date_and_time(1_767_225_600, 330), "2026-01-01T05:30:00+05:30");
    }

    #[test]
    fn fields_choose() {
        let node = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": { "f": 4 }, "g": [{ "h": 5, "i": 6 }] });
        let chosen = selected(&node, "a;b(c);e/f;g(h);absent").unwrap();
        assert_eq!(chosen, json!({ "a": 1, "b": { "c": 2 }, "e": { "f": 4 }, "g": [{ "h": 5 }] }));
        assert_eq!(selected(&node, "a;b(c"), None);
        assert_eq!(selected(&node, ";"), None);
    }
}
