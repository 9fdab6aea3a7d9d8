//! NETCONF: our client against the lab's server, and against a peer that says exactly what a test writes down.

mod peer;
mod scripted;

use std::time::Duration;

use lab::spec::{Netconf as Knobs, StateModel};
use lab::{Clock, Fault, Fleet, Handle, Operation, Portal, Reply, Scope, Spec, specs};
use slp_collector::device::budget::Budget;
use slp_collector::device::netconf::Netconf;
use slp_collector::device::netconf::framing::Framing;
use slp_collector::device::netconf::ios_xe::IosXe;
use slp_collector::device::netconf::ios_xr::IosXr;
use slp_collector::device::restconf::Restconf;
use slp_collector::device::{Error, Identity, Limits, Login, Target, Usage};
use slp_collector::domain::event::Blame;
use slp_collector::domain::report::ReportId;
use slp_collector::domain::rum_file;
use slp_collector::domain::state::{DeviceState, Model, ReportState};
use slp_collector::tls::Trust;
use tokio::io::DuplexStream;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

fn limits() -> Limits {
    Limits { read: Duration::from_secs(10), body: 1 << 20, ..Limits::default() }
}

async fn fleet_of(spec: Spec) -> (Fleet, Handle) {
    let name = spec.name.clone();
    let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.unwrap();
    let device = fleet.device(&name);
    (fleet, device)
}

/// A session with a device of the lab, over a pipe so narrow that messages are cut everywhere.
async fn session(device: &Handle, limits: Limits) -> Result<Netconf<DuplexStream>, Error> {
    let (ours, theirs) = tokio::io::duplex(61);
    let device = device.clone();
    tokio::spawn(async move { device.netconf(theirs).await });
    Netconf::open(ours, "edge-001", limits, Budget::new(4 << 20)).await
}

async fn ios_xe(device: &Handle) -> IosXe<DuplexStream> {
    IosXe::new(session(device, limits()).await.unwrap())
}

/// Both bases, and chunks of every small size as well as none.
fn manners() -> Vec<Knobs> {
    let chunks = [0, 1, 2, 7, 100].map(|chunk| Knobs { chunk, ..Knobs::default() });
    [Knobs { base_1_1: false, ..Knobs::default() }].into_iter().chain(chunks).collect()
}

#[tokio::test]
async fn the_whole_loop_goes_over_files_of_the_device() {
    for manner in manners() {
        let (fleet, device) = fleet_of(Spec { netconf: manner, ..specs::pair("edge-001") }).await;
        fleet.clock().advance(30 * DAY);
        let mut session = ios_xe(&device).await;
        let (identity, before) = session.state().await.unwrap();
        let identity = identity.unwrap();
        assert_eq!(&*identity.udi.pid, "C9500-40X");
        assert_eq!((identity.hostname.as_deref(), identity.software.as_deref()), (Some("edge-001"), Some("17.9")));
        assert_eq!(before.rum_ids, []);

        session.save_usage(Usage::Unreported, "bootflash:slp-1.xml").await.unwrap();
        let Reply::File(file) = device.apply(Operation::ReadFile("slp-1.xml".to_owned())) else { panic!("no file") };
        let reports = rum_file::read(&file).unwrap().reports;
        assert_eq!(reports.len(), 2);
        let states = |state: &DeviceState| state.rum_ids.iter().map(|listed| listed.state).collect::<Vec<_>>();
        let (_, saved) = session.state().await.unwrap();
        assert_eq!(states(&saved), [Some(ReportState::Unacknowledged); 2]);

        let answer = Portal::new().upload(fleet.clock().now(), "slp-1.xml", &file).unwrap();
        device.apply(Operation::WriteFile { name: "ack.xml".to_owned(), bytes: answer.bytes });
        session.import_file("flash:ack.xml").await.unwrap();
        for file in ["slp-1.xml", "ack.xml"] {
            session.delete(&format!("bootflash:{file}")).await.unwrap();
        }
        let (_, after) = session.state().await.unwrap();
        assert_eq!(states(&after), [Some(ReportState::Acknowledged); 2]);
        let ids: Vec<ReportId> = reports.iter().map(|report| report.facts.report_id).collect();
        assert!(after.rum_ids.iter().all(|listed| ids.contains(&listed.report_id)));
        assert!(after.usage_reporting.last_ack.is_some() && device.state().files.is_empty());
        session.close().await.unwrap();
    }
}

