//! Reading whatever devices and portals give: recorded files, our own fixtures, and damage.

mod archives;
mod bundle;
mod captures;
mod damage;

use std::path::PathBuf;

use slp_collector::cli::inspect::inspect;
use slp_collector::cli::output::Format;

use crate::support::{data, golden};

/// Our own fixtures, in the order of the golden files.
const FIXTURES: [&str; 8] = [
    "rum-saved-v2.xml",
    "rum-rest-v1.json",
    "rum-payload-telemetry.json",
    "ack.xml",
    "policy.xml",
    "slac.xml",
    "rum-cut-off.xml",
    "console-session.txt",
];

fn printed(files: &[PathBuf], format: Format) -> (u8, String) {
    let mut out = Vec::new();
    let exit = inspect(files, None, format, &mut out).expect("memory takes every write");
    (exit.code(), String::from_utf8(out).expect("what is printed is text"))
}

/// The same for every machine: files by their own name.
fn of_fixtures(format: Format) -> (u8, String) {
    let files: Vec<PathBuf> = FIXTURES.iter().map(|name| data(name)).collect();
    let (code, text) = printed(&files, format);
    (code, text.replace(&data("").display().to_string(), ""))
}

#[test]
fn every_fixture_is_printed_as_json() {
    let (code, text) = of_fixtures(Format::Json);
    assert_eq!(code, 2, "two of them cannot be read");
    golden("inspect-fixtures.ndjson", &text);
}

#[test]
fn every_fixture_is_printed_for_people() {
    golden("inspect-fixtures.txt", &of_fixtures(Format::Table).1);
}

#[test]
fn every_fixture_is_printed_as_rows() {
    golden("inspect-fixtures.csv", &of_fixtures(Format::Csv).1);
}
