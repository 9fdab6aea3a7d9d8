//! License On-Prem, played by the lab: what it says against what is known here, and every way in which it does not say it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use lab::on_prem::{Certificate, Fault, Local, OnPrem, Product, Setup};
use serde_json::{Value, json};
use slp_collector::config::Config;
use slp_collector::domain::advisory::Concern;
use slp_collector::domain::cross_check::{About, Counts};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::{CredentialReleased, Fact, StateRead};
use slp_collector::domain::instance::{Account, Udi};
use slp_collector::domain::state::{DeviceState, Stamp};
use slp_collector::flow::check::{self, Checked, Version};
use slp_collector::flow::{self, Clock, House};

use crate::support::made;
use crate::support::site::{Ran, files, ran};

const SECRET: &str = "hunter2-client+secret/&";
const PASSWORD: &str = "hunter2-user \"ü";

fn now() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}

fn product(number: usize, contact: &str) -> Product {
    Product {
        pid: "C9300-48T".to_owned(),
        serial: format!("FOC{number:08}"),
        host: Some(format!("edge-{number}")),
        contact: Some(contact.to_owned()),
    }
}

/// A server that agrees with [`World::new`] on everything.
fn setup() -> Setup {
    let products = vec![product(1, "2026-11-20T06:00:00Z"), product(2, "2026-11-20T06:00:00Z")];
    Setup {
        client: ("slp".to_owned(), SECRET.to_owned()),
        user: Some(("reader".to_owned(), PASSWORD.to_owned())),
        accounts: vec![Local {
            name: "Local/1 ü".to_owned(),
            smart_account: Some("Example".to_owned()),
            synchronised: Some("2026-11-15T06:00:00Z".to_owned()),
            virtual_accounts: vec![("Branch office".to_owned(), products), ("Default".to_owned(), Vec::new())],
        }],
        page: None,
        version: None,
        certificate: Certificate::Vouched,
    }
}

/// The server, and a collector whose devices 1 and 2 report to it.
struct World {
    server: OnPrem,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    /// How far the collector's clock is ahead, in seconds.
    ahead: Arc<AtomicI64>,
}

impl World {
    fn new(setup: Setup) -> World {
        World::with(setup, "ca_file = \"ca.pem\"\n")
    }

    /// `more` are lines of the upstream; `PIN` in them is the server's certificate.
    fn with(setup: Setup, more: &str) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(OnPrem::start(setup)).unwrap();
        let world = World { server, folder: tempfile::tempdir().unwrap(), runtime, ahead: Arc::default() };
        let more = more.replace("PIN", &Sha256::of(&world.server.certificate).to_string());
        let toml = format!(
            "[collector]\nname = \"north\"\nstate_dir = \"state\"\nsocket = \"control.sock\"\n[http]\nenabled = false\n\
             [defaults]\nreporter = \"on-prem\"\n\
             [credentials.client]\nusername = \"slp\"\npassword_file = \"client.secret\"\n\
             [credentials.user]\nusername = \"reader\"\npassword_file = \"user.secret\"\n\
             [upstreams.ssm]\ntype = \"on-prem\"\nurl = \"https://127.0.0.1:{}/api/v1\"\ntimeout = \"20s\"\n\
             credential = \"client\"\nuser_credential = \"user\"\n{more}",
            world.server.addr.port()
        );
        fs::write(world.path("slp-collector.toml"), toml).unwrap();
        fs::write(
            world.path("devices.csv"),
            "name,address,access\nedge-1,192.0.2.1,by-hand\nedge-2,192.0.2.2,by-hand\n",
        )
        .unwrap();
        fs::write(world.path("ca.pem"), &world.server.authority).unwrap();
        world.write_secret("client.secret", SECRET);
        world.write_secret("user.secret", PASSWORD);
        let ledger = flow::open_ledger(&world.config()).unwrap();
        for number in [1, 2] {
            ledger.append(now(), known(number), Vec::new()).unwrap();
        }
        ledger.close().unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_secret(&self, name: &str, secret: &str) {
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, secret.as_bytes()).unwrap();
    }

    fn config(&self) -> Config {
        Config::load(&self.path("slp-collector.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn house(&self) -> Arc<House> {
        let ahead = self.ahead.clone();
        let clock = move || now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst));
        let config = self.config();
        let ledger = flow::open_ledger(&config).unwrap();
        Arc::new(House::new(config, ledger, Clock::of(clock)))
    }

    fn later(&self, hours: i64) {
        self.ahead.fetch_add(hours * 3600, Ordering::SeqCst);
    }

    fn check(&self, house: &Arc<House>) -> Checked {
        self.runtime.block_on(check::check(house, "ssm")).unwrap()
    }

    fn program(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
        command.arg("--config").arg(self.path("slp-collector.toml")).args(args).current_dir(self.folder.path());
        ran(&mut command)
    }
}