#[tokio::test]
async fn both_encodings_of_one_state_read_the_same() {
    let mut spec = specs::pair("edge-001");
    spec.knobs.timezone_minutes = 330;
    spec.uuid = Some("0f0e0d0c-0000-4000-8000-00000000abcd".to_owned());
    for model in [StateModel::Full, StateModel::NoRumAck, StateModel::None] {
        spec.knobs.state_model = model;
        let (fleet, device) = fleet_of(spec.clone()).await;
        fleet.clock().advance(DAY);
        device.apply(Operation::Close);
        let login = Login { username: device.user().to_owned(), password: device.password().to_owned() };
        let authority = device.addr().to_string();
        let target = Target { authority, trust: Trust::Learn, login, limits: limits() };
        let by_json = Restconf::new(target, Budget::new(4 << 20)).state().await.unwrap();
        let by_xml = ios_xe(&device).await.state().await.unwrap();
        // Only answers over HTTPS are dated.
        assert_eq!(by_json.0.as_ref().is_some_and(|told| told.clock.is_some()), model != StateModel::None);
        let undated = |told: Identity| Identity { clock: None, ..told };
        assert_eq!(by_xml, (by_json.0.map(undated), by_json.1), "{model:?}");
        assert_eq!(by_xml.0.is_some(), model != StateModel::None);
    }
}

#[tokio::test]
async fn releases_that_know_less_are_asked_for_less() {
    let mut spec = specs::switch("edge-001");
    spec.knobs.state_model = StateModel::NoRumAck;
    spec.netconf.strict_filter = true;
    let (_fleet, device) = fleet_of(spec.clone()).await;
    let (identity, state) = ios_xe(&device).await.state().await.unwrap();
    assert_eq!(device.counters().of("get"), 2, "the choice of nodes is refused, the whole is not");
    assert!(identity.is_some() && state.policy.is_some());
    assert!(state.usage_reporting.last_ack.is_none() && state.rum_ids.is_empty());

    spec.knobs.state_model = StateModel::None;
    let (_fleet, device) = fleet_of(spec).await;
    let mut session = ios_xe(&device).await;
    assert_eq!(session.state().await.unwrap(), (None, DeviceState::default()));
    let error = session.save_usage(Usage::All, "flash:a").await.unwrap_err();
    assert_eq!(error.blame(), Blame::Unsupported, "{error}");
}

#[tokio::test]
async fn what_a_device_declines_is_named_and_the_session_goes_on() {
    let (fleet, device) = fleet_of(specs::switch("edge-001")).await;
    fleet.clock().advance(DAY);
    let mut session = ios_xe(&device).await;
    let said = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(
        said(session.import_file("bootflash:absent").await),
        "import: the device declined (notfound 9): what was asked for is not there, or there is nothing to save"
    );
    device.apply(Operation::WriteFile { name: "odd".to_owned(), bytes: b"<odd/>".to_vec() });
    assert!(said(session.import_file("bootflash:odd").await).contains("(msgparse 17)"));
    assert!(said(session.delete("bootflash:absent").await).contains("No such file or directory"));
    assert!(said(session.delete("usb9:a").await).contains("invalid-value"));

    device.set_fault_on(Fault::RefuseImport(52), Scope::first(1));
    assert!(said(session.import_file("bootflash:odd").await).contains("(standby 52): this is the standby"));
    device.set_fault_on(Fault::Forbidden, Scope::first(1));
    assert_eq!(session.state().await.unwrap_err().blame(), Blame::Refused);
    device.set_fault_on(Fault::Status500, Scope::path("rum-save-usage-days"));
    assert!(said(session.save_usage(Usage::Days(30), "bootflash:a").await).contains("operation-failed"));
    device.clear_fault();
    session.save_usage(Usage::Days(30), "bootflash:a").await.unwrap();
    session.close().await.unwrap();
}

