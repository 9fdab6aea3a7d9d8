//! Cisco's cloud API: the loop through it, every fault told by its own cause and mended, and no secret anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use lab::account::Account;
use lab::cssm::{Cssm, Step, Trouble};
use lab::specs;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use slp_collector::domain::event::Progress;
use slp_collector::domain::plan;
use slp_collector::domain::violation::{Kind, find};
use slp_collector::flow::check;
use slp_collector::flow::submit::{self, Passed};
use slp_collector::flow::{Clock, House, deliver};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site, files};

pub const SECRET: &str = "hunter2-client+secret/&";

struct World {
    site: Site,
    cssm: Cssm,
    runtime: Runtime,
    /// How far the collector's clock is ahead.
    ahead: Arc<AtomicI64>,
}

impl World {
    /// Devices of one account, their reports collected and owed.
    fn new(names: &[&str]) -> World {
        World::with(names, "")
    }

    fn with(names: &[&str], more: &str) -> World {
        let specs = names.iter().map(|name| specs::switch(name)).collect();
        let site = Site::with(specs, &format!("{LIMITS}spread = \"0s\"\n"), |_| "deliver");
        let mut toml = fs::read_to_string(site.config_file()).unwrap();
        toml += "\n[defaults]\nsmart_account = \"example.com\"\nvirtual_account = \"Branch\"\n";
        fs::write(site.config_file(), toml).unwrap();
        let mut account = Account::new("Example Ltd", "example.com", "Branch");
        (account.smart_id, account.virtual_id) = ("11".to_owned(), "22".to_owned());
        let (cssm, runtime) = started(&site, vec![account], &["example.com"], more);
        site.advance(3600);
        site.run(["poll", "--all", "--close"]).exits(0);
        World { site, cssm, runtime, ahead: Arc::default() }
    }

    /// The collector after a start.
    fn house(&self) -> Arc<House> {
        let ahead = self.ahead.clone();
        let now = move || Timestamp::now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst));
        Arc::new(House::new(self.site.config(), self.site.ledger(), Clock::of(now)))
    }

    fn later(&self, time: SignedDuration) {
        self.ahead.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    /// What the daemon would do now.
    fn pass(&self, house: &Arc<House>) -> Passed {
        self.runtime.block_on(submit::pass(house, "cisco", false)).unwrap()
    }
}

/// The lab's CSSM with these accounts, and the configuration by which the site submits to it as `cisco`; `more` are lines of
/// its own. It lives as long as the runtime.
pub fn started(site: &Site, accounts: Vec<Account>, routes: &[&str], more: &str) -> (Cssm, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clock = site.fleet.clock().clone();
    let cssm = runtime.block_on(Cssm::start(clock, ("slp-client", SECRET), accounts)).unwrap();
    let mut toml = fs::read_to_string(site.config_file()).unwrap();
    toml += &format!(
        "\n[credentials.client]\nusername = \"slp-client\"\npassword_file = \"client.secret\"\n\
         [credentials.proxy]\nusername = \"slp-proxy\"\npassword_file = \"proxy.secret\"\n\
         [upstreams.cisco]\ntype = \"cssm\"\nurl = \"{}\"\ntoken_url = \"{}\"\npin = \"{}\"\ncredential = \"client\"\n\
         accounts = {routes:?}\nsubmit = true\n{more}\n",
        cssm.url(),
        cssm.token_url(),
        cssm.pin()
    );
    fs::write(site.config_file(), toml).unwrap();
    for (name, secret) in [("client.secret", SECRET), ("proxy.secret", "hunter2-proxy")] {
        fs::write(site.path(name), secret).unwrap();
    }
    (cssm, runtime)
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Does the plan want something of the upstream now?
fn wants(house: &House) -> bool {
    let (fleet, pacing, now) = (house.ledger.fleet(), house.pacing(), house.clock.now());
    !plan::plan(&fleet, &house.watched, &house.settings, &pacing, None, None, now).upstreams.is_empty()
}

fn progress(house: &House) -> Vec<Progress> {
    let fleet = house.ledger.fleet();
    let mut all: Vec<_> = fleet.submissions.values().collect();
    all.sort_by_key(|one| (one.at, one.moved));
    all.iter().filter_map(|one| one.progress.clone()).collect()
}

fn outcomes(passed: &Passed) -> Vec<&str> {
    passed.submissions.iter().map(|line| line.outcome.as_str()).collect()
}

/// Is this text in no file of the collector but the one that holds it?
#[track_caller]
pub fn nowhere(site: &Site, secrets: &[&str], log: &str) {
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
        for file in files(&site.path("state")) {
            let bytes = fs::read(&file).unwrap();
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "{secret} in {}",
                file.display()
            );
        }
    }
}

