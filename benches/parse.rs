//! How fast a report is read, against parsing both of its JSON layers into `serde_json::Value`.
//!
//! Reading means all of it: both layers into typed facts, no name twice anywhere, the payload's
//! SHA-256 and a copy of the raw bytes. Prints nanoseconds of processor time a report and the
//! ratio; asserts nothing. The two take turns, so that other work on the machine meets both.

#![allow(clippy::print_stdout)]

mod common;

use std::hint::black_box;

use common::process::cpu;
use nix::sys::resource::UsageWho;
use serde_json::Value;
use slp_collector::domain::report::read;
use slp_collector::domain::rum_file;

/// Long enough for a clock of 4 ms; the best of several rounds is the least disturbed.
const CALLS: u32 = 20_000;
const ROUNDS: usize = 12;

fn main() {
    let saved = include_bytes!("../tests/data/rum-saved-v2.xml");
    let report = rum_file::read(saved).expect("the fixture is a RUM file").reports.remove(0);
    measure("fixture, two measurements", std::str::from_utf8(&report.raw).expect("text"));
    if let Some(folder) = std::env::var_os("SLP_CAPTURES") {
        let path = std::path::Path::new(&folder).join("protocol/rum-file-c9800cl-17.9-example-rum-1671840750.xml");
        if let Ok(bytes) = std::fs::read(path) {
            let report = rum_file::read(&bytes).expect("a RUM file").reports.remove(0);
            measure("recorded C9800-CL, three measurements", std::str::from_utf8(&report.raw).expect("text"));
        }
    }
}

fn measure(what: &str, raw: &str) {
    let (mut ours, mut values) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        ours = ours.min(round(|| {
            black_box(read::report(black_box(raw)).expect("it reads"));
        }));
        values = values.min(round(|| {
            let outer: Value = serde_json::from_str(black_box(raw)).expect("it parses");
            let payload: Value = serde_json::from_str(outer["payload"].as_str().expect("text")).expect("it parses");
            black_box((outer, payload));
        }));
    }
    println!(
        "{what} ({} bytes): read {ours:.0} ns/report, both layers as Value {values:.0} ns/report, ratio {:.2}",
        raw.len(),
        ours / values
    );
}

/// Nanoseconds of processor time a call.
fn round(call: impl Fn()) -> f64 {
    let began = cpu(UsageWho::RUSAGE_THREAD);
    for _ in 0..CALLS {
        call();
    }
    (cpu(UsageWho::RUSAGE_THREAD) - began).as_secs_f64() * 1e9 / f64::from(CALLS)
}
