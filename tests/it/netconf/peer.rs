//! Peers that are not ours: `ncclient` against the lab's server, our client against PyPI's `netconf`; and our client
//! against the lab over real SSH.

use std::process::Stdio;

use lab::spec::{Faces, HostKey};
use slp_collector::device::ssh::{Channel, HostTrust, Ssh, SshLimits, SshLogin, SshTarget};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::*;
use crate::support;

const PATIENCE: Duration = Duration::from_secs(60);

fn target(authority: String, user: &str, password: &str) -> SshTarget {
    let login = SshLogin { username: user.to_owned(), password: Some(password.to_owned()), private_key: None };
    SshTarget { authority, trust: HostTrust::Learn, login, limits: SshLimits::default(), legacy: false }
}

/// A device that serves NETCONF on a port of its own.
async fn listening(spec: Spec) -> (Fleet, Handle) {
    fleet_of(Spec { faces: Faces { netconf: true, ..Faces::none() }, ..spec }).await
}

async fn over_ssh(device: &Handle) -> (Ssh, Netconf<Channel>) {
    let address = device.netconf_addr().unwrap().to_string();
    let ssh = Ssh::connect(&target(address.clone(), device.user(), device.password())).await.unwrap();
    let channel = ssh.subsystem("netconf").await.unwrap();
    let netconf = Netconf::open(channel, &address, limits(), Budget::new(4 << 20)).await.unwrap();
    (ssh, netconf)
}

#[tokio::test]
async fn real_ssh_carries_it() {
    for base_1_1 in [true, false] {
        let knobs = Knobs { base_1_1, ..Knobs::default() };
        let (fleet, device) = listening(Spec { netconf: knobs, ..specs::stack("core-001", 8) }).await;
        fleet.clock().advance(DAY);
        let (ssh, netconf) = over_ssh(&device).await;
        let mut session = IosXe::new(netconf);
        session.save_usage(Usage::All, "bootflash:all.xml").await.unwrap();
        // In a task of its own, as polls are.
        let told = tokio::spawn(async move { (session.state().await, session) });
        let (told, mut session) = told.await.unwrap();
        let (identity, state) = told.unwrap();
        assert_eq!(identity.unwrap().hostname.as_deref(), Some("core-001"));
        assert!(!state.rum_ids.is_empty() && !state.trust_codes.is_empty());
        session.delete("flash:all.xml").await.unwrap();
        session.close().await.unwrap();
        ssh.close().await;

        // Hung up on in the middle of a session.
        let (ssh, netconf) = over_ssh(&device).await;
        let mut session = IosXe::new(netconf);
        session.state().await.unwrap();
        device.hang_up();
        assert!(matches!(session.state().await, Err(Error::Unreachable { .. })));
        ssh.close().await;
    }
}

#[tokio::test]
async fn a_port_without_netconf_says_so() {
    let faces = Faces { ssh: true, ..Faces::none() };
    let (_fleet, device) = fleet_of(Spec { faces, ..specs::switch("edge-001") }).await;
    let address = device.ssh_addr().unwrap().to_string();
    let ssh = Ssh::connect(&target(address, device.user(), device.password())).await.unwrap();
    let error = ssh.subsystem("netconf").await.err().unwrap();
    assert_eq!(error.blame(), Blame::Unsupported, "{error}");
    ssh.close().await;
}

/// `unshare` with what it takes to get a network of one's own, for root and for others.
async fn apart() -> Option<Command> {
    for flags in [&["-n"][..], &["-r", "-n"]] {
        let mut command = Command::new("unshare");
        command.args(flags);
        let mut probe = Command::new("unshare");
        if probe.args(flags).arg("true").output().await.is_ok_and(|output| output.status.success()) {
            return Some(command);
        }
    }
    println!("skipped: no network of its own can be had");
    None
}

#[tokio::test]
async fn ncclient_finds_its_way_in_the_labs_server() {
    let Some(python) = support::python() else { return };
    for (base_1_1, host_key) in [(true, HostKey::Ed25519), (false, HostKey::Rsa)] {
        let mut spec = specs::switch("edge-001");
        spec.netconf = Knobs { base_1_1, chunk: 50, ..Knobs::default() };
        spec.ssh.host_key = host_key;
        let (fleet, device) = listening(spec).await;
        fleet.clock().advance(DAY);
        let mut client = Command::new(&python);
        client.args(["-c", include_str!("client.py"), &device.netconf_addr().unwrap().port().to_string()]);
        client.args([device.user(), device.password()]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, client.output()).await.unwrap().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = format!(
            "revision 2021-03-01\nchunked {}\nserial {}\nothers 0\nrum-save-usage-all success\nimport-file notfound\n\
             delete RPC request successful\nfrobnicate error unknown-element\nclosed\n",
            if base_1_1 { "True" } else { "False" },
            device.spec().udi().sn
        );
        assert_eq!(printed, expected, "{errors}");
    }
}

#[tokio::test]
async fn our_client_finds_its_way_in_another_server() {
    let Some(python) = support::python() else { return };
    // That server listens on every interface.
    let Some(mut server) = apart().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut server = server
        .arg(python)
        .args(["-c", include_str!("server.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut to, mut from) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let (mut reading, mut writing) = socket.into_split();
        let outward = tokio::io::copy(&mut from, &mut writing);
        let inward = async {
            tokio::io::copy(&mut reading, &mut to).await?;
            to.shutdown().await
        };
        tokio::join!(outward, inward)
    });
    let talk = async {
        let ssh = Ssh::connect(&target(address.clone(), "slp", "only-in-the-lab")).await.unwrap();
        let channel = ssh.subsystem("netconf").await.unwrap();
        let netconf = Netconf::open(channel, &address, limits(), Budget::new(4 << 20)).await.unwrap();
        assert_eq!(netconf.framing(), Framing::Chunked);
        assert_eq!(netconf.capabilities().revision("cisco-smart-license"), Some("2021-03-01"));
        let mut session = IosXe::new(netconf);
        let (identity, state) = session.state().await.unwrap();
        let identity = identity.unwrap();
        assert_eq!((&*identity.udi.sn, identity.hostname.as_deref()), ("9INVENTED77", Some("peer-1")));
        assert_eq!(state.policy.unwrap().name.as_deref(), Some("J\u{fc}rgen & S\u{f6}hne"));
        assert_eq!(state.usage_reporting.last_ack.unwrap().utc, "2026-02-02T08:00:00Z".parse().ok());
        session.save_usage(Usage::Days(30), "bootflash:a&b.xml").await.unwrap();
        let error = session.import_file("bootflash:ack.xml").await.unwrap_err();
        assert!(error.to_string().contains("(verifysignaturefailed 45)"), "{error}");
        session.delete("bootflash:a&b.xml").await.unwrap();
        let error = session.save_usage(Usage::All, "bootflash:a").await.unwrap_err();
        assert_eq!(error.blame(), Blame::Unsupported, "{error}");
        session.close().await.unwrap();
        ssh.close().await;
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap();
    drop(server.kill().await);
}
