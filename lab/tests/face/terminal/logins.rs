//! Who gets in, and what is counted of those who do not.

use lab::spec::HostKey;
use lab::{Fault, Handle, Scope};
use russh::client::KeyboardInteractiveAuthResponse;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, ssh_key};

use super::{Terminal, connected, offered, xe};
use crate::alone;

async fn with_password(device: &Handle, user: &str, password: &str) -> bool {
    let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
    connection.authenticate_password(user, password).await.unwrap().success()
}

#[tokio::test]
async fn passwords_are_counted() {
    let (_fleet, device) = alone(xe()).await;
    assert!(with_password(&device, device.user(), device.password()).await);
    assert!(!with_password(&device, device.user(), "wrong").await);
    assert!(!with_password(&device, "nobody", device.password()).await);
    device.set_fault_on(Fault::RefuseLogin, Scope::first(1));
    assert!(!with_password(&device, device.user(), device.password()).await);
    let counters = device.counters();
    assert_eq!((counters.passwords_tried, counters.logins_refused, counters.handshakes_failed), (4, 3, 0));
}

#[tokio::test]
async fn the_server_may_ask_itself() {
    let mut spec = xe();
    spec.ssh.password = false;
    let (_fleet, device) = alone(spec).await;
    assert!(!with_password(&device, device.user(), device.password()).await);
    assert_eq!(device.counters().passwords_tried, 0, "a method that is not served tries nothing");
    let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
    let asked = connection.authenticate_keyboard_interactive_start(device.user(), None).await.unwrap();
    let KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((prompts[0].prompt.as_str(), prompts[0].echo), ("Password: ", false));
    let answer = vec![device.password().to_string()];
    let answered = connection.authenticate_keyboard_interactive_respond(answer).await.unwrap();
    assert!(matches!(answered, KeyboardInteractiveAuthResponse::Success));
    assert_eq!(device.counters().passwords_tried, 1);
}

#[tokio::test]
async fn a_key_may_be_enough() {
    let key = |seed| PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]));
    let mut spec = xe();
    spec.ssh.public_key = Some(format!("{} operator", key(1).public_key().to_openssh().unwrap()));
    let (_fleet, device) = alone(spec).await;
    for (seed, expected) in [(1, true), (2, false)] {
        let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(std::sync::Arc::new(key(seed)), None);
        let entered = connection.authenticate_publickey(device.user(), key).await.unwrap();
        assert_eq!(entered.success(), expected);
    }
    assert_eq!((device.counters().keys_tried, device.counters().passwords_tried), (1, 0));
}

#[tokio::test]
async fn an_enable_password_is_neither_echoed_nor_taken_for_a_command() {
    let mut spec = xe();
    spec.terminal.enable = Some("open-sesame".to_string());
    let (_fleet, device) = alone(spec).await;
    let mut terminal = Terminal::on(&device).await;
    terminal.type_in("enable\r").await;
    terminal.until("Password: ").await.unwrap();
    terminal.type_in("open-sesame\r").await;
    assert_eq!(terminal.until("edge-001#").await.unwrap(), "\r\nedge-001#");
    let counters = device.counters();
    assert_eq!((counters.enables_tried, counters.total(), counters.of("open-sesame")), (1, 1, 0));
}

#[tokio::test]
async fn five_lines_and_no_more() {
    let (_fleet, device) = alone(xe()).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(Terminal::on(&device).await);
    }
    assert!(connected(device.ssh_addr().unwrap(), offered()).await.is_err());
    assert_eq!(device.counters().max_vtys, 6, "the sixth was counted, and closed");
    device.hang_up();
    for mut session in sessions {
        super::rest(&mut session.stream).await;
    }
}

#[tokio::test]
async fn a_host_key_stays_until_it_is_changed() {
    for kind in [HostKey::Rsa, HostKey::Ed25519] {
        let mut spec = xe();
        spec.ssh.host_key = kind;
        let (_fleet, device) = alone(spec).await;
        let addr = device.ssh_addr().unwrap();
        let own = device.host_key();
        assert_eq!(connected(addr, offered()).await.unwrap().1, own);
        device.set_fault_on(Fault::ChangedHostKey, Scope::first(1));
        assert_ne!(connected(addr, offered()).await.unwrap().1, own);
        assert_eq!(connected(addr, offered()).await.unwrap().1, own);
        device.rotate_host_key();
        assert_eq!(connected(addr, offered()).await.unwrap().1, device.host_key());
        assert_ne!(device.host_key(), own);
    }
}
