//! 100,000 devices: from the file to a checked inventory, in less than half a second.
//!
//! `cargo bench --bench inventory`; ends with 1 when it takes longer.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use slp_collector::config::Config;

const DEVICES: usize = 100_000;
const LIMIT: Duration = Duration::from_millis(500);

#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("slp-collector.toml");
    std::fs::write(&config, configuration()).expect("configuration");
    std::fs::write(folder.path().join("devices.csv"), inventory()).expect("inventory");

    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let loaded = Config::load(&config).expect("no mistakes");
        best = best.min(start.elapsed());
        assert_eq!(loaded.inventory.len(), DEVICES);
    }
    println!("inventory: {DEVICES} devices in {:.3} s (limit {:.3} s)", best.as_secs_f64(), LIMIT.as_secs_f64());
    if best < LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn configuration() -> String {
    let mut text = String::from(
        "[credentials.routers]\nusername = \"slpcol\"\npassword_credential = \"routers\"\n\
         [defaults]\ncredential = \"routers\"\n",
    );
    for site in 0..200 {
        writeln!(
            text,
            "[sites.site-{site}]\nexchange_lead = \"21d\"\nsite_concurrency = 8\nvirtual_account = \"VA-{site}\""
        )
        .expect("text");
    }
    text
}

/// Every column filled, as an inventory out of a database has it.
fn inventory() -> String {
    let mut text = String::from(
        "name,address,port,os,access,site,credential,mode,reporter,trust,pin,smart_account,virtual_account,timezone,\
         windows,environment,tags\n",
    );
    for device in 0..DEVICES {
        let (a, b, c) = (device >> 16, device >> 8 & 255, device & 255);
        writeln!(
            text,
            "edge-{device:06},10.{a}.{b}.{c},443,ios-xe,rest,site-{},routers,collect,collector,pinned,{device:064x},\
             example.com,VA-{},Europe/Berlin,Sat 01:00-05:00 UTC; daily 22:00-04:00,production,branch rack-{}",
            device % 200,
            device % 50,
            device % 40
        )
        .expect("text");
    }
    text
}