fn known(number: usize) -> Vec<Fact> {
    let udi = Udi::new("C9300-48T", format!("FOC{number:08}"));
    let device = format!("edge-{number}");
    let mut state = DeviceState {
        smart_account: Some("Example".into()),
        virtual_account: Some("Branch office".into()),
        ..DeviceState::default()
    };
    state.usage_reporting.last_ack = Some(Stamp::utc("2026-11-20T06:00:00Z".parse().unwrap()).into());
    let read = StateRead { udi: udi.clone(), state: Box::new(state) };
    vec![made::identified(&device, "", udi), Fact::StateRead(read)]
}

/// So many readings are on record.
fn readings(house: &House) -> usize {
    let mut count = 0;
    let mut take = |event: &slp_collector::domain::event::Event| {
        count += usize::from(matches!(event.fact, Fact::UpstreamRead(_)));
        std::ops::ControlFlow::Continue(())
    };
    house.ledger.events(None, &mut take).unwrap();
    count
}

fn about(checked: &Checked) -> Vec<&About> {
    checked.differences.iter().map(|difference| &difference.about).collect()
}

#[track_caller]
fn failure(checked: &Checked, part: &str) {
    let failure = checked.failure.as_deref().unwrap_or_default();
    assert!(failure.contains(part), "{part:?} in {checked:#?}");
    assert!(!failure.contains("hunter2") && !failure.contains("token-"), "{failure}");
}

#[test]
fn a_server_that_agrees_is_read_whole_and_nothing_is_written_there() {
    let world = World::with(setup(), "ca_file = \"ca.pem\"\nversion = \"8-202206\"\n");
    let house = world.house();
    let checked = world.check(&house);
    assert_eq!(checked.failure, None);
    assert_eq!((checked.devices, checked.counts, &checked.problems[..]), (2, Counts::default(), &[][..]));
    assert_eq!(checked.version, Some(Version { release: "8-202206".to_owned(), told_by_server: false }));
    let affected = checked.advisories.iter().filter(|one| one.concern == Concern::Affected);
    assert_eq!(affected.map(|one| one.cve.as_str()).collect::<Vec<_>>(), ["CVE-2024-20419"]);
    let own = &checked.certificates[0];
    assert_eq!((own.subject.as_str(), own.issuer.as_str()), ("CN=ssm.lab.example", "CN=Lab Authority"));
    assert_eq!((own.until.to_string().as_str(), own.self_issued), ("2049-01-01T00:00:00Z", false));
    assert!(!checked.certificate_ends_soon);
    assert_eq!((checked.licenses[0].there.quantity, checked.licenses[0].in_use_here), (Some(10), None));
    assert_eq!(checked.alerts[0].kind.as_deref(), Some("Synchronization Overdue"));
    let synced = Some("2026-11-15T06:00:00Z".parse().unwrap());
    assert_eq!(checked.synchronised, synced);
    {
        let fleet = house.ledger.fleet();
        assert_eq!(fleet.on_prem.get("ssm").map(|server| server.synced), synced);
        let read = &fleet.upstreams["ssm"];
        assert_eq!((read.read, read.facts.devices), (now(), 2));
        let object = house.ledger.object(&read.facts.object).unwrap().unwrap();
        let object: Value = serde_json::from_slice(&object).unwrap();
        assert_eq!(object["devices"][0]["udi"], json!({ "pid": "C9300-48T", "sn": "FOC00000001" }));
        assert_eq!(object["devices"][0]["account"]["virtual_account"], "Branch office");
    }
    let local = "/api/v1/accounts/Local%2F1%20%C3%BC";
    assert_eq!(
        world.server.requests(),
        [
            "POST /oauth/token".to_owned(),
            "POST /api/v1/upstream_satellites/accounts".to_owned(),
            format!("GET {local}/virtual-accounts"),
            format!("GET {local}/virtual-accounts/Branch%20office/devices"),
            format!("GET {local}/virtual-accounts/Default/devices"),
            format!("POST {local}/licenses"),
            format!("POST {local}/alerts"),
        ]
    );
}

