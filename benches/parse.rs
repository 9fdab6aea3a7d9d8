//! How fast a report is read, against parsing both of its JSON layers into `serde_json::Value`.
//!
//! Reading means all of it: both layers into typed facts, no name twice anywhere, the payload's
//! SHA-256 and a copy of the raw bytes. Prints nanoseconds a report and the ratio; asserts nothing.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::Value;
use slp_collector::domain::report::read;
use slp_collector::domain::rum_file;

/// Long enough that the clock does not matter; the best of several is the least disturbed.
const ROUND: Duration = Duration::from_millis(300);
const ROUNDS: usize = 7;

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
    let ours = best(|| {
        black_box(read::report(black_box(raw)).expect("it reads"));
    });
    let values = best(|| {
        let outer: Value = serde_json::from_str(black_box(raw)).expect("it parses");
        let payload: Value = serde_json::from_str(outer["payload"].as_str().expect("text")).expect("it parses");
        black_box((outer, payload));
    });
    println!(
        "{what} ({} bytes): read {ours:.0} ns/report, both layers as Value {values:.0} ns/report, ratio {:.2}",
        raw.len(),
        ours / values
    );
}

/// Nanoseconds a call, in the best round.
fn best(call: impl Fn()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut calls = 0;
        while began.elapsed() < ROUND {
            for _ in 0..64 {
                call();
            }
            calls += 64;
        }
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}