/// What a device signed, as text.
#[derive(Clone, Copy, Deserialize)]
pub struct Signed<'a> {
    #[serde(borrow)]
    pub payload: &'a RawValue,
    #[serde(borrow)]
    pub signature: &'a RawValue,
}

#[test]
fn reports_go_up_as_they_were_signed_and_acknowledgements_come_home() {
    let world = World::new(&["edge-1", "edge-2", "edge-3"]);
    world.cssm.set_interval(1);
    let bodies: Vec<String> =
        ["edge-1", "edge-2", "edge-3"].iter().flat_map(|name| world.site.bodies(name).into_values()).collect();
    let mut daemon = Daemon::start(&world.site, None);
    for _ in 0..3 {
        let line = daemon.logs("answer delivered");
        assert!(line.contains("ConfirmedById"), "{line}");
    }
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    nowhere(&world.site, &[SECRET, "lab-token", "hunter2"], &log);

    let asked = world.cssm.asked();
    let uploads: Vec<_> = asked.iter().filter(|asked| asked.step == Step::Report).collect();
    assert_eq!(uploads.len(), 1, "one account, one request");
    let body = std::str::from_utf8(&uploads[0].body).unwrap();
    assert!(bodies.len() >= 6);
    for own in &bodies {
        let signed: Signed<'_> = serde_json::from_str(own).unwrap();
        let as_signed = format!("{{\"payload\":{},\"signature\":{}}}", signed.payload, signed.signature);
        assert!(body.contains(&as_signed), "not byte for byte: {as_signed}");
    }
    let header = |name: &str| uploads[0].headers.get(name).map(String::as_str);
    assert_eq!((header("x-csw-smart-account-id"), header("x-csw-virtual-account-id")), (Some("11"), Some("22")));
    assert!(!uploads[0].headers.values().any(|value| value.contains("edge-")), "no host name goes out");
    let upload: Value = serde_json::from_str(body).unwrap();
    assert_eq!(upload["data"]["nonce"].as_str().unwrap().len(), 16);
    assert_eq!(upload["data"]["reports"].as_array().unwrap().len(), 3);
    // Its number has more digits than a float keeps.
    let poll = asked.iter().find(|asked| asked.step == Step::Poll).unwrap();
    assert!(String::from_utf8_lossy(&poll.body).contains("\"poll_id\":773126444402795033"));
    assert_eq!(world.cssm.count(Step::Token), 1, "the token is kept");

    assert!(world.site.status().iter().all(|row| row["reports_waiting"] == 0), "{:?}", world.site.status());
    let listed: Value = world.site.run(["upstream", "list", "--format", "json"]).exits(0).json();
    assert_eq!((&listed[0]["waiting"], &listed[0]["trouble"]), (&0.into(), &Value::Null));
    let reports: Value = world.site.run(["report", "list", "--all", "--format", "json"]).exits(0).json();
    let id = reports[0]["report_id"].to_string();
    let shown = world.site.run(["report", "show", &id]).exits(0).out;
    for step in ["offered to upstream cisco as sub-", "accepted under 773126444402795033", "answer received: ACK_sub-"]
    {
        assert!(shown.contains(step), "{step} in {shown}");
    }
    world.site.run(["ledger", "verify"]).exits(0);
}

