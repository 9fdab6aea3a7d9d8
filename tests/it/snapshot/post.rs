//! Snapshots handed over by POST: to a receiver that is down, slow, strict or forgetful, each arrives once or is told.

mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use slp_collector::config::Config;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::SnapshotOwed;
use slp_collector::domain::fleet::{Handover, HandoverStage};
use slp_collector::domain::snapshot::{Form, SnapshotId};
use slp_collector::flow::{self, Clock, House, handover, published};
use slp_collector::receiver;
use tokio::runtime::Runtime;

use crate::daemon::Daemon;
use crate::support::certificate;
use crate::support::receiver::{Receiver, Request};
use crate::support::site::Site;

/// A house without devices: its snapshots have no rows, and are files all the same.
struct World {
    folder: tempfile::TempDir,
    runtime: Runtime,
    now: Arc<Mutex<Timestamp>>,
    house: Option<House>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let now = Arc::new(Mutex::new("2026-11-21T12:00:00Z".parse().unwrap()));
        let world = World { folder, runtime, now, house: None };
        world.write("devices.csv", "name,address\n");
        world.write("token", "hunter2-token\n");
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, post: &str) {
        let own = "[collector]\nname = \"north\"\nstate_dir = \"state\"\n[exchange]\nsigner = \"signer\"\n";
        self.write("slp-collector.toml", &format!("{own}[snapshot]\nformats = [\"json\", \"ndjson\"]\n{post}"));
    }

    /// Starts anew under these lines of configuration, as a restart of the service does.
    fn start(&mut self, post: &str) {
        self.stop();
        self.configure(post);
        let config = Config::load(&self.path("slp-collector.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let ledger = flow::open_ledger(&config).unwrap();
        let now = self.now.clone();
        self.house = Some(House::new(config, ledger, Clock::of(move || *now.lock().unwrap())));
    }

    fn stop(&mut self) {
        if let Some(house) = self.house.take() {
            house.ledger.close().unwrap();
        }
    }

    fn house(&self) -> &House {
        self.house.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn advance(&self, seconds: i64) {
        *self.now.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    /// Publishes a snapshot of so many hours ago; its JSON.
    fn publish(&self, hours: i64) -> PathBuf {
        let as_of = self.now() - SignedDuration::from_hours(hours);
        let made = published::publish(self.house(), as_of).unwrap();
        made.into_iter().find(|made| made.path.extension().is_some_and(|kind| kind == "json")).unwrap().path
    }

    /// The keys of what was taken.
    fn pass(&self) -> Vec<String> {
        self.runtime.block_on(handover::pass(self.house())).unwrap()
    }

    fn handover(&self, key: &str) -> Handover {
        self.house().ledger.fleet().handovers[key].clone()
    }

    fn receiver(&self) -> Receiver {
        self.runtime.block_on(Receiver::start(None))
    }

    fn request(&self, receiver: &mut Receiver) -> Request {
        self.runtime.block_on(receiver.request())
    }
}

fn plain(receiver: &Receiver) -> String {
    format!("[snapshot.post]\nurl = \"http://127.0.0.1:{}/in\"\ntoken_file = \"token\"\n", receiver.port)
}

/// The number of a snapshot, which is the key of its JSON.
fn number(file: &Path) -> String {
    super::read(file)["snapshot_id"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_owed_while_the_receiver_was_down_arrives_once_the_oldest_first_over_mutual_tls() {
    let (chain, _, key, authority) = certificate("127.0.0.1");
    let (client, _, client_key, clients) = certificate("north");
    let mut world = World::new();
    for (name, text) in
        [("ca.pem", &authority), ("ca-of-nobody.pem", &clients), ("client.pem", &client), ("client.key", &client_key)]
    {
        world.write(name, text);
    }
    let to = |port: u16, more: &str| {
        format!(
            "[snapshot.post]\nurl = \"https://127.0.0.1:{port}/engine/secret-path\"\nformats = [\"json\", \"csv\"]\n\
             token_file = \"token\"\nca_file = \"ca.pem\"\n{more}"
        )
    };
    let own = "client_cert_file = \"client.pem\"\nclient_key_file = \"client.key\"\n";
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.start(&to(closed, own));
    let first = world.publish(48);
    world.advance(60);
    let second = world.publish(24);
    let (one, two) = (number(&first), number(&second));
    assert_eq!(world.pass(), [""; 0]);
    let waiting = world.handover(&one);
    let HandoverStage::Owed { again: Some(again), cause: Some(cause), .. } = &waiting.stage else {
        panic!("{waiting:?}")
    };
    assert!(cause.starts_with(&format!("no answer from receiver https://127.0.0.1:{closed}: ")), "{cause}");
    let pause = again.duration_since(world.now()).as_secs();
    assert!((22..=30).contains(&pause) && handover::due(world.house(), world.now()) == Some(*again), "{waiting:?}");
    // It rests: nobody is asked before, and the next one does not overtake.
    assert_eq!(world.pass(), [""; 0]);
    assert_eq!((world.handover(&one).tries, world.handover(&two).tries), (1, 0));

    // Without a certificate of ours the receiver does not talk to us, and the wait grows.
    let mut receiver = world.runtime.block_on(Receiver::start_for(&chain, &key, &clients));
    world.start(&to(receiver.port, ""));
    world.advance(30);
    assert_eq!(world.pass(), [""; 0]);
    let refused = world.handover(&one);
    let HandoverStage::Owed { again: Some(again), .. } = refused.stage else { panic!("{refused:?}") };
    let pause = again.duration_since(world.now()).as_secs();
    assert!(refused.tries == 2 && (45..=60).contains(&pause) && receiver.is_quiet(), "{refused:?}");

    // It is there, and not yet ready.
    world.start(&to(receiver.port, own));
    receiver.answer("503 Service Unavailable", "starting");
    world.advance(60);
    assert_eq!(world.pass(), [""; 0]);
    let before = world.request(&mut receiver);
    world.start(&to(receiver.port, own));
    world.advance(3600);
    let keys = [one.clone(), format!("{one}-csv"), two.clone(), format!("{two}-csv")];
    let mut taken = world.pass();
    taken.sort();
    let mut expected = keys.to_vec();
    expected.sort();
    assert_eq!(taken, expected);
    let requests: Vec<Request> = keys.iter().map(|_| world.request(&mut receiver)).collect();
    assert_eq!(requests[0].header("idempotency-key"), before.header("idempotency-key"));
    assert_eq!(requests[0].body, before.body);
    let order: Vec<&str> = requests.iter().map(|request| &request.header("idempotency-key").unwrap()[..32]).collect();
    assert_eq!(order, [&one, &one, &two, &two]);
    for request in &requests {
        let csv = request.header("idempotency-key").unwrap().ends_with("-csv");
        let id = request.header("slp-snapshot").unwrap();
        let json = if id == one { &first } else { &second };
        let file = if csv { json.with_extension("csv") } else { json.clone() };
        let bytes = fs::read(file).unwrap();
        assert!(request.body == bytes && request.line == "POST /engine/secret-path", "{request:?}");
        assert_eq!(request.header("authorization"), Some("Bearer hunter2-token"));
        let kind = if csv { "text/csv; charset=utf-8; header=present" } else { "application/json" };
        assert_eq!(request.header("content-type"), Some(kind));
        let digest = data_encoding::BASE64.encode(&Sha256::of(&bytes).0);
        assert_eq!(request.header("content-digest"), Some(format!("sha-256=:{digest}:").as_str()));
        assert_eq!(request.header("slp-corrects"), None);
    }

    // Nothing goes out again: not by another pass, a restart, a day, or the same snapshot once more.
    world.start(&to(receiver.port, own));
    world.advance(86_400);
    published::publish(world.house(), "2026-11-19T12:00:00Z".parse().unwrap()).unwrap();
    assert_eq!((world.pass(), handover::due(world.house(), world.now())), (Vec::new(), None));
    assert!(receiver.is_quiet());
    // Until a person wants it.
    handover::ask(world.house(), Some(&one[..10])).unwrap();
    assert_eq!(world.pass().len(), 2);
    assert_eq!(world.request(&mut receiver).header("idempotency-key"), Some(one.as_str()));
    for wrong in ["", "0000", "nothing"] {
        assert!(handover::ask(world.house(), Some(wrong)).is_err(), "{wrong:?}");
    }
    world.stop();
}

#[test]
fn who_was_refused_is_not_tried_again_before_a_person_asks_or_the_configuration_changes() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&plain(&receiver));
    let (one, two) = (number(&world.publish(48)), number(&world.publish(24)));
    for status in ["401 Unauthorized", "403 Forbidden"] {
        receiver.answer(status, "you sent hunter2-token");
        assert_eq!(world.pass(), [""; 0]);
        assert_eq!(world.request(&mut receiver).header("authorization"), Some("Bearer hunter2-token"));
        let refused = world.handover(&one).stage;
        let HandoverStage::Refused { cause, login: true, .. } = &refused else { panic!("{refused:?}") };
        assert!(cause.ends_with(&format!("(HTTP {}: you sent <secret>)", &status[..3])), "{cause}");
        assert!(!format!("{refused}").contains("hunter2") && !cause.contains("/in"), "{cause}");
        // Neither this one nor the next, however long it takes, and whoever restarts.
        world.advance(30 * 86_400);
        world.start(&plain(&receiver));
        assert_eq!((world.pass(), handover::due(world.house(), world.now())), (Vec::new(), None));
        assert!(receiver.is_quiet() && world.handover(&two).tries == 0);
        handover::ask(world.house(), None).unwrap();
    }
    receiver.answer("401 Unauthorized", "");
    assert_eq!(world.pass(), [""; 0]);
    world.request(&mut receiver);
    // How long one may take says nothing of who we are; another file of the token does.
    world.start(&format!("{}timeout = \"10s\"\n", plain(&receiver)));
    assert_eq!(world.pass(), [""; 0]);
    world.write("other", "better-token\n");
    world.start(&plain(&receiver).replace("\"token\"", "\"other\""));
    let mut taken = world.pass();
    taken.sort();
    let mut expected = vec![one, two];
    expected.sort();
    assert_eq!(taken, expected);
    assert_eq!(world.request(&mut receiver).header("authorization"), Some("Bearer better-token"));
    world.stop();
}

#[test]
fn a_receiver_that_wants_time_gets_it_and_one_that_refuses_a_snapshot_keeps_no_other() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&plain(&receiver));
    let one = number(&world.publish(48));
    for (at, (status, seconds)) in [("429 Too Many Requests", 7200), ("425 Too Early", 9000)].into_iter().enumerate() {
        receiver.put_off(status, seconds);
        assert_eq!(world.pass(), [""; 0]);
        world.request(&mut receiver);
        assert_eq!(world.handover(&one).tries, at as u32 + 1);
        let until = world.now() + SignedDuration::from_secs(seconds.into());
        assert_eq!(handover::due(world.house(), world.now()), Some(until));
        world.advance(i64::from(seconds) - 1);
        assert_eq!(world.pass(), [""; 0]);
        assert!(receiver.is_quiet());
        world.advance(1);
    }
    world.advance(60);
    let (two, three) = (number(&world.publish(24)), number(&world.publish(12)));
    receiver.answer("422 Unprocessable Content", "rows missing");
    receiver.answer("307 Temporary Redirect", "");
    let taken = world.pass();
    assert_eq!(taken, [three.as_str()]);
    for key in [&one, &two] {
        let refused = world.handover(key).stage;
        assert!(matches!(&refused, HandoverStage::Refused { login: false, .. }), "{refused:?}");
    }
    for key in [&one, &two, &three] {
        assert_eq!(world.request(&mut receiver).header("idempotency-key"), Some(key.as_str()));
    }
    assert_eq!(handover::lines(world.house(), &taken).len(), 3);
    assert_eq!(handover::lines(world.house(), &[]).len(), 2);
    world.advance(86_400);
    assert_eq!(world.pass(), [""; 0]);
    assert!(receiver.is_quiet(), "a redirect is not followed, and nothing refused is sent again");
    world.stop();
}

#[test]
fn a_correction_comes_after_what_it_corrects_and_a_receiver_that_chokes_on_one_gets_the_others() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&plain(&receiver));
    let as_of = world.now() - SignedDuration::from_hours(24);
    let old = number(&world.publish(24));
    world.write("devices.csv", "name,address,access\nedge-1,192.0.2.1,by-hand\n");
    world.start(&plain(&receiver));
    let new = published::publish(world.house(), as_of).unwrap().remove(0).head;
    assert_eq!(new.corrects, Some(SnapshotId(old.clone())));
    let new = new.snapshot_id.0;
    world.advance(60);
    let other = number(&world.publish(1));
    for _ in 0..5 {
        receiver.answer("500 Internal Server Error", "cannot");
        assert_eq!(world.pass().len(), usize::from(world.handover(&old).tries == 5));
        assert_eq!(world.request(&mut receiver).header("idempotency-key"), Some(old.as_str()));
        world.advance(3600);
    }
    // The fifth time something else was taken, and not the correction.
    let passed = world.request(&mut receiver);
    assert_eq!(passed.header("idempotency-key"), Some(other.as_str()));
    assert_eq!(world.pass(), [old, new.clone()]);
    assert_eq!(world.request(&mut receiver).header("slp-corrects"), None);
    let request = world.request(&mut receiver);
    assert_eq!(request.header("slp-corrects"), Some(request.json()["corrects"].as_str().unwrap()));
    assert_eq!(request.header("slp-snapshot"), Some(new.as_str()));
    world.stop();
}

