//! Conversations with the three systems as fakenos plays them: a server and command lines that are not
//! ours. `SLP_FAKENOS` names a Python that has it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slp_collector::device::shell::{Opening, Shell, ShellLimits};
use slp_collector::device::ssh::{HostTrust, Ssh, SshLimits, SshLogin, SshTarget};
use slp_collector::device::{Complaint, Dialect, Error, Overrides, Refusal};
use slp_collector::domain::settings::Os;

use crate::support;

const SCRIPT: &str = r#"
import sys
from fakenos import FakeNOS
port = int(sys.argv[1])
net = FakeNOS(inventory={
    "default": {"username": "user", "password": "right"},
    "hosts": {
        name: {"port": port + at, "platform": name}
        for at, name in enumerate(["cisco_ios", "cisco_xr", "cisco_nxos"])
    },
})
net.start()
print("ready", flush=True)
sys.stdin.read()
net.stop()
"#;

struct FakeNos {
    server: Child,
    port: u16,
}

impl FakeNos {
    fn start() -> Option<FakeNos> {
        let Some(python) = std::env::var_os("SLP_FAKENOS") else {
            assert!(!support::required("fakenos"), "SLP_REQUIRE asks for fakenos, but SLP_FAKENOS is not set");
            println!("skipped: SLP_FAKENOS is not set");
            return None;
        };
        for _ in 0..5 {
            let Some(port) = three_ports() else { continue };
            let mut server = Command::new(&python)
                .args(["-c", SCRIPT, &port.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut told = String::new();
            let mut stdout = BufReader::new(server.stdout.take().unwrap());
            stdout.read_line(&mut told).unwrap();
            if told.trim() == "ready" {
                return Some(FakeNos { server, port });
            }
            drop(server.kill());
            drop(server.wait());
        }
        panic!("fakenos did not start");
    }

    fn target(&self, at: u16, password: &str) -> SshTarget {
        SshTarget {
            authority: format!("127.0.0.1:{}", self.port + at),
            trust: HostTrust::Learn,
            login: SshLogin { username: "user".to_owned(), password: Some(password.to_owned()), private_key: None },
            limits: SshLimits::default(),
            legacy: false,
        }
    }
}

impl Drop for FakeNos {
    fn drop(&mut self) {
        drop(self.server.stdin.take().map(|mut stdin| stdin.flush()));
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// The first of three free ports in a row.
fn three_ports() -> Option<u16> {
    let first = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = first.local_addr().ok()?.port();
    let free = |at: u16| TcpListener::bind(("127.0.0.1", port.checked_add(at)?)).ok();
    let _others = (free(1)?, free(2)?);
    Some(port)
}

#[tokio::test]
async fn the_three_systems_answer() {
    let Some(peer) = FakeNos::start() else { return };
    for (at, os, sign) in
        [(0, Os::IosXe, "Cisco IOS Software"), (1, Os::IosXr, "Cisco IOS XR Software"), (2, Os::NxOs, "Nexus")]
    {
        let ssh = Ssh::connect(&peer.target(at, "right")).await.unwrap();
        let limits = ShellLimits { doubt: Duration::from_millis(200), ..ShellLimits::default() };
        let dialect = Dialect::of(os, Overrides::new());
        let opening = Opening { address: ssh.address(), setup: dialect.setup(), enable: None, limits };
        let mut shell = Shell::open(ssh.shell().await.unwrap(), dialect.manner(), opening).await.unwrap();
        let text = shell.run("show version").await.unwrap().text;
        assert!(text.contains(sign), "{text}");
        assert!(!text.contains("show version") && !text.contains(shell.prompt()) && !text.contains('\r'), "{text}");
        match shell.run("show nonsense at all").await {
            Err(Error::CommandRefused { complaint: Complaint::Unknown, .. }) => {}
            // Not what the real ones say.
            Ok(output) if output.text == "Unknown command\n" => {}
            other => panic!("{os}: {other:?}"),
        }
        shell.close().await;
        ssh.close().await;
    }
    let error = Ssh::connect(&peer.target(0, "wrong")).await.unwrap_err();
    assert!(matches!(error, Error::LoginRefused { refusal: Refusal::Ssh { .. }, .. }), "{error:?}");
}