#[test]
fn a_restart_between_offer_and_answer_loses_nothing_and_counts_as_handed_over() {
    let world = World::new(&["edge-1", "edge-2"]);
    let dry = world.site.run(["upstream", "submit", "cisco", "--dry-run"]).exits(0);
    assert!(dry.out.contains("would be submitted") && world.cssm.asked().is_empty(), "{dry:?}");
    let house = world.house();
    assert!(wants(&house));
    let passed = world.pass(&house);
    assert_eq!((passed.submissions.len(), passed.failure.as_deref()), (1, None), "{passed:?}");
    let line = &passed.submissions[0];
    assert_eq!((line.instances, line.reports), (2, 4), "{line:?}");
    assert!(!wants(&house), "nothing is offered twice, and no answer asked for before its time");
    drop(house);

    let house = world.house();
    assert!(!wants(&house));
    let handed_over = house.ledger.fleet().instances.values().filter_map(|one| one.last_handed_over).count();
    assert_eq!(handed_over, 2);
    // Nobody answers for two weeks.
    world.later(SignedDuration::from_hours(24 * 15));
    let told = find::find(&house.ledger.fleet(), &house.watched, &house.settings, house.clock.now());
    let missing = told.iter().filter(|found| found.kind == Kind::AckMissing).count();
    assert_eq!(missing, 2, "{told:?}");
    assert!(wants(&house));
    let passed = world.pass(&house);
    assert_eq!((outcomes(&passed), &passed.left_out[..]), (vec!["answered"], &[][..]), "{passed:?}");
    let objects: Vec<_> = house.ledger.fleet().answers.keys().cloned().collect();
    assert_eq!(objects.len(), 2);
    for object in objects {
        let delivered = world.runtime.block_on(deliver::deliver(&house, &object)).unwrap();
        assert!(format!("{:?}", delivered.outcome).starts_with("Confirmed"), "{delivered:?}");
    }
    assert!(!wants(&house));
    assert!(house.ledger.fleet().instances.values().all(|one| one.waiting().next().is_none()));
}

#[test]
fn each_fault_is_told_by_its_own_cause_and_mends_by_itself() {
    let world = World::new(&["edge-1"]);
    let house = world.house();
    let faults = [
        (Step::Token, Trouble::Status(429), "get a token: cssm https://127.0.0.1:", "HTTP 429"),
        (Step::Token, Trouble::Status(500), "cannot do it now", "HTTP 500"),
        (Step::Token, Trouble::LoginPage, "expected JSON, got", "Log in"),
        (Step::Token, Trouble::Cut, "its answer broke off", "proxy"),
        (Step::Accounts, Trouble::Status(429), "search accounts: ", "ever more rarely"),
        (Step::Accounts, Trouble::Status(403), "refused it (HTTP 403", "granted"),
        (Step::Accounts, Trouble::LoginPage, "search accounts", "login page"),
        (Step::Accounts, Trouble::Cut, "search accounts", "broke off"),
        (Step::Report, Trouble::Status(404), "report usage", "two paths"),
        (Step::Report, Trouble::Status(429), "report usage", "HTTP 429"),
    ];
    for (step, trouble, said, also) in faults {
        world.cssm.trouble(step, trouble.clone(), 1);
        let passed = world.pass(&house);
        let failure = passed.failure.unwrap_or_else(|| panic!("{step:?} {trouble:?} is not told"));
        assert!(failure.contains(said) && failure.contains(also), "{step:?} {trouble:?}: {failure}");
        assert!(failure.chars().count() < 600, "{failure}");
        let asked = world.cssm.asked().len();
        assert!(!wants(&house), "{step:?} {trouble:?}: it is asked again at once");
        world.pass(&house);
        assert_eq!(world.cssm.asked().len(), asked);
        world.later(HOUR * 24);
        assert!(wants(&house), "{step:?} {trouble:?}: it is never asked again");
    }
    assert_eq!(world.cssm.troubles_left(), 0);
    let passed = world.pass(&house);
    assert!(outcomes(&passed)[0].starts_with("accepted under"), "{passed:?}");
    // Each trouble of asking for the answer, with the reports there.
    for (trouble, said) in [
        (Trouble::Status(500), "HTTP 500"),
        (Trouble::Cut, "broke off"),
        (Trouble::LoginPage, "expected JSON"),
        (Trouble::Status(429), "HTTP 429"),
    ] {
        world.cssm.trouble(Step::Poll, trouble, 1);
        world.later(HOUR * 24);
        let failure = world.pass(&house).failure.unwrap();
        assert!(failure.contains("ask for acknowledgements") && failure.contains(said), "{failure}");
    }
    world.cssm.trouble(Step::Poll, Trouble::Working, 2);
    for _ in 0..2 {
        world.later(HOUR * 24);
        assert_eq!(outcomes(&world.pass(&house)), ["its answer is not ready"]);
        assert!(!wants(&house), "it said when to ask again");
        world.later(SignedDuration::from_secs(61));
        assert!(wants(&house));
    }
    assert_eq!(outcomes(&world.pass(&house)), ["answered"]);
    assert_eq!(world.cssm.count(Step::Report), 3);
}

