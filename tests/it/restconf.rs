//! RESTCONF's operations against the lab: the whole loop over files of the device, and how failures read.

use std::time::Duration;

use lab::{Clock, Fault, Fleet, Handle, Operation, Portal, Reply, Scope, Spec, specs};
use slp_collector::device::budget::Budget;
use slp_collector::device::restconf::Restconf;
use slp_collector::device::{Error, Limits, Login, Target, Usage};
use slp_collector::domain::event::Blame;
use slp_collector::domain::rum_file;
use slp_collector::domain::state::ReportState;
use slp_collector::tls::Trust;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

async fn device_of(spec: Spec) -> (Fleet, Handle, Restconf) {
    device_within(spec, Budget::new(4 << 20)).await
}

async fn device_within(spec: Spec, budget: Budget) -> (Fleet, Handle, Restconf) {
    let name = spec.name.clone();
    let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.unwrap();
    let device = fleet.device(&name);
    let login = Login { username: device.user().to_owned(), password: device.password().to_owned() };
    let limits = Limits { read: Duration::from_millis(500), body: 1 << 20, ..Limits::default() };
    let target = Target { authority: device.addr().to_string(), trust: Trust::Learn, login, limits };
    (fleet, device, Restconf::new(target, budget))
}

#[tokio::test]
async fn the_whole_loop_goes_over_files_of_the_device() {
    let (fleet, device, mut session) = device_of(specs::pair("edge-001")).await;
    fleet.clock().advance(30 * DAY);
    session.save_usage(Usage::Days(400), "bootflash:slp-1.xml").await.unwrap();
    let Reply::File(file) = device.apply(Operation::ReadFile("slp-1.xml".to_owned())) else { panic!("no file") };
    assert_eq!(rum_file::read(&file).unwrap().reports.len(), 2);
    let answer = Portal::new().upload(fleet.clock().now(), "slp-1.xml", &file).unwrap();
    device.apply(Operation::WriteFile { name: "ack.xml".to_owned(), bytes: answer.bytes });
    session.import_file("bootflash:ack.xml").await.unwrap();
    for file in ["slp-1.xml", "ack.xml"] {
        session.delete(&format!("bootflash:{file}")).await.unwrap();
    }
    let (identity, state) = session.state().await.unwrap();
    assert_eq!(identity.unwrap().hostname.as_deref(), Some("edge-001"));
    assert_eq!(
        state.rum_ids.iter().map(|listed| listed.state).collect::<Vec<_>>(),
        [Some(ReportState::Acknowledged); 2]
    );
    assert!(device.state().files.is_empty() && session.proven().is_some());
}

/// Who holds a share of the budget never waits for another: not even a budget that one answer fills.
#[tokio::test]
async fn an_answer_gives_its_share_back_before_the_next_is_asked_for() {
    let budget = Budget::new(1);
    let (_fleet, _device, mut session) = device_within(specs::switch("edge-001"), budget.clone()).await;
    let asked = tokio::time::timeout(Duration::from_secs(20), session.state()).await;
    assert!(asked.expect("no wait for itself").unwrap().0.is_some());
    assert!(budget.free() > 0);
}

#[tokio::test]
async fn failures_are_named() {
    let (fleet, device, mut session) = device_of(specs::switch("edge-001")).await;
    fleet.clock().advance(DAY);
    let said = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert!(said(session.import_file("bootflash:absent").await).contains("the device declined (notfound 9)"));
    assert!(said(session.delete("bootflash:absent").await).contains("No such file or directory"));
    assert!(said(session.delete("usb9:a").await).contains("(invalid-value): filename-drop-node-name is not valid"));
    device.set_fault_on(Fault::RefuseImport(45), Scope::first(1));
    assert!(said(session.import_file("bootflash:a").await).contains("(verifysignaturefailed 45)"));
    device.set_fault_on(Fault::Status500, Scope::path("/restconf/operations/"));
    let error = session.save_usage(Usage::All, "bootflash:a").await.unwrap_err();
    assert!(matches!(error, Error::Failed { status: 500, .. }) && error.is_transient(), "{error}");
    device.set_fault_on(Fault::Status404, Scope::path("/restconf/operations/"));
    let error = session.save_usage(Usage::All, "bootflash:a").await.unwrap_err();
    assert_eq!(error.blame(), Blame::Unsupported);
    assert!(error.to_string().contains("17.4.1"), "{error}");
    device.set_fault(Fault::TruncatedJson);
    let error = session.save_usage(Usage::All, "bootflash:a").await.unwrap_err();
    assert!(matches!(error, Error::Misbehaved { .. }), "{error}");
    assert_eq!(device.state().files, ["a"], "it was done although the answer was lost");
    device.set_fault(Fault::RefuseLogin);
    assert_eq!(session.import_file("bootflash:a").await.unwrap_err().blame(), Blame::Refused);
    device.clear_fault();
    assert_eq!(session.state().await.unwrap_err().blame(), Blame::Refused, "a refused login ends the session");
    assert_eq!(device.counters().logins_refused, 1);
}
