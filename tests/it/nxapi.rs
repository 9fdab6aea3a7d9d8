//! NX-API against the lab's switch: both forms, the cookie, refusals, and what goes wrong on the way.

mod recorded;

use std::time::Duration;

use lab::spec::{Faces, NxApi as Knobs};
use lab::{Clock, Fault, Fleet, Handle, Operation, Portal, Reply, Spec, specs};
use slp_collector::device::budget::Budget;
use slp_collector::device::flash::Md5;
use slp_collector::device::nxapi::{Answer, NxApi};
use slp_collector::device::{Error, Limits, Login, Refusal, Target, inline};
use slp_collector::domain::event::Blame;
use slp_collector::domain::rum_file;
use slp_collector::tls::Trust;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

async fn switch(knobs: Knobs) -> (Fleet, Handle) {
    let faces = Faces { nxapi: true, ..Faces::none() };
    let spec = Spec { faces, nxapi: knobs, ..specs::nexus("leaf-001") };
    let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.unwrap();
    let device = fleet.device("leaf-001");
    (fleet, device)
}

fn session_with(device: &Handle, password: &str) -> NxApi {
    let login = Login { username: device.user().to_owned(), password: password.to_owned() };
    let limits = Limits { read: Duration::from_millis(500), body: 1 << 20, ..Limits::default() };
    let target = Target { authority: device.addr().to_string(), trust: Trust::Learn, login, limits };
    NxApi::new(target, Budget::new(4 << 20))
}

fn session(device: &Handle) -> NxApi {
    session_with(device, device.password())
}

fn forms() -> Vec<Knobs> {
    let mut forms = Vec::new();
    for json_rpc in [true, false] {
        for single_as_object in [true, false] {
            forms.push(Knobs { json_rpc, single_as_object, ..Knobs::default() });
        }
    }
    forms
}

fn texts(answers: &[Answer]) -> Vec<&str> {
    answers.iter().map(|answer| answer.text.as_str()).collect()
}

#[tokio::test]
async fn the_whole_loop_goes_by_command_lines() {
    for knobs in forms() {
        let (fleet, device) = switch(knobs).await;
        fleet.clock().advance(30 * DAY);
        let mut session = session(&device);
        let hostname = session.run("ask", &["show hostname"]).await.unwrap();
        assert_eq!(texts(&hostname), ["leaf-001 \n"]);
        let save = "license smart save usage unreported file bootflash:slp-1.txt";
        let saved = session.run("save", &["terminal dont-ask", save]).await.unwrap();
        assert_eq!(texts(&saved), ["", ""]);
        let shows = ["show file bootflash:slp-1.txt", "show file bootflash:slp-1.txt md5sum"];
        let shown = session.run("read", &shows).await.unwrap();
        let file = inline::prove(shown[0].text.as_bytes(), Md5::told(&shown[1].text).unwrap()).unwrap();
        assert_eq!(device.apply(Operation::ReadFile("slp-1.txt".to_owned())), Reply::File(file.clone()));
        let reports = rum_file::read(&file).unwrap();
        assert!(reports.problems.is_whole() && !reports.reports.is_empty());

        let answer = Portal::new().upload(fleet.clock().now(), "slp-1.txt", &file).unwrap();
        device.apply(Operation::WriteFile { name: "ack.txt".to_owned(), bytes: answer.bytes });
        let import = ["terminal dont-ask", "license smart import bootflash:ack.txt", "delete bootflash:slp-1.txt"];
        let imported = session.run("import", &import).await.unwrap();
        assert!(imported.iter().all(|answer| !answer.refused), "{imported:?}");
        assert_eq!(imported[1].text, "Import Data Successful\n");
        assert!(device.state().last_ack.is_some());
        assert_eq!(device.state().files, ["ack.txt"]);
        assert_eq!(session.proven().map(|shown| shown.0), Some(device.fingerprint()));
    }
}

