//! TLS and the limits of the device's web server.

use std::time::Duration;

use lab::spec::TlsVersions;
use lab::{Fault, specs};
use tokio::time::timeout;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::alone;
use crate::client::Client;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_connection_carries_twenty_five_requests() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    let mut client = Client::to(&device).await.unwrap();
    for number in 1..=25 {
        let response = client.get("/smartlic-service/list").await.unwrap();
        let close = response.header("connection") == Some("close");
        assert_eq!((response.status, close), (200, number == 25), "request {number}");
    }
    let (rest, ended) = client.rest().await;
    assert!(rest.is_empty() && ended.is_ok());
    assert_eq!(device.counters().total(), 25);
}

#[tokio::test]
async fn idle_connections_end() {
    let mut spec = specs::switch("edge-001");
    spec.limits.idle = Duration::from_millis(30);
    let (_fleet, device) = alone(spec).await;
    let mut client = Client::to(&device).await.unwrap();
    let (rest, ended) = timeout(SOON, client.rest()).await.expect("the device hangs up");
    assert!(rest.is_empty() && ended.is_ok());
}

#[tokio::test]
async fn old_connections_end() {
    let mut spec = specs::switch("edge-001");
    spec.limits.life = Duration::from_millis(30);
    let (_fleet, device) = alone(spec).await;
    let mut client = Client::to(&device).await.unwrap();
    let asked = timeout(SOON, async { while client.get("/smartlic-service/list").await.is_ok() {} }).await;
    asked.expect("the device hangs up");
}

#[tokio::test]
async fn only_so_many_connections() {
    let mut spec = specs::switch("edge-001");
    spec.limits.connections = 1;
    let (_fleet, device) = alone(spec).await;
    let mut first = Client::to(&device).await.unwrap();
    assert!(Client::to(&device).await.is_err());
    assert_eq!(first.get("/smartlic-service/list").await.unwrap().status, 200);
}

#[tokio::test]
async fn versions_of_tls() {
    for (versions, twelve, thirteen) in
        [(TlsVersions::Both, true, true), (TlsVersions::Only12, true, false), (TlsVersions::Only13, false, true)]
    {
        let mut spec = specs::switch("edge-001");
        spec.tls.versions = versions;
        let (_fleet, device) = alone(spec).await;
        assert_eq!(Client::speaking(&device, &[&TLS12]).await.is_ok(), twelve, "{versions:?}");
        let client = Client::speaking(&device, &[&TLS13]).await;
        assert_eq!(client.is_ok(), thirteen, "{versions:?}");
        if let Ok(client) = client {
            assert_eq!(client.stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        }
        let failed = u64::from(!twelve) + u64::from(!thirteen);
        let counted = async {
            while device.counters().handshakes_failed < failed {
                tokio::task::yield_now().await
            }
        };
        timeout(SOON, counted).await.expect("failed handshakes are counted");
    }
}

#[tokio::test]
async fn certificates_differ_by_device_and_by_rotation() {
    let (_one, one) = alone(specs::switch("edge-001")).await;
    let (_two, two) = alone(specs::switch("edge-002")).await;
    assert_ne!(one.fingerprint(), two.fingerprint());
    let before = one.certificate_der();
    assert_eq!(Client::to(&one).await.unwrap().certificate(), before);
    one.rotate_certificate();
    assert_ne!(one.certificate_der(), before);
    assert_eq!(Client::to(&one).await.unwrap().certificate(), one.certificate_der());
}

#[tokio::test]
async fn the_most_requests_at_once_are_known() {
    let (fleet, device) = alone(specs::switch("edge-001")).await;
    device.set_fault(Fault::Hang);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::to(&device).await.unwrap();
        client.send("GET", "/smartlic-service/list", b"").await.unwrap();
        clients.push(client);
    }
    let counted = async {
        while fleet.max_in_flight() < 3 {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, counted).await.expect("three requests are under way");
    assert_eq!(device.counters().max_in_flight, 3);
}