#[test]
fn a_refused_secret_is_never_tried_again_until_it_is_released() {
    let world = World::new(&["edge-1"]);
    world.cssm.set_secret("another");
    let house = world.house();
    let failure = world.pass(&house).failure.unwrap();
    assert!(failure.contains("refused credential 'client' (HTTP 401: invalid_client)"), "{failure}");
    assert!(!failure.contains("hunter2"), "{failure}");
    world.later(HOUR * 48);
    assert!(!wants(&house));
    let failure = world.pass(&house).failure.unwrap();
    assert!(failure.contains("`credential release client`"), "{failure}");
    drop(house);
    let refused = world.site.run(["upstream", "submit", "cisco"]).exits(1);
    assert!(refused.err.contains("credential release client"), "{refused:?}");
    assert_eq!(world.cssm.count(Step::Token), 1, "it was tried again");
    let listed: Value = world.site.run(["credential", "list", "--format", "json"]).exits(0).json();
    let client = listed.as_array().unwrap().iter().find(|one| one["credential"] == "client").unwrap();
    assert_eq!((&client["held"], &client["refused_by_upstreams"][0]), (&true.into(), &"cisco".into()));
    nowhere(&world.site, &["hunter2"], &refused.err);

    world.cssm.set_secret(SECRET);
    world.site.run(["credential", "release", "client", "--note", "put right"]).exits(0);
    let submitted = world.site.run(["upstream", "submit", "cisco"]).exits(0);
    assert!(submitted.out.contains("accepted under"), "{submitted:?}");
}

#[test]
fn a_token_that_ends_in_between_is_asked_for_once_more() {
    let world = World::new(&["edge-1"]);
    world.cssm.trouble(Step::Report, Trouble::TokenExpired, 1);
    let house = world.house();
    let passed = world.pass(&house);
    assert!(passed.failure.is_none() && outcomes(&passed)[0].starts_with("accepted"), "{passed:?}");
    assert_eq!((world.cssm.count(Step::Token), world.cssm.count(Step::Report)), (2, 2));
    // One that is never good is not asked for again and again.
    world.cssm.trouble(Step::Poll, Trouble::TokenExpired, 2);
    world.later(HOUR);
    let failure = world.pass(&house).failure.unwrap();
    assert!(failure.contains("refused it (HTTP 401"), "{failure}");
    assert_eq!((world.cssm.count(Step::Token), world.cssm.count(Step::Poll)), (3, 2));
}

#[test]
fn a_lost_answer_is_understood_when_the_second_offer_is_a_duplicate() {
    let world = World::new(&["edge-1", "edge-2"]);
    world.cssm.trouble(Step::Report, Trouble::Lost, 1);
    let house = world.house();
    assert!(world.pass(&house).failure.unwrap().contains("report usage"));
    assert!(matches!(&progress(&house)[..], [Progress::Failed { again: true, unanswered: true, .. }]));
    world.later(HOUR * 25);
    let passed = world.pass(&house);
    assert_eq!(passed.submissions.len(), 1, "{passed:?}");
    assert!(outcomes(&passed)[0].contains("fetch it at the portal, then `ack import`"), "{passed:?}");
    assert!(matches!(&progress(&house)[1..], [Progress::Duplicate { .. }]));
    world.later(HOUR * 24 * 15);
    assert!(!wants(&house), "it is there: no third offer");
    let told = find::find(&house.ledger.fleet(), &house.watched, &house.settings, house.clock.now());
    let missing: Vec<_> = told.iter().filter(|found| found.kind == Kind::AckMissing).collect();
    assert!(missing.len() == 2 && missing[0].explanation.contains("fetch it at the portal"), "{missing:?}");
    drop(house);
    let listed: Value = world.site.run(["upstream", "list", "--format", "json"]).exits(0).json();
    assert!(listed[0]["trouble"].as_str().unwrap().contains("had these reports before"), "{listed}");
}