/// Killed between a 2xx and its record: the ledger is as it was before.
#[test]
fn what_was_taken_and_is_not_on_record_goes_out_once_more_under_its_key() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&plain(&receiver));
    let one = number(&world.publish(48));
    world.stop();
    let (ledger, kept) =
        (flow::ledger_dir(&Config::load(&world.path("slp-collector.toml")).unwrap()), world.path("kept"));
    let copy = |from: &Path, to: &Path| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    };
    copy(&ledger, &kept);
    world.start(&plain(&receiver));
    assert_eq!(world.pass(), [one.as_str()]);
    world.stop();
    fs::remove_dir_all(&ledger).unwrap();
    copy(&kept, &ledger);
    world.start(&plain(&receiver));
    assert_eq!(world.pass(), [one.as_str()]);
    let (first, second) = (world.request(&mut receiver), world.request(&mut receiver));
    assert_eq!((first.headers, first.body), (second.headers, second.body));
    assert_eq!(world.pass(), [""; 0]);
    world.stop();
}

#[test]
fn the_same_key_never_carries_other_bytes() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&plain(&receiver));
    let file = world.publish(48);
    let (one, bytes) = (number(&file), fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    assert_eq!(world.pass(), [""; 0]);
    let waiting = world.handover(&one).stage.to_string();
    assert!(waiting.starts_with("owed, tried again at ") && waiting.contains("cannot read"), "{waiting}");
    let mut other = bytes.clone();
    other[20] ^= 1;
    fs::write(&file, &other).unwrap();
    world.advance(60);
    assert_eq!(world.pass(), [""; 0]);
    let refused = world.handover(&one).stage.to_string();
    assert!(refused.contains("it was changed after it was sealed"), "{refused}");
    assert!(receiver.is_quiet());
    fs::write(&file, &bytes).unwrap();
    handover::ask(world.house(), Some(&one)).unwrap();
    assert_eq!(world.pass(), [one]);
    assert_eq!(world.request(&mut receiver).body, bytes);
    world.stop();
}

