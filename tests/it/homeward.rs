//! The way home where people carry things: reports saved by hand, answers for several devices, the import folder, and
//! who did it.

mod by_hand;
mod found;
mod inbox;
mod many;
mod placing;

use std::fs;
use std::path::PathBuf;

use lab::{Handle, Operation, Reply, operation::Saved};
use serde_json::Value;
use slp_collector::flow::person;

use crate::support::site::Site;

/// Who runs the tests, as the product names them.
fn me() -> String {
    person::own().unwrap()
}

/// Saves usage on a device as a person at its console would; the file's bytes.
fn saved(device: &Handle) -> Vec<u8> {
    let name = "usage.txt".to_owned();
    assert!(!matches!(device.apply(Operation::SaveUsage { which: Saved::All, name: name.clone() }), Reply::Refused(_)));
    match device.apply(Operation::ReadFile(name)) {
        Reply::File(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn written(site: &Site, name: &str, bytes: &[u8]) -> PathBuf {
    let path = site.path(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn answers(site: &Site) -> Vec<Value> {
    site.run(["ack", "list", "--format", "json"]).exits(0).json()
}

/// Polls all devices; the files with which the portal answers to their bundle.
fn answered(site: &mut Site) -> Vec<PathBuf> {
    site.advance(3600);
    site.run(["poll", "--all", "--close"]).exits(0);
    let bundle = site.bundle();
    let (answered, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    site.download(&answered)
}

/// A policy that names no device and that nobody signed.
const POLICY: &str = "<smartLicensePolicy><policyCode><name>P</name><ackRequired>yes</ackRequired></policyCode>\
                      <signature>x</signature></smartLicensePolicy>";

/// An acknowledgement that names no instance.
fn nameless_ack(ids: &[u64]) -> String {
    let list: Vec<String> = ids.iter().map(|id| format!(r#"{{"report_id":{id},"status":"OK"}}"#)).collect();
    format!(
        "<smartLicense><smartLicenseRumAck><data>[{}]</data><signature>x</signature></smartLicenseRumAck></smartLicense>",
        list.join(",")
    )
}