#[test]
fn one_duplicate_and_one_bad_report_keep_no_other_back() {
    let world = World::new(&["edge-1", "edge-2", "edge-3"]);
    // Somebody brought those of one device before, by hand.
    let bodies = world.site.bodies("edge-2");
    let file: String = bodies.values().map(|own| format!("<RUMReport><![CDATA[{own}]]></RUMReport>")).collect();
    let file = format!("<smartLicense>{file}</smartLicense>");
    world.cssm.portal(|portal| portal.upload(0, "x.txt", file.as_bytes()).unwrap());
    let house = world.house();
    let passed = world.pass(&house);
    assert!(passed.failure.is_none(), "{passed:?}");
    let fleet = house.ledger.fleet();
    let mut accepted = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for submission in fleet.submissions.values() {
        let reports = submission.facts.reports.iter().map(|one| (one.udi.sn.to_string(), one.report_id.0));
        match &submission.progress {
            Some(Progress::Accepted { .. }) => accepted.extend(reports),
            Some(Progress::Duplicate { .. }) => {
                assert_eq!(submission.facts.reports.len(), 1);
                duplicates.extend(reports);
            }
            _ => {}
        }
    }
    let sn = world.site.device("edge-2").spec().udi().sn.clone();
    assert_eq!(duplicates, bodies.into_keys().map(|id| (sn.clone(), id)).collect());
    assert_eq!(accepted.len(), 4);
    drop(fleet);

    // And one that Cisco will not have for another reason.
    let world = World::new(&["edge-4"]);
    world.cssm.trouble(Step::Report, Trouble::Failed("signature does not hold"), 2);
    let house = world.house();
    let passed = world.pass(&house);
    let told = outcomes(&passed);
    assert!(told.contains(&"failed for good: signature does not hold / LAB"), "{told:?}");
    assert!(told.iter().any(|outcome| outcome.starts_with("accepted")), "{told:?}");
    world.later(HOUR * 24);
    world.pass(&house);
    assert_eq!(world.cssm.count(Step::Report), 3, "what failed for good is offered again by a person only");
    drop(house);
    let submitted = world.site.run(["upstream", "submit", "cisco"]).exits(0);
    assert!(submitted.out.contains("accepted under"), "{submitted:?}");
}

#[test]
fn what_is_too_large_goes_in_halves() {
    let world = World::new(&["edge-1", "edge-2"]);
    world.cssm.trouble(Step::Report, Trouble::Status(413), 1);
    let passed = world.pass(&world.house());
    assert_eq!(passed.submissions.iter().filter(|line| line.outcome.starts_with("accepted")).count(), 2, "{passed:?}");
}

#[test]
fn an_answer_with_an_error_or_for_some_only_is_told_and_pursued() {
    let world = World::new(&["edge-1", "edge-2"]);
    let house = world.house();
    let udi = world.site.device("edge-2").spec().udi().clone();
    world.cssm.trouble(Step::Report, Trouble::Without(udi.clone()), 1);
    world.pass(&house);
    world.later(HOUR);
    let passed = world.pass(&house);
    let told = outcomes(&passed)[0];
    assert!(told.starts_with("answered, but not for 2 of 4 reports") && told.contains(&udi.sn), "{told}");
    assert!(!wants(&house));
    world.later(HOUR * 2);
    let passed = world.pass(&house);
    assert!(passed.submissions.iter().any(|line| line.outcome.contains("had these reports before")), "{passed:?}");
    assert!(!wants(&house));

    let world = World::new(&["edge-3"]);
    let house = world.house();
    world.pass(&house);
    world.cssm.trouble(Step::Poll, Trouble::Message("E-17", "the account is locked\u{1b}[2J"), 1);
    world.later(HOUR);
    let passed = world.pass(&house);
    assert!(outcomes(&passed)[0].contains("the account is locked") && outcomes(&passed)[0].contains("E-17"));
    assert!(!outcomes(&passed)[0].contains('\u{1b}'));
    world.later(HOUR * 2);
    assert!(outcomes(&world.pass(&house))[0].contains("had these reports before"));
}