#[tokio::test]
async fn a_refused_command_reads_as_on_a_terminal() {
    for knobs in forms() {
        let (_fleet, device) = switch(knobs).await;
        let mut session = session(&device);
        let commands = ["show hostname", "license smart frobnicate", "show version"];
        let answers = session.run("ask", &commands).await.unwrap();
        assert_eq!(answers.len(), 2, "the device stops there");
        assert_eq!((answers[0].refused, answers[1].refused), (false, true));
        assert!(answers[1].text.contains("% Invalid command"), "{answers:?}");
        assert_eq!(answers[1].command, "license smart frobnicate");
        let absent = session.run("read", &["show file bootflash:absent md5sum"]).await.unwrap();
        assert_eq!(Md5::told(&absent[0].text), None, "{absent:?}");
        for bad in ["show a\nreload", " ", ""] {
            assert!(matches!(session.run("ask", &[bad]).await, Err(Error::Ours { .. })), "{bad:?}");
        }
        assert_eq!(session.run("ask", &[]).await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_cookie_spares_logins_and_may_end() {
    let (fleet, device) = switch(Knobs::default()).await;
    let mut session = session(&device);
    for _ in 0..30 {
        session.run("ask", &["show hostname"]).await.unwrap();
    }
    let logins = || device.counters().requests.get("LOGIN /ins").copied();
    assert_eq!(logins(), Some(1), "also over a second connection");
    assert_eq!(device.counters().connections, 2);
    fleet.clock().advance(601);
    session.run("ask", &["show hostname"]).await.unwrap();
    session.run("ask", &["show hostname"]).await.unwrap();
    assert_eq!(logins(), Some(2));

    let (_fleet, device) = switch(Knobs { cookie: false, json_rpc: false, ..Knobs::default() }).await;
    let mut session = self::session(&device);
    for _ in 0..3 {
        session.run("ask", &["show hostname"]).await.unwrap();
    }
    // The first goes in both forms: what a release does not speak is asked once.
    assert_eq!(device.counters().requests.get("LOGIN /ins").copied(), Some(4));
}

#[tokio::test]
async fn a_refused_login_ends_the_session() {
    let (_fleet, device) = switch(Knobs::default()).await;
    let mut session = session_with(&device, "wrong-password");
    for _ in 0..3 {
        let error = session.run("ask", &["show hostname"]).await.unwrap_err();
        assert!(matches!(error, Error::LoginRefused { refusal: Refusal::Http(401), .. }), "{error}");
        assert!(!format!("{error:?}").contains("wrong-password"));
    }
    assert_eq!((device.counters().logins_refused, device.counters().of("/ins")), (1, 2), "one POST, one login");
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let (_fleet, device) = switch(Knobs::default()).await;
    let fails = async |fault: Fault| {
        device.set_fault(fault);
        session(&device).run("ask", &["show hostname"]).await.unwrap_err()
    };
    let error = fails(Fault::Status500).await;
    assert!(error.blame() == Blame::Misbehaved && error.is_transient(), "{error}");
    let error = fails(Fault::Status404).await;
    assert!(matches!(error, Error::Unsupported { status: 404, .. }), "{error}");
    assert!(matches!(fails(Fault::TruncatedJson).await, Error::Misbehaved { .. }));
    assert!(matches!(fails(Fault::WrongContentType).await, Error::Misbehaved { .. }));
    assert!(matches!(fails(Fault::HugeBody(2 << 20)).await, Error::TooLarge { .. }));
    assert!(matches!(fails(Fault::CutAfter(200)).await, Error::Unreachable { .. }));
    assert!(matches!(fails(Fault::Hang).await, Error::Unreachable { .. }));
    device.clear_fault();
    let long = format!("show hostname {}", "x".repeat(5 << 20));
    let error = session(&device).run("ask", &[&long]).await.unwrap_err();
    assert!(matches!(error, Error::Declined { .. }) && error.to_string().contains("413"), "{error}");
    let (_fleet, plain) = {
        let spec = specs::switch("edge-001");
        let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.unwrap();
        let device = fleet.device("edge-001");
        (fleet, device)
    };
    let error = session(&plain).run("ask", &["show hostname"]).await.unwrap_err();
    assert!(error.to_string().contains("needs `feature nxapi`"), "{error}");
}
