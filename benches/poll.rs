//! Client CPU of a daily poll that finds nothing new, against a bare reqwest loop that sends the same requests.
//!
//! `cargo build --release -p lab && cargo bench --bench poll`. The lab runs in a process of its own, so that its work is
//! not counted; both loops use the same trust (a pinned certificate), one connection a device, and as many devices at
//! once. Ends with 1 when the collector takes more than [`LIMIT`] times the bare loop's CPU.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::process::cpu;
use nix::sys::resource::UsageWho;
use reqwest::header::ACCEPT;
use slp_collector::config::Config;
use slp_collector::control::{self, Reply, Request};
use slp_collector::domain::digest::Sha256;
use slp_collector::flow::poll::Ask;
use slp_collector::flow::{self, Clock, House};
use slp_collector::tls::{self, Trust};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

const DEVICES: usize = 300;
const ROUNDS: usize = 5;
const CONCURRENCY: usize = 64;
const LIMIT: f64 = 1.3;

const STATE: &str = "/restconf/data/cisco-smart-license:licensing/state";
const LEAVES: [&str; 2] =
    ["/restconf/data/Cisco-IOS-XE-native:native/hostname", "/restconf/data/Cisco-IOS-XE-native:native/version"];
const LIST: &str = "/smartlic-service/list";

/// A row of the lab's inventory.
#[derive(Clone)]
struct Row {
    name: String,
    authority: String,
    user: String,
    password: String,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench is read on the terminal")]
fn main() -> ExitCode {
    let Some(program) = lab_program() else {
        eprintln!("poll: slp-lab is not built; `cargo build --release -p lab` first");
        return ExitCode::FAILURE;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (mut lab, rows) = start(&program, folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (ours, bare) = runtime.block_on(measure(&configure(folder.path(), &rows), &rows));
    lab.kill().and_then(|()| lab.wait()).expect("the lab ends");
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / (ROUNDS * DEVICES) as f64;
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!(
        "poll: {DEVICES} devices {ROUNDS} times: collector {:.0} us CPU a device, bare reqwest {:.0} us, ratio {ratio:.2} (limit {LIMIT})",
        each(ours),
        each(bare)
    );
    if ratio <= LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Beside the folder that cargo puts benches in.
fn lab_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.parent()?.parent()?.join("slp-lab")).filter(|program| program.is_file())
}

fn start(program: &Path, folder: &Path) -> (Child, Vec<Row>) {
    let inventory = folder.join("lab.csv");
    let mut lab = Command::new(program)
        .args(["--seed", "5", "--devices", &DEVICES.to_string(), "--write"])
        .arg(&inventory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the lab starts");
    let ready = BufReader::new(lab.stdout.as_mut().expect("piped")).lines().next();
    assert_eq!(ready.and_then(Result::ok).as_deref(), Some("ready"));
    let mut reader = csv::Reader::from_path(inventory).expect("the lab's inventory");
    let row = |record: csv::StringRecord| Row {
        name: record[0].to_owned(),
        authority: format!("{}:{}", &record[1], &record[2]),
        user: record[3].to_owned(),
        password: record[4].to_owned(),
    };
    let rows = reader.records().map(|record| row(record.expect("a row"))).collect();
    (lab, rows)
}

fn configure(folder: &Path, rows: &[Row]) -> Config {
    let mut toml = format!(
        "[collector]\nstate_dir = \"state\"\nsocket = \"control.sock\"\n[poll]\nconcurrency = {CONCURRENCY}\n\
         connects_per_second = 10000\n\
         [defaults]\nmode = \"deliver\"\n"
    );
    let mut csv = "name,address,port,credential\n".to_owned();
    let mut users = BTreeSet::new();
    for Row { name, authority, user, password } in rows {
        let (address, port) = authority.split_once(':').expect("an address and a port");
        writeln!(csv, "{name},{address},{port},{user}").expect("memory");
        if users.insert(user) {
            writeln!(toml, "[credentials.{user}]\nusername = \"{user}\"\npassword_file = \"{user}.password\"")
                .expect("memory");
            std::fs::write(folder.join(format!("{user}.password")), password).expect("a password file");
        }
    }
    std::fs::write(folder.join("devices.csv"), csv).expect("inventory");
    std::fs::write(folder.join("slp-collector.toml"), toml).expect("configuration");
    Config::load(&folder.join("slp-collector.toml")).expect("no mistakes")
}

/// CPU of the collector and of the bare loop, in turns.
async fn measure(config: &Config, rows: &[Row]) -> (Duration, Duration) {
    let ledger = flow::open_ledger(config).expect("a new ledger");
    let house = Arc::new(House::new(config.clone(), ledger, Clock::system()));
    // The first contact learns pins and states; after it a poll finds nothing new.
    poll(&house).await;
    let pinned: Vec<(Row, Sha256)> = {
        let fleet = house.ledger.fleet();
        let pin = |row: &Row| fleet.devices[&row.name.as_str().into()].pin.expect("pinned at first contact");
        rows.iter().map(|row| (row.clone(), pin(row))).collect()
    };
    bare(&pinned).await;
    let (mut of_ours, mut of_bare) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let start = cpu(UsageWho::RUSAGE_SELF);
        poll(&house).await;
        let between = cpu(UsageWho::RUSAGE_SELF);
        bare(&pinned).await;
        of_ours += between - start;
        of_bare += cpu(UsageWho::RUSAGE_SELF) - between;
    }
    (of_ours, of_bare)
}

async fn poll(house: &Arc<House>) {
    let (tell, mut told) = unbounded_channel();
    let request = Request::Poll { devices: Vec::new(), ask: Ask::default() };
    control::execute(house, request, &tell).await.expect("a poll");
    drop(tell);
    let mut polled = 0;
    while let Some(reply) = told.recv().await {
        if let Reply::Polled(one) = reply {
            assert_eq!(one.failure, None, "{}", one.device);
            polled += 1;
        }
    }
    assert_eq!(polled, DEVICES);
}

async fn bare(pinned: &[(Row, Sha256)]) {
    let mut waiting = pinned.iter().cloned();
    let mut running = JoinSet::new();
    loop {
        while running.len() < CONCURRENCY
            && let Some((row, pin)) = waiting.next()
        {
            running.spawn(dialogue(row, pin));
        }
        match running.join_next().await {
            None => return,
            Some(done) => done.expect("a dialogue").expect("an answer"),
        }
    }
}

/// What a poll asks one device.
async fn dialogue(row: Row, pin: Sha256) -> reqwest::Result<()> {
    let (config, _) = tls::client(Trust::Pin(pin)).expect("a TLS configuration");
    let client = reqwest::Client::builder().tls_backend_preconfigured(config).http1_only().no_proxy().build()?;
    let ask = async |path: &str, accept: &str| {
        let url = format!("https://{}{path}", row.authority);
        let answer = client.get(url).basic_auth(&row.user, Some(&row.password)).header(ACCEPT, accept).send().await?;
        let served = answer.status().is_success();
        answer.bytes().await?;
        reqwest::Result::Ok(served)
    };
    let yang = "application/yang-data+json";
    if ask(STATE, yang).await? {
        for leaf in LEAVES {
            ask(leaf, yang).await?;
        }
    }
    ask(LIST, "application/json").await?;
    Ok(())
}
