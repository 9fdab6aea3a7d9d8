//! Every fault of a terminal, as a client meets it.

use std::io::ErrorKind;
use std::time::Duration;

use lab::face::Way;
use lab::{Fault, Handle, Scope, specs};
use russh::{Preferred, cipher, kex, mac};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Terminal, connected, offered, rest, xe};
use crate::{DAY, alone};

/// Long enough for an answer on loopback that will not come.
const A_MOMENT: Duration = Duration::from_millis(50);
const UDI: &str = "show license udi";

async fn answer(device: &Handle, command: &str) -> String {
    let mut terminal = Terminal::on(device).await;
    terminal.ask("terminal length 0").await;
    terminal.ask(command).await
}

#[tokio::test]
async fn one_way_may_be_shut_alone() {
    let mut spec = xe();
    spec.faces.smartlic = true;
    let (_fleet, device) = alone(spec).await;
    device.set_fault_on(Fault::RefuseConnection, Scope::way(Way::Ssh));
    let refused = TcpStream::connect(device.ssh_addr().unwrap()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpStream::connect(device.addr()).await.unwrap();
    device.clear_fault();
    connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
}

#[tokio::test]
async fn connections_reset_or_hang() {
    let (_fleet, device) = alone(xe()).await;
    let addr = device.ssh_addr().unwrap();
    device.set_fault_on(Fault::ResetOnAccept, Scope::first(1));
    assert!(connected(addr, offered()).await.is_err());
    device.set_fault_on(Fault::HangHandshake, Scope::first(1));
    assert!(timeout(A_MOMENT, connected(addr, offered())).await.is_err());
    connected(addr, offered()).await.unwrap();
}

#[tokio::test]
async fn only_old_algorithms() {
    let (_fleet, device) = alone(xe()).await;
    let addr = device.ssh_addr().unwrap();
    device.set_fault(Fault::LegacyAlgorithms);
    let refused = connected(addr, offered()).await.err();
    assert!(matches!(refused, Some(russh::Error::NoCommonAlgo { .. })), "{refused:?}");
    let old = Preferred {
        kex: vec![kex::DH_G14_SHA1].into(),
        cipher: vec![cipher::AES_128_CBC].into(),
        mac: vec![mac::HMAC_SHA1].into(),
        ..Preferred::DEFAULT
    };
    connected(addr, old.clone()).await.unwrap();
    assert_eq!(device.counters().handshakes_failed, 1);
    let (_fleet, device) = alone(specs::xr("core-001")).await;
    device.set_fault(Fault::LegacyAlgorithms);
    connected(device.ssh_addr().unwrap(), old).await.unwrap();
}

#[tokio::test]
async fn a_boot_loader_instead_of_a_command_line() {
    let (_fleet, device) = alone(xe()).await;
    device.set_fault(Fault::WrongPrompt);
    let mut terminal = Terminal::unawaited(&device).await;
    assert_eq!(terminal.until("switch: ").await.unwrap(), "\r\nswitch: ");
}

#[tokio::test]
async fn a_pager_that_does_not_listen() {
    let (_fleet, device) = alone(xe()).await;
    device.set_fault(Fault::Pager);
    let mut terminal = Terminal::on(&device).await;
    terminal.ask("terminal length 0").await;
    terminal.type_in("show license all\r").await;
    terminal.until(" --More-- ").await.unwrap();
}

#[tokio::test]
async fn halves_and_drips_come_together() {
    let (_fleet, device) = alone(xe()).await;
    let whole = answer(&device, UDI).await;
    for fault in [Fault::HalfLines, Fault::Drip { bytes: 9, every: Duration::from_millis(1) }] {
        device.set_fault_on(fault, Scope::path(UDI));
        assert_eq!(answer(&device, UDI).await, whole);
    }
    device.set_fault_on(Fault::HugeBody(100_000), Scope::path(UDI));
    assert!(answer(&device, UDI).await.len() >= 99_000);
}

#[tokio::test]
async fn channels_drop_and_connections_are_cut() {
    let (_fleet, device) = alone(xe()).await;
    device.set_fault_on(Fault::DropChannel, Scope::path(UDI).and_first(1));
    let mut terminal = Terminal::on(&device).await;
    terminal.type_in(&format!("{UDI}\r")).await;
    let half = rest(&mut terminal.stream).await;
    assert!(half.contains("UDI: PID") && !half.ends_with('#'), "{half}");
    assert!(!terminal.connection.is_closed(), "the connection stays");
    terminal.connection.channel_open_session().await.unwrap();

    device.set_fault_on(Fault::CutAfter(40), Scope::path(UDI));
    let mut terminal = Terminal::on(&device).await;
    terminal.type_in(&format!("{UDI}\r")).await;
    rest(&mut terminal.stream).await;
    assert!(timeout(super::PATIENCE, terminal.connection).await.unwrap().is_err(), "the connection is gone");

    device.set_fault_on(Fault::Flip { at: 40 }, Scope::path(UDI));
    let mut terminal = Terminal::on(&device).await;
    terminal.type_in(&format!("{UDI}\r")).await;
    assert!(!rest(&mut terminal.stream).await.contains("UDI: "));
    assert!(timeout(super::PATIENCE, terminal.connection).await.unwrap().is_err(), "SSH notices");
}

#[tokio::test]
async fn a_command_that_is_never_answered() {
    let (_fleet, device) = alone(xe()).await;
    device.set_fault_on(Fault::Hang, Scope::path("show license"));
    let mut terminal = Terminal::on(&device).await;
    terminal.ask("show clock").await;
    terminal.type_in(&format!("{UDI}\r")).await;
    let mut bytes = Vec::new();
    assert!(timeout(A_MOMENT, terminal.stream.read_to_end(&mut bytes)).await.is_err());
    assert!(!String::from_utf8_lossy(&bytes).contains("UDI:"));
}

#[tokio::test]
async fn commands_that_are_not_there_or_not_allowed() {
    let (_fleet, device) = alone(specs::nexus("leaf-001")).await;
    device.set_fault_on(Fault::NoCommand, Scope::path("show license rum"));
    assert!(answer(&device, "show license rum id all").await.contains("% Invalid command at '^' marker."));
    assert!(answer(&device, UDI).await.contains("UDI: "));
    device.set_fault_on(Fault::Forbidden, Scope::path("license smart"));
    let said = answer(&device, "license smart save usage all file bootflash:a").await;
    assert_eq!(said, "% Permission denied for the role\n");
}

#[tokio::test]
async fn the_device_itself_is_at_fault() {
    let (fleet, device) = alone(xe()).await;
    fleet.clock().advance(DAY);
    let save = "license smart save usage all file flash:a";
    device.set_fault(Fault::FullFlash);
    assert_eq!(answer(&device, save).await, "Smart Agent Trusted Storage failed to store*\n");
    assert!(device.state().files.is_empty());
    device.clear_fault();
    assert_eq!(answer(&device, save).await, "");
    device.set_fault(Fault::RefuseImport(30));
    assert_eq!(answer(&device, "license smart import flash:a").await, "nonce failed to match\n");
    device.set_fault(Fault::Standby);
    let mut terminal = Terminal::unawaited(&device).await;
    terminal.until("edge-001-stby#").await.unwrap();
    terminal.type_in(&format!("{save}\r")).await;
    let said = terminal.until("edge-001-stby#").await.unwrap();
    assert!(said.contains("Smart agent is running on a standby RP "), "{said}");
    let (_fleet, device) = alone(specs::xr("core-001")).await;
    device.set_fault(Fault::Standby);
    let mut terminal = Terminal::unawaited(&device).await;
    terminal.until("\r\n").await.unwrap();
    terminal.type_in("\r").await;
    terminal.until("This (D)RP Node is not ready or active for login /configuration\r\n").await.unwrap();
}
