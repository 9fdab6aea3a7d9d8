//! The command line over SSH, typed by hand.

mod faults;
mod logins;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lab::{Handle, Operation, Reply, Spec, System, specs};
use russh::client::{self, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{ChannelStream, Preferred};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::{DAY, alone};

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers the host key it was shown.
#[derive(Default)]
pub struct Witness(Arc<std::sync::Mutex<String>>);

impl client::Handler for Witness {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = key {
            *self.0.lock().unwrap() = key.to_openssh().unwrap();
        }
        Ok(true)
    }
}

/// What a client of today would offer a device.
pub fn offered() -> Preferred {
    use russh::{cipher, kex, mac};
    Preferred {
        kex: vec![kex::ECDH_SHA2_NISTP256, kex::DH_G14_SHA256].into(),
        cipher: vec![cipher::AES_128_CTR].into(),
        mac: vec![mac::HMAC_SHA256].into(),
        ..Preferred::DEFAULT
    }
}

/// A connection that nobody has logged in on, and the key it was shown.
pub async fn connected(
    addr: SocketAddr,
    preferred: Preferred,
) -> Result<(client::Handle<Witness>, String), russh::Error> {
    let witness = Witness::default();
    let shown = Arc::clone(&witness.0);
    let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
    let handle = client::connect(Arc::new(config), addr, witness).await?;
    let shown = shown.lock().unwrap().clone();
    Ok((handle, shown))
}

/// A terminal session at its first prompt.
pub struct Terminal {
    pub stream: ChannelStream<Msg>,
    pub connection: client::Handle<Witness>,
    prompt: String,
}

impl Terminal {
    pub async fn on(device: &Handle) -> Terminal {
        let mut terminal = Terminal::unawaited(device).await;
        terminal.prompt = device.spec().os.prompt(device.name(), device.spec().terminal.enable.is_none(), false);
        terminal.until_prompt().await;
        terminal
    }

    /// A session whose first prompt is not waited for.
    pub async fn unawaited(device: &Handle) -> Terminal {
        let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
        assert!(connection.authenticate_password(device.user(), device.password()).await.unwrap().success());
        let channel = connection.channel_open_session().await.unwrap();
        channel.request_pty(false, "vt100", 80, 24, 0, 0, &[]).await.unwrap();
        channel.request_shell(false).await.unwrap();
        Terminal { stream: channel.into_stream(), connection, prompt: String::new() }
    }