#[test]
fn every_kind_of_difference_is_told_with_the_day_on_which_it_was_found_first() {
    let world = World::new(setup());
    let house = world.house();
    world.server.change(|setup| {
        let inside = &mut setup.accounts[0].virtual_accounts;
        inside[0].1 = vec![product(1, "2026-10-01 06:00:00"), product(3, "2026-11-20T06:00:00Z")];
        inside[0].1[1].pid = "C9300-24T".to_owned();
        inside[0].1.push(Product { pid: "UCM".to_owned(), serial: "X".to_owned(), ..Product::default() });
        let moved = inside[0].1.remove(0);
        inside[1].1.push(moved);
    });
    let checked = world.check(&house);
    let counts = Counts { account: 1, contact: 1, only_here: 1, only_there: 1 };
    assert_eq!((checked.counts, checked.devices), (counts, 3));
    let account = |name: &str| Account { smart_account: Some("Example".into()), virtual_account: Some(name.into()) };
    let at = |text: &str| Some(text.parse().unwrap());
    assert_eq!(
        about(&checked),
        [
            &About::Account { there: account("Default"), here: account("Branch office") },
            &About::Contact { there: at("2026-10-01T06:00:00Z"), here: at("2026-11-20T06:00:00Z") },
            &About::OnlyHere,
            &About::OnlyThere,
        ]
    );
    world.later(30);
    world.server.change(|setup| setup.accounts[0].virtual_accounts[0].1.push(product(2, "2026-11-23")));
    let again = world.check(&house);
    assert_eq!(again.counts, Counts { only_here: 0, ..counts });
    assert!(again.differences.iter().all(|difference| difference.since == now()));
    let found = slp_collector::domain::violation::find::find(
        &house.ledger.fleet(),
        &house.watched,
        &house.settings,
        house.clock.now(),
    );
    let mismatch =
        |finding: &&slp_collector::domain::violation::Finding| finding.explanation.contains("upstream 'ssm'");
    assert_eq!(found.iter().filter(mismatch).count(), 1);
}

#[test]
fn a_reading_without_news_is_put_on_record_once_a_day() {
    let world = World::new(setup());
    let house = world.house();
    assert_eq!(check::next(&house, "ssm"), Some(Timestamp::MIN));
    for (hours, expected) in [(0, 1), (1, 1), (18, 1), (1, 2), (5, 2)] {
        world.later(hours);
        world.check(&house);
        assert_eq!(readings(&house), expected);
        // Contact moves at each reading: that is no news.
        world.server.change(|setup| setup.accounts[0].virtual_accounts[0].1[0].contact = Some("2026-11-21".to_owned()));
    }
    let asked = house.clock.now();
    assert_eq!(check::next(&house, "ssm"), Some(asked + SignedDuration::from_hours(24)));
    world.server.change(|setup| setup.version = Some("9-202406".to_owned()));
    let checked = world.check(&house);
    assert_eq!(checked.version, Some(Version { release: "9-202406".to_owned(), told_by_server: true }));
    assert_eq!(readings(&house), 3);
    // After a restart the record says when it is asked next; one that could not be asked is asked sooner.
    drop(house);
    let house = world.house();
    assert_eq!(check::next(&house, "ssm"), Some(asked + SignedDuration::from_hours(24)));
    world.server.fails("accounts", Fault::Status(500), 9);
    failure(&world.check(&house), "HTTP 500");
    assert_eq!(check::next(&house, "ssm"), Some(asked + SignedDuration::from_hours(1)));
    assert_eq!(check::next(&house, "other"), None);
}

