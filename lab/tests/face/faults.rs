//! Every fault, as a client meets it.

use std::io::ErrorKind;
use std::time::Duration;

use lab::report::ReportState;
use lab::{Fault, Handle, Operation, Scope, specs};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, Response};
use crate::{DAY, alone};

const LIST: &str = "/smartlic-service/list";
const CLOSE: &str = "/smartlic-service/close-reports";
/// Long enough for an answer on loopback that will not come.
const A_MOMENT: Duration = Duration::from_millis(50);

async fn list(device: &Handle) -> std::io::Result<Response> {
    Client::to(device).await?.get(LIST).await
}

#[tokio::test]
async fn refused_connections_come_back_on_the_same_port() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    let mut old = Client::to(&device).await.unwrap();
    old.get(LIST).await.unwrap();
    device.set_fault(Fault::RefuseConnection);
    assert_eq!(TcpStream::connect(device.addr()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(old.get(LIST).await.is_err(), "open connections are cut");
    device.clear_fault();
    assert_eq!(list(&device).await.unwrap().status, 200);
}

#[tokio::test]
async fn connections_reset_or_hang() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    device.set_fault_on(Fault::ResetOnAccept, Scope::first(1));
    assert!(list(&device).await.is_err());
    assert_eq!(list(&device).await.unwrap().status, 200);
    device.set_fault_on(Fault::HangHandshake, Scope::first(1));
    assert!(timeout(A_MOMENT, Client::to(&device)).await.is_err());
    assert_eq!(list(&device).await.unwrap().status, 200);
}

#[tokio::test]
async fn certificates_expire_or_change() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    let own = device.certificate_der();
    for fault in [Fault::ExpiredCertificate, Fault::ChangedCertificate] {
        device.set_fault(fault);
        assert_ne!(Client::to(&device).await.unwrap().certificate(), own);
    }
    device.clear_fault();
    assert_eq!(Client::to(&device).await.unwrap().certificate(), own);
    device.set_fault(Fault::ExpiredCertificate);
    let shown = Client::to(&device).await.unwrap().certificate();
    assert!(shown.windows(13).any(|bytes| bytes == b"200101000000Z"), "it ended on the first of 2020");
}

#[tokio::test]
async fn requests_refused_before_anything_is_done() {
    let (fleet, device) = alone(specs::branch("edge-001")).await;
    fleet.clock().advance(DAY);
    for (fault, status) in
        [(Fault::RefuseLogin, 401), (Fault::Forbidden, 403), (Fault::Status404, 404), (Fault::Status500, 500)]
    {
        device.set_fault(fault);
        let mut client = Client::to(&device).await.unwrap();
        assert_eq!(client.ask("POST", CLOSE, b"{}").await.unwrap().status, status);
    }
    device.set_fault(Fault::Hang);
    let mut client = Client::to(&device).await.unwrap();
    assert!(timeout(A_MOMENT, client.ask("POST", CLOSE, b"{}")).await.is_err());
    assert_eq!(device.state().reports.len(), 1);
    assert_eq!(device.counters().logins_refused, 1);
}

#[tokio::test]
async fn a_scope_names_a_path_and_a_number() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    device.set_fault_on(Fault::Status500, Scope::path(LIST).and_first(2));
    let mut client = Client::to(&device).await.unwrap();
    let mut statuses = Vec::new();
    for path in ["/smartlic-service/days", LIST, LIST, LIST] {
        statuses.push(client.get(path).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 500, 500, 200]);
}

#[tokio::test]
async fn bodies_go_wrong() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    let whole = list(&device).await.unwrap();
    device.set_fault(Fault::TruncatedJson);
    let half = list(&device).await.unwrap();
    assert_eq!(half.body, whole.body[..whole.body.len() / 2]);
    device.set_fault(Fault::WrongContentType);
    let html = list(&device).await.unwrap();
    assert_eq!((html.header("content-type"), &html.body), (Some("text/html"), &whole.body));
    device.set_fault(Fault::HugeBody(1_000_000));
    let huge = list(&device).await.unwrap();
    assert_eq!((huge.status, huge.body.len(), huge.header("content-length")), (200, 1_000_000, None));
}

#[tokio::test]
async fn responses_are_cut_though_the_work_is_done() {
    let (fleet, device) = alone(specs::branch("edge-001")).await;
    fleet.clock().advance(DAY);
    for bytes in [0_u8, 1, 40] {
        device.set_fault(Fault::CutAfter(bytes.into()));
        let mut client = Client::to(&device).await.unwrap();
        client.send("POST", CLOSE, b"{}").await.unwrap();
        let (got, ended) = client.rest().await;
        assert_eq!(got.len(), usize::from(bytes));
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
    assert_eq!(device.state().reports[0].state, ReportState::Closed);
}

#[tokio::test]
async fn responses_drip_whole() {
    let (fleet, device) = alone(specs::branch("edge-001")).await;
    fleet.clock().advance(DAY);
    device.apply(Operation::Close);
    let whole = list(&device).await.unwrap();
    device.set_fault(Fault::Drip { bytes: 7, every: Duration::from_millis(1) });
    assert_eq!(list(&device).await.unwrap().body, whole.body);
}

#[tokio::test]
async fn one_bit_flips() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    let whole = list(&device).await.unwrap();
    let at = whole.head.len() + 3;
    device.set_fault(Fault::Flip { at: at as u64 });
    let flipped = list(&device).await.unwrap();
    let differ: Vec<usize> = (0..whole.body.len()).filter(|index| whole.body[*index] != flipped.body[*index]).collect();
    assert_eq!(differ, [3]);
}