#[test]
fn a_large_snapshot_arrives_whole_and_a_silent_receiver_is_left() {
    let mut world = World::new();
    let mut receiver = world.receiver();
    world.start(&format!("{}timeout = \"20s\"\n", plain(&receiver)));
    let bytes: Vec<u8> = (0..32 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = world.path("large");
    fs::write(&file, &bytes).unwrap();
    let owed = SnapshotOwed {
        key: "0123-ndjson".to_owned(),
        snapshot_id: SnapshotId("0123".to_owned()),
        corrects: Some(SnapshotId("4567".to_owned())),
        as_of: world.now(),
        form: Form::Ndjson,
        file: "large".to_owned(),
        size: bytes.len() as u64,
        sha256: Sha256::of(&bytes),
    };
    let post = |world: &World| world.house().config.snapshot.post.clone().unwrap();
    let send = |world: &World| {
        let post = post(world);
        world.runtime.block_on(receiver::send(&post, &owed, &file, world.now()))
    };
    assert_eq!(send(&world).unwrap(), 200);
    let request = world.request(&mut receiver);
    assert!(request.body == bytes);
    assert_eq!((request.header("slp-corrects"), request.header("transfer-encoding")), (Some("4567"), None));

    world.start(&format!("{}timeout = \"1s\"\n", plain(&receiver)));
    receiver.hang();
    let error = send(&world).unwrap_err();
    assert_eq!(error.to_string(), format!("receiver http://127.0.0.1:{} took longer than 1s", receiver.port));
    // A file that shrank is not sent at all.
    fs::write(&file, &bytes[1..]).unwrap();
    assert!(matches!(send(&world).unwrap_err(), receiver::Error::Ours(_)));
    world.stop();
}

#[test]
fn the_daemon_hands_over_what_its_schedule_made_and_the_verbs_show_it() {
    let site = Site::new(vec![lab::specs::switch("edge-1")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut receiver = runtime.block_on(Receiver::start(None));
    let toml = fs::read_to_string(site.config_file()).unwrap();
    let post = format!("[snapshot.post]\nurl = \"http://127.0.0.1:{}/in\"\n", receiver.port);
    let snapshot = "\n[snapshot]\nschedule = \"0 0 * * *\"\nformats = [\"ndjson\"]\n";
    fs::write(site.config_file(), format!("{toml}{snapshot}{post}")).unwrap();
    // Without a daemon: made, owed, and sent when somebody says so.
    let as_of = (Timestamp::now() - SignedDuration::from_hours(10 * 24)).to_string();
    let made = site.run(["snapshot", "publish", "--as-of", &as_of]).exits(0).out;
    assert!(made.lines().any(|line| line.ends_with(".json")), "{made}");
    receiver.answer("404 Not Found", "no such place");
    let told = site.run(["snapshot", "post"]).exits(1).out;
    assert!(told.contains("refused at ") && told.contains("HTTP 404: no such place"), "{told}");
    let first = runtime.block_on(receiver.request());
    let ledger = site.ledger();
    let due = Timestamp::now() - SignedDuration::from_hours(3 * 24);
    let ran = slp_collector::domain::event::ScheduleRan { schedule: "snapshot".to_owned(), due, polled: 0, failed: 0 };
    ledger.append(due, vec![slp_collector::domain::event::Fact::ScheduleRan(ran)], Vec::new()).unwrap();
    ledger.close().unwrap();

    let mut daemon = Daemon::start(&site, None);
    let line = daemon.logs("snapshot handed over");
    let second = runtime.block_on(receiver.request());
    assert!(line.contains(second.header("slp-snapshot").unwrap()), "{line}");
    assert_ne!(first.header("slp-snapshot"), second.header("slp-snapshot"));
    let told = site.run(["snapshot", "post", first.header("slp-snapshot").unwrap()]).exits(0).out;
    assert!(told.contains("taken at "), "{told}");
    assert_eq!(runtime.block_on(receiver.request()).body, first.body);
    let list: Vec<serde_json::Value> = site.run(["snapshot", "list", "--format", "json"]).exits(0).json();
    let taken = |line: &&serde_json::Value| line["handover"]["stage"]["taken"]["at"].is_string();
    assert_eq!((list.len(), list.iter().filter(taken).count()), (4, 2), "{list:#?}");
    assert_eq!(daemon.stop().0, Some(0));
    assert!(receiver.is_quiet());
}