#[test]
fn a_refused_credential_is_never_tried_again_before_a_person_says_so() {
    for (which, file, more) in [("client", "client.secret", ""), ("user", "user.secret", "")] {
        let world = World::with(setup(), &format!("ca_file = \"ca.pem\"\n{more}"));
        world.write_secret(file, "hunter2-wrong");
        let house = world.house();
        failure(&world.check(&house), &format!("refused credential '{which}'"));
        assert_eq!(world.server.requests(), ["POST /oauth/token"]);
        world.later(48);
        failure(&world.check(&house), &format!("`credential release {which}`"));
        drop(house);
        let house = world.house();
        failure(&world.check(&house), "credential release");
        assert_eq!(world.server.logins(), 1, "{which}");
        let released = CredentialReleased { credential: which.to_owned(), note: None };
        house.ledger.append(house.clock.now(), vec![Fact::CredentialReleased(released)], Vec::new()).unwrap();
        world.write_secret(file, if which == "client" { SECRET } else { PASSWORD });
        assert_eq!(world.check(&house).failure, None);
        for file in files(&world.path("state")) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "a secret in {}", file.display());
        }
    }
}

#[test]
fn a_token_that_ended_is_asked_for_anew_once() {
    let world = World::new(setup());
    let house = world.house();
    world.server.fails("/devices", Fault::TokenEnded, 1);
    let checked = world.check(&house);
    assert_eq!((checked.failure.as_deref(), checked.devices), (None, 2));
    assert_eq!(world.server.logins(), 2);
    world.server.fails("/devices", Fault::TokenEnded, 2);
    failure(&world.check(&house), "HTTP 401");
    assert_eq!(world.server.logins(), 4);
}

#[test]
fn what_it_does_not_say_as_it_should_is_told_and_nothing_of_it_is_taken_for_an_empty_list() {
    let world = World::with(setup(), "ca_file = \"ca.pem\"\n");
    let house = world.house();
    let page = "expected JSON, got";
    for (part, fault, told) in [
        ("/oauth/token", Fault::Status(500), "get a token: on-prem https://127.0.0.1"),
        ("/oauth/token", Fault::Status(404), "refused it (HTTP 404"),
        ("/oauth/token", Fault::Page, page),
        ("/oauth/token", Fault::Shape(json!({ "token": "x" })), "expected an access_token"),
        ("/oauth/token", Fault::Cut, "broke off"),
        ("upstream_satellites", Fault::Status(500), "HTTP 500"),
        ("upstream_satellites", Fault::Status(403), "refused it (HTTP 403"),
        ("upstream_satellites", Fault::Page, page),
        ("upstream_satellites", Fault::Cut, "broke off"),
        ("upstream_satellites", Fault::Shape(json!({ "status": "ERROR" })), "expected a list of accounts, got"),
        ("/virtual-accounts", Fault::Shape(json!({ "virtualAccounts": 3 })), "expected a list of Virtual Accounts"),
        ("/devices", Fault::Shape(json!({ "devices": null })), "expected a list of devices"),
        ("/devices", Fault::Status(503), "HTTP 503"),
        ("/devices", Fault::Page, page),
        ("/devices", Fault::Cut, "broke off"),
    ] {
        world.server.fails(part, fault.clone(), 1);
        failure(&world.check(&house), told);
        assert_eq!(readings(&house), 0, "{part} {fault:?}");
    }
    // Licences and alerts are nice to know.
    for (part, fault, told) in [
        ("/licenses", Fault::Status(403), "list licences: on-prem https://127.0.0.1"),
        ("/alerts", Fault::Page, "list alerts: on-prem https://127.0.0.1"),
        ("/alerts", Fault::Shape(json!({})), "list alerts: expected a list, got {}"),
        ("/devices", Fault::Shape(json!([{ "sudi": 1 }])), "a product instance without a product id or serial number"),
    ] {
        world.server.fails(part, fault, 1);
        let checked = world.check(&house);
        assert_eq!(checked.failure, None);
        assert!(checked.problems[0].contains(told), "{told:?} in {:?}", checked.problems);
    }
}