#[tokio::test]
async fn a_session_that_was_cut_is_over_and_nothing_hangs() {
    let (_fleet, device) =
        fleet_of(Spec { netconf: Knobs { chunk: 9, ..Knobs::default() }, ..specs::switch("edge-001") }).await;
    let mut cuts: Vec<Fault> = (0..2500).step_by(83).map(Fault::CutAfter).collect();
    cuts.push(Fault::TruncatedJson);
    for fault in cuts {
        device.clear_fault();
        let mut session = ios_xe(&device).await;
        device.set_fault(fault.clone());
        let error = session.state().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{fault:?}: {error}");
        device.clear_fault();
        assert!(matches!(session.state().await, Err(Error::Unreachable { .. })), "{fault:?}: it is over");
        session.close().await.unwrap();
    }
    let mut session =
        IosXe::new(self::session(&device, Limits { read: Duration::from_millis(200), ..limits() }).await.unwrap());
    device.set_fault(Fault::Hang);
    let error = session.state().await.unwrap_err();
    assert!(error.to_string().contains("nothing came for 200ms"), "{error}");
    device.set_fault(Fault::HugeBody(3 << 20));
    let error = ios_xe(&device).await.state().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_576, .. }), "{error}");
    device.set_fault(Fault::Drip { bytes: 40, every: Duration::from_millis(1) });
    assert!(ios_xe(&device).await.state().await.unwrap().0.is_some());
}

#[tokio::test]
async fn a_flipped_bit_is_an_error_or_harmless() {
    let (_fleet, device) = fleet_of(specs::switch("edge-001")).await;
    let whole = ios_xe(&device).await.state().await.unwrap();
    let mut harmless = 0;
    for at in (700..4000).step_by(29) {
        let mut session = ios_xe(&device).await;
        device.set_fault(Fault::Flip { at });
        match tokio::time::timeout(Duration::from_secs(20), session.state()).await.unwrap() {
            Ok(state) => harmless += usize::from(state == whole),
            Err(error) => assert!(!matches!(error, Error::Ours { .. }), "{at}: {error}"),
        }
        device.clear_fault();
    }
    assert!(harmless > 0, "flips behind the reply change nothing");
}

#[tokio::test]
async fn ios_xr_tells_what_its_models_have() {
    let (fleet, device) = fleet_of(specs::xr("core-001")).await;
    fleet.clock().advance(DAY);
    let netconf = session(&device, limits()).await.unwrap();
    assert_eq!(netconf.framing(), Framing::Chunked);
    assert!(netconf.capabilities().revision("Cisco-IOS-XR-infra-smartlicense-oper").is_some());
    let mut session = IosXr::new(netconf);
    let (identity, state) = session.state().await.unwrap();
    let own = device.spec().udi();
    assert_eq!(identity.map(|identity| (identity.os, identity.udi.sn.to_string())), Some(("ios-xr", own.sn.clone())));
    assert_eq!(state.model, Model::Slp);
    assert_eq!(state.transport.unwrap().kind.as_deref(), Some("cslu"));
    let counted: Vec<_> =
        state.licenses.iter().map(|license| (license.name.as_deref().map(str::to_owned), license.count)).collect();
    let truth = device.state().licences.into_iter().map(|licence| (Some(licence.name), Some(u64::from(licence.count))));
    assert_eq!(counted, truth.collect::<Vec<_>>());
    assert!(state.policy.is_none() && state.usage_reporting == Default::default() && state.rum_ids.is_empty());
    session.close().await.unwrap();
}

#[tokio::test]
async fn a_device_without_the_models_of_ios_xr_tells_nothing() {
    for strict_filter in [false, true] {
        let netconf = Knobs { strict_filter, ..Knobs::default() };
        let (_fleet, device) = fleet_of(Spec { netconf, ..specs::switch("edge-001") }).await;
        let mut session = IosXr::new(session(&device, limits()).await.unwrap());
        assert_eq!(session.state().await.unwrap(), (None, DeviceState::default()));
        session.close().await.unwrap();
    }
}
