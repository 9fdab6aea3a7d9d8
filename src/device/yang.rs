//! The YANG models of licensing: what their nodes mean, whichever protocol and encoding carries them.
//!
//! RESTCONF brings JSON, NETCONF brings XML. Both are read as one loose tree: nodes by their local
//! names, lists that may be a lone entry, numbers and booleans that may be text.

pub mod ios_xe;
pub mod ios_xr;
pub mod return_code;
pub mod rpc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::instance::Udi;
use crate::domain::state::{Privacy, Stamp};
use crate::domain::xml::Element;

/// The XML of a data tree, as the JSON of the same tree would be read: elements that come more than
/// once become a list, every leaf is text. Types are left to the reader, XML does not tell them.
pub fn tree(element: &Element) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text.trim().to_owned());
    }
    let mut members = Map::new();
    for child in &element.children {
        let value = tree(child);
        match members.get_mut(&child.name) {
            None => drop(members.insert(child.name.clone(), value)),
            Some(Value::Array(entries)) => entries.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(members)
}

/// The value of a leaf asked for by its own path (`native/hostname`, `native/version`).
pub fn leaf(answer: &Value, name: &str) -> Option<String> {
    text(node(answer, name))
}

/// A child by name, whatever its module.
/// A child by name, with or without its module in front (`cisco-smart-license:state`).
pub(super) fn node<'a>(parent: &'a Value, name: &str) -> Option<&'a Value> {
    let members = parent.as_object()?;
    members
        .get(name)
        .or_else(|| members.iter().find(|(key, _)| key.rsplit_once(':').is_some_and(|(_, own)| own == name))?.1.into())
        .filter(|value| !value.is_null())
}

fn deep<'a>(parent: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(parent, |value, name| node(value, name))
}

/// A list; a lone entry that was not wrapped counts as a list of one.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(entries)) => entries,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

fn text<T: for<'a> From<&'a str>>(value: Option<&Value>) -> Option<T> {
    value?.as_str().filter(|text| !text.is_empty()).map(T::from)
}

/// RFC 7951 writes 64-bit numbers as strings; smaller ones as numbers.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn flag(value: Option<&Value>) -> Option<bool> {
    let value = value?;
    value.as_bool().or_else(|| value.as_str()?.trim().to_ascii_lowercase().parse().ok())
}

fn stamp(value: Option<&Value>) -> Option<Stamp> {
    let text: String = text(value)?;
    let utc = text.parse::<Timestamp>().ok();
    // An agent that has no time yet gives the epoch.
    if utc.is_some_and(|utc| utc.as_second() <= 0) {
        return None;
    }
    Some(Stamp { text: text.into(), utc })
}

/// `privacy`, whose leaves the two systems name differently.
fn privacy(value: &Value, hostname: &str) -> Privacy {
    let sends = |name| flag(node(value, name)).map(|kept_back| !kept_back);
    Privacy { sends_hostname: sends(hostname), sends_version: sends("version") }
}

fn read_udi(value: &Value) -> Option<Udi> {
    Some(Udi { pid: text(node(value, "pid"))?, sn: text(node(value, "sn"))? })
}

/// Takes the enum's own prefix off: `transport-type-off` is `off`.
fn word(value: Option<&Value>, prefix: &str) -> Option<String> {
    text(value).map(|word: String| word.strip_prefix(prefix).unwrap_or(&word).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::xml;
    use serde_json::json;

    #[test]
    fn xml_is_read_as_the_json_of_the_same_tree() {
        let document = xml::read("<data><s:state xmlns:s='x'><a> 1 </a><l><b>2</b></l><l/><l>3</l></s:state></data>");
        assert_eq!(tree(&document.roots[0]), json!({"state": {"a": "1", "l": [{"b": "2"}, "", "3"]}}));
    }
}