#[test]
fn silence_ends_at_the_time_limit() {
    let world = World::with(setup(), "ca_file = \"ca.pem\"\n");
    let toml = fs::read_to_string(world.path("slp-collector.toml")).unwrap();
    fs::write(world.path("slp-collector.toml"), toml.replace("timeout = \"20s\"", "timeout = \"300ms\"")).unwrap();
    let house = world.house();
    world.server.fails("/devices", Fault::Silence, 1);
    failure(&world.check(&house), "took longer than");
}

#[test]
fn pages_are_turned_to_the_end_and_no_further() {
    let mut setup = setup();
    setup.accounts[0].virtual_accounts[0].1 = (1..=250).map(|number| product(number, "2026-11-20")).collect();
    setup.page = Some(100);
    let world = World::new(setup);
    let house = world.house();
    let checked = world.check(&house);
    assert_eq!((checked.devices, checked.counts.only_there, &checked.problems[..]), (250, 248, &[][..]));
    // A server that hands out the same page for ever.
    let same = json!({ "totalRecords": 9, "devices": [{ "sudi": { "udiPid": "C9300-48T", "udiSerialNumber": "FOC00000001" } }] });
    world.server.fails("Branch%20office/devices", Fault::Shape(same), u32::MAX);
    let checked = world.check(&house);
    assert_eq!(checked.devices, 1);
    assert_eq!(
        checked.problems,
        ["the Virtual Account 'Branch office' has 9 product instances by its own word, and 1 were handed out"]
    );
}

#[test]
fn only_the_accounts_asked_for_are_read_and_one_that_is_missing_is_told() {
    let mut setup = setup();
    setup.user = None;
    setup.accounts.push(Local { name: "Other".to_owned(), ..Local::default() });
    let more = "ca_file = \"ca.pem\"\naccounts = [\"other\", \"Gone\"]\n";
    let world = World::with(setup, more);
    let toml = fs::read_to_string(world.path("slp-collector.toml")).unwrap();
    fs::write(world.path("slp-collector.toml"), toml.replace("user_credential = \"user\"\n", "")).unwrap();
    let house = world.house();
    let checked = world.check(&house);
    assert_eq!((checked.failure.as_deref(), checked.devices), (None, 0));
    assert_eq!(checked.problems, ["it has no account 'Gone', or does not show it to this client"]);
    assert!(!world.server.requests().iter().any(|request| request.contains("Local")));
    // Both devices report to an On-Prem, and this one does not list them.
    assert_eq!(checked.counts.only_here, 2);
}

#[test]
fn a_certificate_is_believed_by_authority_or_pin_and_its_end_is_told() {
    for (certificate, more, told) in [
        (Certificate::SelfSigned, "", Some("is not trusted")),
        (Certificate::Vouched, "", Some("is not trusted")),
        (Certificate::Expired, "ca_file = \"ca.pem\"\n", Some("expired")),
        (Certificate::SelfSigned, "pin = \"PIN\"\n", None),
        (Certificate::Expired, "pin = \"PIN\"\n", None),
        (Certificate::VouchedUntil(2026, 12), "ca_file = \"ca.pem\"\n", None),
        (Certificate::VouchedUntil(2027, 1), "ca_file = \"ca.pem\"\n", None),
    ] {
        // The handshake goes by the real clock, which may be later than the test's.
        if matches!(certificate, Certificate::VouchedUntil(..))
            && Timestamp::now() > now() + SignedDuration::from_hours(48)
        {
            continue;
        }
        let world = World::with(Setup { certificate, ..setup() }, more);
        let house = world.house();
        let checked = world.check(&house);
        match told {
            Some(told) => failure(&checked, told),
            None => {
                assert_eq!(checked.failure, None, "{certificate:?}");
                let soon = !matches!(certificate, Certificate::SelfSigned | Certificate::VouchedUntil(2027, _));
                assert_eq!(checked.certificate_ends_soon, soon, "{certificate:?}");
                let until = house.ledger.fleet().upstreams["ssm"].facts.certificate_until;
                assert_eq!(until, Some(checked.certificates[0].until));
            }
        }
    }
}