/// A submission whose answer the server has forgotten must not keep the others from going up and coming home.
#[test]
fn one_answer_that_cannot_be_had_keeps_nothing_else_back() {
    let world = World::new(&["edge-1", "edge-2"]);
    let house = world.house();
    // In two submissions.
    world.cssm.trouble(Step::Report, Trouble::Status(413), 1);
    world.pass(&house);
    world.cssm.trouble(Step::Poll, Trouble::Status(404), 1);
    world.later(HOUR);
    let answered = || progress(&house).into_iter().filter(|one| *one == Progress::Answered).count();
    let passed = world.pass(&house);
    assert!(passed.left_out.iter().any(|line| line.contains("the answer to sub-")), "{passed:?}");
    assert!(passed.failure.as_ref().is_some_and(|failure| failure.contains("404")), "{passed:?}");
    assert_eq!(answered(), 1, "{passed:?}");
    world.later(HOUR * 2);
    let passed = world.pass(&house);
    assert_eq!((answered(), passed.failure.as_ref()), (2, None), "{passed:?}");
}

#[test]
fn an_account_that_the_client_does_not_see_is_told_and_not_asked_for_daily() {
    let world = World::new(&["edge-1"]);
    let toml = fs::read_to_string(world.site.config_file()).unwrap();
    fs::write(world.site.config_file(), toml.replace("virtual_account = \"Branch\"", "virtual_account = \"Lab\""))
        .unwrap();
    let house = world.house();
    let passed = world.pass(&house);
    assert!(passed.left_out[0].contains("no Virtual Account 'Lab' in 'example.com'"), "{passed:?}");
    assert!(!wants(&house) && world.cssm.count(Step::Report) == 0);
}

#[test]
fn silence_is_bounded_and_other_certificates_are_not_trusted() {
    let world = World::with(&["edge-1"], "timeout = \"1s\"");
    world.cssm.trouble(Step::Token, Trouble::Silent, 1);
    let failure = world.pass(&world.house()).failure.unwrap();
    assert!(failure.contains("took longer than 1s"), "{failure}");
    let toml = fs::read_to_string(world.site.config_file()).unwrap();
    fs::write(world.site.config_file(), toml.replace(&world.cssm.pin(), &"ab".repeat(32))).unwrap();
    let failure = world.pass(&world.house()).failure.unwrap();
    assert!(failure.contains("is not trusted: its certificate has the SHA-256"), "{failure}");
    let probed = world.site.run(["check-config", "--probe"]).exits(1);
    assert!(probed.out.contains("upstream cisco: failed: get a token"), "{probed:?}");
}

#[test]
fn what_cisco_knows_is_read_page_by_page() {
    let world = World::with(&["edge-1"], "");
    for number in 0..230 {
        let udi = lab::udi::Udi::new("C9300-48U", format!("LABX{number:04}"));
        world.cssm.know(&udi, if number % 2 == 0 { "Branch" } else { "Elsewhere" }, "2026-07-11T14:33:41Z");
    }
    let house = world.house();
    let checked = world.runtime.block_on(check::check(&house, "cisco")).unwrap();
    assert_eq!((checked.failure.as_deref(), checked.devices, &checked.problems[..]), (None, 115, &[][..]));
    assert_eq!((checked.counts.only_there, checked.differences.len()), (115, 115));
    assert_eq!((checked.certificates.len(), &checked.version, checked.advisories.len()), (1, &None, 0));
    let object = house.ledger.fleet().upstreams["cisco"].facts.object;
    let said: Value = serde_json::from_slice(&house.ledger.object(&object).unwrap().unwrap()).unwrap();
    let first = &said["devices"][0];
    assert_eq!((&first["udi"]["sn"], &first["host"]), (&Value::from("LABX0000"), &Value::Null));
    assert_eq!(first["account"]["virtual_account"], "Branch");
    assert_eq!(first["last_contact"], "2026-07-11T14:33:41Z");
    assert_eq!(world.cssm.count(Step::Devices), 2);
    drop(house);
    let probed = world.site.run(["check-config", "--probe"]).exits(0);
    assert!(probed.out.contains("upstream cisco: works") && probed.out.contains("example.com is there"), "{probed:?}");
}