    pub async fn type_in(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until this text, with it.
    pub async fn until(&mut self, end: &str) -> io::Result<String> {
        let mut seen = Vec::new();
        let reading = async {
            while !seen.ends_with(end.as_bytes()) {
                match self.stream.read_u8().await {
                    Ok(byte) => seen.push(byte),
                    Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            Ok(())
        };
        let ended = timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let text = String::from_utf8_lossy(&seen).into_owned();
        ended.map(|()| text.clone()).map_err(|error: io::Error| io::Error::new(error.kind(), text))
    }

    pub async fn until_prompt(&mut self) -> String {
        let prompt = self.prompt.clone();
        self.until(&prompt).await.unwrap()
    }

    /// What stands between a command and the next prompt, its echo taken off and line ends made plain.
    pub async fn ask(&mut self, command: &str) -> String {
        self.type_in(&format!("{command}\r")).await;
        let text = self.until_prompt().await.replace("\r\r\n", "\n").replace("\r\n", "\n");
        let text = text.strip_prefix(&format!("{command}\n")).unwrap_or_else(|| panic!("no echo in {text:?}"));
        text.strip_suffix(&self.prompt).unwrap_or(text).to_string()
    }
}

/// Everything that still comes, and whether the channel ended.
pub async fn rest(stream: &mut ChannelStream<Msg>) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the channel ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub fn xe() -> Spec {
    let mut spec = specs::switch("edge-001");
    spec.faces = lab::spec::Faces::ssh_and_scp();
    spec
}

#[tokio::test]
async fn every_system_answers_at_its_prompt() {
    for spec in [xe(), specs::xr("core-001"), specs::nexus("leaf-001")] {
        let os = spec.os;
        let (fleet, device) = alone(spec).await;
        fleet.clock().advance(DAY);
        let mut terminal = Terminal::on(&device).await;
        assert_eq!(terminal.ask("terminal length 0").await.lines().count(), usize::from(os == System::IosXr));
        terminal.ask("terminal width 511").await;
        let text = terminal.ask("show license udi").await;
        assert!(text.contains(&format!("UDI: {}\n", device.spec().udi())), "{text}");
        terminal.ask(&format!("license smart save usage all file {}slp-1.txt", os.file_systems()[0])).await;
        assert_eq!(device.state().files, ["slp-1.txt"]);
        terminal.type_in("exit\r").await;
        rest(&mut terminal.stream).await;
        assert_eq!(device.counters().of("show license udi"), 1);
        assert_eq!(device.counters().max_vtys, 1);
    }
}

#[tokio::test]
async fn pages_wait_for_a_key() {
    let (_fleet, device) = alone(xe()).await;
    let mut terminal = Terminal::on(&device).await;
    terminal.type_in("show license all\r").await;
    let first = terminal.until(" --More-- ").await.unwrap();
    assert_eq!(first.matches('\n').count(), 24, "the echo's line and 23 more");
    terminal.type_in("\r").await;
    let line = terminal.until(" --More-- ").await.unwrap();
    assert_eq!(line.matches('\n').count(), 1);
    terminal.type_in(" ").await;
    assert_eq!(terminal.until(" --More-- ").await.unwrap().matches('\n').count(), 23);
    terminal.type_in("q").await;
    terminal.until_prompt().await;
    terminal.ask("terminal length 0").await;
    assert!(terminal.ask("show license all").await.contains("Usage Report Summary:"));
}

#[tokio::test]
async fn long_lines_break_at_the_width() {
    let (_fleet, device) = alone(xe()).await;
    let bytes = format!("{}\n", "x".repeat(200)).into_bytes();
    device.apply(Operation::WriteFile { name: "a".into(), bytes });
    let mut terminal = Terminal::on(&device).await;
    let lengths = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
    assert_eq!(lengths(&terminal.ask("more flash:a").await), [80, 80, 40]);
    terminal.ask("terminal width 0").await;
    assert_eq!(lengths(&terminal.ask("more flash:a").await), [200]);
}

#[tokio::test]
async fn a_terminal_has_its_oddities() {
    let mut spec = specs::nexus("leaf-001");
    spec.terminal.asks_cursor = true;
    spec.terminal.syslog = true;
    let (_fleet, device) = alone(spec).await;
    let mut terminal = Terminal::unawaited(&device).await;
    assert!(terminal.until("leaf-001# ").await.unwrap().starts_with("\x1b[6n\r\r\n"));
    terminal.type_in("\x1b[24;80Rterminal lengtt\x7fh 0\r").await;
    assert!(terminal.until("leaf-001# ").await.unwrap().ends_with("h 0\r\r\nleaf-001# "), "the answer is no input");
    terminal.type_in("show license usage\r").await;
    let text = terminal.until("leaf-001# ").await.unwrap();
    assert!(text.contains("Count: 1\r\r\n") && text.contains(" %SMART_LIC-6-AGENT_ENABLED: "), "{text}");
}

#[tokio::test]
async fn what_is_typed_before_the_prompt_is_lost_or_not() {
    for loses in [true, false] {
        let mut spec = xe();
        spec.terminal.loses_early_input = loses;
        spec.terminal.wakes_after = Duration::from_millis(300);
        let (_fleet, device) = alone(spec).await;
        let mut terminal = Terminal::unawaited(&device).await;
        terminal.type_in("show clock\r").await;
        terminal.until("edge-001#").await.unwrap();
        terminal.type_in("show version\r").await;
        terminal.until("Configuration register is 0x102\r\n").await.unwrap();
        assert_eq!(device.counters().of("show clock"), u64::from(!loses));
    }
}

#[tokio::test]
async fn a_single_command_needs_no_terminal() {
    let (_fleet, device) = alone(xe()).await;
    let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
    assert!(connection.authenticate_password(device.user(), device.password()).await.unwrap().success());
    let channel = connection.channel_open_session().await.unwrap();
    channel.exec(true, "show license udi").await.unwrap();
    assert_eq!(rest(&mut channel.into_stream()).await.trim(), format!("UDI: {}", device.spec().udi()));
}

#[tokio::test]
async fn subsystems_are_there_or_not() {
    let (_fleet, device) = alone(xe()).await;
    let (mut connection, _) = connected(device.ssh_addr().unwrap(), offered()).await.unwrap();
    assert!(connection.authenticate_password(device.user(), device.password()).await.unwrap().success());
    let mut channel = connection.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    let answer = loop {
        match timeout(PATIENCE, channel.wait()).await.unwrap() {
            Some(russh::ChannelMsg::Failure) => break false,
            Some(russh::ChannelMsg::Success) => break true,
            Some(_) => {}
            None => panic!("no answer"),
        }
    };
    assert!(!answer);
}

#[tokio::test]
async fn a_device_without_ssh_has_no_port_for_it() {
    let (_fleet, device) = alone(specs::switch("edge-001")).await;
    assert_eq!((device.ssh_addr(), device.netconf_addr()), (None, None));
    let (_fleet, device) = alone(xe()).await;
    let refused = tokio::net::TcpStream::connect(device.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "and none for HTTPS here");
    assert!(matches!(device.apply(Operation::List), Reply::List(_)));
}
