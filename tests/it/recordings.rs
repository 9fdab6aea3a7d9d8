//! Recordings of devices: made from the lab, scrubbed, and played to the same readers; a golden state for each.
//!
//! A device bug arrives as one more file in `tests/data/recordings`. `UPDATE_GOLDEN=1` writes its golden file.

use std::path::PathBuf;

use lab::account::Account;
use lab::spec::Faces;
use lab::{Spec, specs};
use serde_json::json;
use slp_collector::device::budget::Budget;
use slp_collector::device::netconf::Netconf;
use slp_collector::device::netconf::framing::{self, Framing};
use slp_collector::device::netconf::ios_xe::IosXe;
use slp_collector::device::netconf::ios_xr::IosXr;
use slp_collector::device::nxapi::NxApi;
use slp_collector::device::restconf::Restconf;
use slp_collector::device::smartlic::Smartlic;
use slp_collector::device::tape::{Over, Tape};
use slp_collector::device::{Cli, CliTerms, Dialect, Error, Identity, Limits, Login, Overrides, Session, Target};
use slp_collector::domain::event::Learned;
use slp_collector::domain::settings::{Access, Os, Word};
use slp_collector::domain::state::{DeviceState, ListedReport};
use slp_collector::flow::record::Recording;
use slp_collector::tls::Trust;
use tokio::io::AsyncWriteExt;

use crate::support::site::{LIMITS, Site};
use crate::support::{data, golden};

type Told = Result<(Option<Identity>, DeviceState, Vec<ListedReport>), Error>;

async fn told(mut session: impl Session) -> Told {
    let (identity, state) = session.state().await?;
    Ok((identity, state, session.list().await?))
}

/// Plays a recording to the session that it was made by.
async fn played(recording: &Recording) -> Told {
    let os = recording.head.os.as_deref().and_then(|os| Os::of_word(os).ok()).unwrap();
    let (budget, limits) = (Budget::new(8 << 20), Limits::default());
    let login = Login { username: String::new(), password: String::new() };
    let target = Target { authority: "127.0.0.1:1".to_owned(), trust: Trust::Learn, login, limits };
    // What another access was asked in vain before plays no part.
    let over = match recording.head.access.unwrap() {
        Access::Ssh => Over::Cli,
        Access::Netconf => Over::Netconf,
        _ => Over::Http,
    };
    let exchanges: Vec<_> = recording.exchanges.iter().filter(|exchange| exchange.over == over).cloned().collect();
    let tape = Tape::playing(exchanges.clone());
    let terms = || CliTerms {
        dialect: Dialect::of(os, Overrides::new()),
        zone: None,
        limits,
        budget: budget.clone(),
        enable: None,
        written: Vec::new(),
        learned: Learned::default(),
        tape: tape.clone(),
    };
    match recording.head.access.unwrap() {
        Access::Ssh => told(Cli::played(terms())).await,
        Access::NxApi => told(Cli::over_nxapi(NxApi::new(target, budget.clone()).taped(&tape), None, terms())).await,
        Access::Rest => told(Smartlic::new(target, budget).taped(&tape)).await,
        Access::Restconf => {
            let (identity, state) = Restconf::new(target, budget).taped(&tape).state().await?;
            Ok((identity, state, Vec::new()))
        }
        Access::Netconf => {
            // Ids count up from one on both sides: the answers can lie ready before they are asked for.
            let (ours, mut theirs) = tokio::io::duplex(8 << 20);
            for (at, exchange) in exchanges.iter().enumerate() {
                let framing = if at == 0 { Framing::EndOfMessage } else { Framing::Chunked };
                theirs.write_all(&framing::encode(framing, exchange.got.as_bytes()).unwrap()).await.unwrap();
            }
            let netconf = Netconf::open(ours, "a recording", limits, budget).await?;
            let (identity, state) = match os {
                Os::IosXr => IosXr::new(netconf).state().await?,
                Os::IosXe | Os::NxOs => IosXe::new(netconf).state().await?,
            };
            Ok((identity, state, Vec::new()))
        }
        Access::Auto | Access::ByHand => panic!("nothing is recorded by that"),
    }
}