/// An HTTP proxy that wants this login, for one connection after the other.
async fn proxy(login: &'static str) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut first, mut welcome) = (String::new(), false);
                stream.read_line(&mut first).await.ok()?;
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.ok().filter(|read| *read > 2)?;
                    welcome |= line.to_ascii_lowercase().starts_with("proxy-authorization: basic ")
                        && line.trim_end().ends_with(login);
                    if stream.buffer().starts_with(b"\r\n") {
                        stream.read_line(&mut String::new()).await.ok()?;
                        break;
                    }
                }
                if !welcome {
                    stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.ok()?;
                    return stream.shutdown().await.ok();
                }
                let target = first.strip_prefix("CONNECT ")?.split(' ').next()?;
                let mut there = TcpStream::connect(target).await.ok()?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut there).await.ok();
                Some(())
            });
        }
    });
    (port, serving)
}

#[test]
fn a_proxy_is_passed_with_its_own_login_which_is_held_when_it_is_refused() {
    // "slp-proxy:hunter2-proxy"
    let world = World::new(&["edge-1"]);
    let (port, _serving) = world.runtime.block_on(proxy("c2xwLXByb3h5Omh1bnRlcjItcHJveHk="));
    let mut toml = fs::read_to_string(world.site.config_file()).unwrap();
    toml += &format!("proxy = \"http://127.0.0.1:{port}\"\nproxy_credential = \"proxy\"\n");
    fs::write(world.site.config_file(), toml).unwrap();
    fs::write(world.site.path("proxy.secret"), "hunter2-wrong").unwrap();
    let house = world.house();
    let failure = world.pass(&house).failure.unwrap();
    assert!(failure.contains("refused credential 'proxy'") && !failure.contains("hunter2"), "{failure}");
    world.later(HOUR * 48);
    assert!(!wants(&house) && world.cssm.asked().is_empty());
    drop(house);
    fs::write(world.site.path("proxy.secret"), "hunter2-proxy").unwrap();
    world.site.run(["credential", "release", "proxy"]).exits(0);
    let submitted = world.site.run(["upstream", "submit", "cisco"]).exits(0);
    assert!(submitted.out.contains("accepted under"), "{submitted:?}");
}

#[test]
fn what_cisco_counts_in_use_is_shown_beside_what_the_devices_count() {
    let world = World::new(&["edge-1", "edge-2"]);
    let house = world.house();
    let own: Vec<_> = {
        let fleet = house.ledger.fleet();
        let states = fleet.instances.values().filter_map(|instance| instance.state.as_ref());
        states.flat_map(|state| state.licenses.clone()).collect()
    };
    let tag = own[0].entitlement_tag.as_ref().unwrap();
    let here: u64 =
        own.iter().filter(|one| one.entitlement_tag.as_ref() == Some(tag)).filter_map(|one| one.count).sum();
    assert!(here >= 2);
    world.cssm.count_licence(&tag.0, "called otherwise at Cisco", 100, here + 7);
    let checked = world.runtime.block_on(check::check(&house, "cisco")).unwrap();
    assert_eq!((checked.failure.as_deref(), &checked.problems[..]), (None, &[][..]));
    assert_eq!(checked.counts.total(), 0, "another count is no difference");
    let counted = |name: &str| checked.licenses.iter().find(|one| one.there.name == name).unwrap();
    let known = counted("called otherwise at Cisco");
    assert_eq!((known.there.quantity, known.there.in_use), (Some(100), Some(i64::try_from(here).unwrap() + 7)));
    assert_eq!(known.in_use_here, Some(here));
    assert_eq!(known.there.account.virtual_account.as_deref(), Some("Branch"));
    assert_eq!(counted("dna-advantage").there.in_use, Some(3));
    // What it said is kept as it said it, without our count.
    let object = house.ledger.fleet().upstreams["cisco"].facts.object;
    let said: Value = serde_json::from_slice(&house.ledger.object(&object).unwrap().unwrap()).unwrap();
    let kept = said["licenses"].as_array().unwrap();
    assert_eq!((kept.len(), &kept[1]["tag"], &kept[1]["in_use_here"]), (2, &Value::from(&*tag.0), &Value::Null));
    drop(house);
    let shown = world.site.run(["upstream", "check", "cisco"]).exits(0).out;
    let line = format!(
        "called otherwise at Cisco, {} of 100 in use, In Compliance; by the devices' own word {here}",
        here + 7
    );
    assert!(shown.contains(&line), "{line} in {shown}");
}