#[test]
fn a_synchronisation_is_taken_when_it_is_later_and_not_in_the_future() {
    let world = World::new(setup());
    let house = world.house();
    let synced = || house.ledger.fleet().on_prem.get("ssm").map(|server| server.synced.to_string());
    let says = |text: &str| {
        world.server.change(|setup| setup.accounts[0].synchronised = Some(text.to_owned()));
        world.check(&house).problems
    };
    assert_eq!(says("2026-11-10T06:00:00Z"), [""; 0]);
    assert_eq!(says("2026-11-01T06:00:00Z"), [""; 0]);
    assert_eq!(synced().as_deref(), Some("2026-11-10T06:00:00Z"));
    assert!(says("2027-11-01T06:00:00Z")[0].starts_with("its last synchronisation is not taken"));
    assert!(says("long ago")[0].starts_with("a last synchronisation that is no time known here"));
    assert_eq!(synced().as_deref(), Some("2026-11-10T06:00:00Z"));
}

#[test]
fn the_verb_shows_it_and_a_difference_is_no_failure() {
    let mut setup = setup();
    setup.accounts[0].virtual_accounts[0].1.push(product(3, "2026-11-20"));
    let world = World::with(setup, "ca_file = \"ca.pem\"\nversion = \"8-202206\"\n");
    let shown = world.program(&["upstream", "check", "ssm"]).exits(0);
    for part in [
        "ssm: on-prem https://127.0.0.1:",
        "certificate: CN=ssm.lab.example, issued by CN=Lab Authority, until 2049-01-01",
        "release: 8-202206, by the configuration's word",
        "advisory: CVE-2024-20419 (cisco-sa-cssm-auth-sLw3uhUy), 10.0: ",
        "advisory to look up: CVE-2026-76454, 9.1: ",
        "last synchronised with Cisco: 2026-11-15",
        "alert in Local/1 ü: major, Synchronization Overdue",
        "network-advantage, 3 of 10 in use, In Compliance",
        "only-there  C9300-48T  FOC00000003",
    ] {
        assert!(shown.out.contains(part), "{part:?} in\n{}", shown.out);
    }
    let json: Value = world.program(&["upstream", "check", "ssm", "--format", "json"]).exits(0).json();
    assert_eq!((&json["type"], &json["counts"]["only_there"]), (&json!("on-prem"), &json!(1)));
    let csv = world.program(&["upstream", "check", "ssm", "--format", "csv"]).exits(0);
    assert!(
        csv.out.starts_with("difference,pid,sn,there,here,since\nonly-there,C9300-48T,FOC00000003,listed,-,"),
        "{}",
        csv.out
    );
    let probed = world.program(&["check-config", "--probe"]).exits(0);
    assert!(probed.out.contains("upstream ssm: works (https://127.0.0.1:"), "{}", probed.out);
    assert!(probed.out.contains("account 'Local/1 ü' is there"), "{}", probed.out);
    let list = world.program(&["upstream", "list"]).exits(0);
    assert!(list.out.contains("on-prem"), "{}", list.out);
    world.program(&["upstream", "check", "other"]).exits(64);
    let refused = world.program(&["upstream", "submit", "ssm"]);
    assert!(refused.code == 64 && refused.err.contains("ssm"), "{refused:?}");
    world.server.fails("upstream_satellites", Fault::Status(500), 1);
    let failed = world.program(&["upstream", "check", "ssm"]).exits(1);
    assert!(failed.err.contains("HTTP 500") && failed.out.is_empty(), "{failed:?}");
}