/// What was told, as a document.
fn document(told: Told) -> String {
    let document = match told {
        Err(error) => json!({ "error": error.to_string() }),
        Ok((identity, state, listed)) => json!({
            "identity": identity.map(|identity| json!({
                "udi": identity.udi, "uuid": identity.uuid, "members": identity.members, "os": identity.os,
                "software": identity.software, "hostname": identity.hostname,
            })),
            "state": state,
            "listed": listed,
        }),
    };
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

fn folder() -> PathBuf {
    data("recordings")
}

#[tokio::test]
async fn every_recording_reads_as_its_golden_file() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "jsonl"));
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let recording = Recording::read(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy();
        golden(&format!("recordings/{name}.json"), &document(played(&recording).await));
    }
}

const SMART: &str = "Invented Holding";
const VIRTUAL: &str = "Branch Nowhere";
const PASSWORD: &str = "a-password-of-nobody-7";

fn spec(spec: Spec, faces: Faces) -> Spec {
    let account = Account::new(SMART, "nowhere.example", VIRTUAL);
    Spec { faces, account: Some(account), user: "collector-login".to_owned(), password: PASSWORD.to_owned(), ..spec }
}

fn cases() -> Vec<(Spec, &'static str)> {
    let name = "edge-of-nowhere-1";
    vec![
        (spec(specs::switch(name), Faces::ssh_and_scp()), "ssh"),
        (spec(specs::xr(name), Faces::ssh_and_scp()), "ssh"),
        (spec(specs::nexus(name), Faces::ssh_and_scp()), "ssh"),
        (spec(specs::nexus(name), Faces { nxapi: true, ..Faces::none() }), "nx-api"),
        (spec(specs::switch(name), Faces::rest()), "rest"),
        (spec(specs::switch(name), Faces { netconf: true, ..Faces::ssh_and_scp() }), "netconf"),
        (spec(specs::switch(name), Faces { restconf: true, ..Faces::ssh_and_scp() }), "restconf"),
    ]
}

#[test]
fn a_recording_tells_nobody_and_plays_what_the_device_said() {
    for (spec, access) in cases() {
        let site = Site::entered(vec![spec.clone()], LIMITS, |_| "observe", |_| access);
        let file = site.path("it.jsonl");
        let args = ["device", "record", &spec.name, "--out", file.to_str().unwrap()];
        site.run(args).exits(0);
        let text = std::fs::read_to_string(&file).unwrap();
        let mut private = vec![SMART, VIRTUAL, PASSWORD, "edge-of-nowhere", "collector-login", "127.0.0.1", "Basic "];
        private.extend(spec.members.iter().map(|member| member.udi.sn.as_str()));
        for word in private {
            assert!(!text.contains(word), "{access}: {word} in\n{text}");
        }
        let recording = Recording::read(&text).unwrap();
        assert_eq!(recording.head.model.as_deref(), Some(spec.udi().pid.as_str()));
        assert_eq!(recording.head.access.map(Access::word), Some(access));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (identity, state, _) = runtime.block_on(played(&recording)).unwrap();
        let identity = identity.unwrap_or_else(|| panic!("{access}: nobody"));
        assert_eq!((&*identity.udi.pid, identity.udi.sn.len()), (&*spec.udi().pid, spec.udi().sn.len()), "{access}");
        assert_ne!(*identity.udi.sn, *spec.udi().sn);
        assert!(!state.licenses.is_empty(), "{access}");
        // It is never written over.
        site.run(args).exits(1);
        assert!(site.ledger().fleet().devices.values().all(|known| known.writes.is_empty()));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let kept = folder().join(recording.file_name().replace(".jsonl", &format!("-{access}.jsonl")));
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(kept, &text).unwrap();
        }
    }
}

#[test]
fn a_session_that_fails_is_recorded_as_far_as_it_came() {
    let spec = spec(specs::switch("edge-of-nowhere-1"), Faces::rest());
    let site = Site::entered(vec![spec], LIMITS, |_| "observe", |_| "rest");
    site.device("edge-of-nowhere-1")
        .set_fault_on(lab::Fault::TruncatedJson, lab::Scope::path("/smartlic-service/list"));
    let ran = site.run(["device", "record", "edge-of-nowhere-1"]).exits(1);
    let recording = Recording::read(&std::fs::read_to_string(site.path(ran.out.trim())).unwrap()).unwrap();
    assert!(recording.head.failure.is_some() && !recording.exchanges.is_empty());
}
