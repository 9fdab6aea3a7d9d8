//! The data tree that `<get>` reads, as XML through a subtree filter (RFC 6241 §6).

use serde_json::{Map, Value, json};

use crate::face::netconf::request::Node;
use crate::face::restconf;
use crate::spec::{Spec, StateModel, Transport};
use crate::state::State;
use crate::xml::escaped;

pub const LICENSING: &str = "http://cisco.com/ns/yang/cisco-smart-license";
const NATIVE: &str = "http://cisco.com/ns/yang/Cisco-IOS-XE-native";
pub const AGENT: &str = "http://cisco.com/ns/yang/Cisco-IOS-XR-infra-smartlicense-oper";
pub const PLATFORM: &str = "http://cisco.com/ns/yang/Cisco-IOS-XR-smart-license-platform-oper";

/// A tree below the root: its element, its namespace, its content.
pub type Tree = (&'static str, &'static str, Value);

/// Everything an IOS XE device serves.
pub fn ios_xe(spec: &Spec, state: &State) -> Vec<Tree> {
    let native = json!({ "hostname": spec.name, "version": spec.release() });
    let mut trees = vec![("native", NATIVE, native)];
    if spec.knobs.state_model != StateModel::None {
        trees.push(("licensing", LICENSING, json!({ "state": restconf::tree(spec, state) })));
    }
    trees
}

/// Everything an IOS XR device serves of licensing. Registration is not supported under SLP, and the word for the
/// transport is the model's own spelling. That usage is served at all under SLP is inferred.
pub fn ios_xr(spec: &Spec, state: &State) -> Vec<Tree> {
    let transport = match spec.transport {
        Transport::Off => "transport-off",
        Transport::Cslu => "clsu",
        Transport::Smart => "smart",
        Transport::Callhome => "callhome",
    };
    let usage = |licence: &crate::licence::Licence| {
        json!({
            "entitlement-tag": licence.tag,
            "short-name": licence.name,
            "license-name": licence.name,
            "count": licence.count,
            "enforce-mode": if licence.count > 0 { "in-use" } else { "not-in-use" },
            "post-paid": false,
        })
    };
    let counted = |licence: &crate::licence::Licence| json!({ "feature-area": "fcm", "entitlement": licence.name, "count": { "last": licence.count, "next": licence.count } });
    let mut udi = json!({ "pid": state.udi.pid, "sn": state.udi.sn });
    if let Some(uuid) = &state.uuid {
        udi["uuid"] = json!(uuid);
    }
    let info = json!({
        "registration": { "registration-state": "not-supported", "export-control-allowed": false },
        "authorization": { "authorization-state": "not-applicable" },
        "transport": { "transport-type": transport },
        "udi": udi,
        "usage": state.licences.iter().map(usage).collect::<Vec<_>>(),
    });
    let agent = json!({ "state": { "always-enabled": true, "smart-enabled": true, "version": "5.6.8_rel/1", "state-info": info } });
    let summary = json!({ "license": state.licences.iter().map(counted).collect::<Vec<_>>() });
    vec![
        ("smart-agent", AGENT, json!({ "licensing": agent })),
        ("plat-smart-license", PLATFORM, json!({ "summary": summary })),
    ]
}

/// A node of the filter that the device has not: its name, and whether its whole model is missing.
pub struct Unknown {
    pub name: String,
    pub namespace: Option<String>,
}

/// `<data>` with what the filter selects; with no filter, everything.
pub fn selected(trees: &[Tree], filter: Option<&Node>, strict: bool) -> Result<String, Unknown> {
    let mut text = String::from("<data>");
    for (name, namespace, value) in trees {
        let chosen = match filter {
            None => Some(value.clone()),
            Some(filter) => {
                let own = filter.children.iter().find(|node| node.name == *name && node.namespace == *namespace);
                own.map(|node| chosen(value, node, strict)).transpose()?.flatten()
            }
        };
        if let Some(value) = chosen {
            write(&mut text, name, Some(namespace), &value);
        }
    }
    if let Some(filter) = filter.filter(|_| strict) {
        let known = |node: &&Node| !trees.iter().any(|(_, namespace, _)| *namespace == node.namespace);
        if let Some(node) = filter.children.iter().find(known) {
            return Err(Unknown { name: node.name.clone(), namespace: Some(node.namespace.clone()) });
        }
    }
    text.push_str("</data>");
    Ok(text)
}

/// What of a value a node of the filter selects; `None` where it excludes it.
fn chosen(value: &Value, filter: &Node, strict: bool) -> Result<Option<Value>, Unknown> {
    match value {
        Value::Array(entries) => {
            let entries: Result<Vec<_>, _> = entries.iter().map(|entry| chosen(entry, filter, strict)).collect();
            let entries: Vec<Value> = entries?.into_iter().flatten().collect();
            Ok((!entries.is_empty()).then_some(Value::Array(entries)))
        }
        Value::Object(members) => {
            if filter.children.is_empty() {
                return Ok(Some(value.clone()));
            }
            // A leaf with a text matches or excludes its parent; without other nodes the whole of it is meant.
            let (matches, nodes): (Vec<&Node>, Vec<&Node>) =
                filter.children.iter().partition(|node| node.children.is_empty() && !node.text.trim().is_empty());
            let agrees = |node: &&Node| members.get(&node.name).is_some_and(|leaf| plain(leaf) == node.text.trim());
            if !matches.iter().all(agrees) {
                return Ok(None);
            }
            if nodes.is_empty() {
                return Ok(Some(value.clone()));
            }
            let mut some = Map::new();
            for node in matches.iter().chain(&nodes) {
                match members.get(&node.name) {
                    Some(member) => {
                        some.extend(chosen(member, node, strict)?.map(|member| (node.name.clone(), member)));
                    }
                    None if strict => return Err(Unknown { name: node.name.clone(), namespace: None }),
                    None => {}
                }
            }
            Ok(Some(Value::Object(some)))
        }
        leaf => Ok(Some(leaf.clone())),
    }
}

fn plain(leaf: &Value) -> String {
    leaf.as_str().map_or_else(|| leaf.to_string(), str::to_string)
}

fn write(text: &mut String, name: &str, namespace: Option<&str>, value: &Value) {
    if let Value::Array(entries) = value {
        entries.iter().for_each(|entry| write(text, name, namespace, entry));
        return;
    }
    let namespace = namespace.map_or_else(String::new, |namespace| format!(" xmlns=\"{namespace}\""));
    text.push_str(&format!("<{name}{namespace}>"));
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| write(text, name, None, member)),
        leaf => text.push_str(&escaped(&plain(leaf))),
    }
    text.push_str(&format!("</{name}>"));
}
