//! The lab's SSH face held against OpenSSH's own clients, so that what we test with is not only tested by ourselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use lab::spec::Faces;
use lab::{Clock, Fault, Fleet, Handle, Operation, Portal, Reply, Spec, specs};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const PATIENCE: Duration = Duration::from_secs(60);

/// One device, and a person with OpenSSH who knows its password and its host key.
struct Operator {
    fleet: Fleet,
    device: Handle,
    folder: TempDir,
}

impl Operator {
    /// `None` where OpenSSH is not.
    async fn of(spec: Spec) -> Option<Operator> {
        support::peer("ssh", &["-V"])?;
        let name = spec.name.clone();
        let fleet = Fleet::start(vec![spec], Clock::at(T0)).await.unwrap();
        let device = fleet.device(&name);
        let folder = tempfile::tempdir().unwrap();
        let ask = folder.path().join("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{}'\n", device.password())).unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let addr = device.ssh_addr().unwrap();
        let known = format!("[{}]:{} {}\n", addr.ip(), addr.port(), device.host_key());
        fs::write(folder.path().join("known_hosts"), known).unwrap();
        Some(Operator { fleet, device, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `ssh`, `scp` or `sftp` with everything but what it is to do.
    fn client(&self, program: &str) -> Command {
        let addr = self.device.ssh_addr().unwrap();
        let mut command = Command::new(program);
        command.args(["-F", "none", if program == "ssh" { "-p" } else { "-P" }, &addr.port().to_string()]);
        for option in [
            "StrictHostKeyChecking=yes",
            "BatchMode=no",
            "NumberOfPasswordPrompts=1",
            "PubkeyAuthentication=no",
            &format!("UserKnownHostsFile={}", self.file("known_hosts").display()),
        ] {
            command.args(["-o", option]);
        }
        command.env("SSH_ASKPASS", self.file("ask")).env("SSH_ASKPASS_REQUIRE", "force");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn host(&self) -> String {
        format!("{}@{}", self.device.user(), self.device.ssh_addr().unwrap().ip())
    }

    async fn ssh(&self, command: &str) -> Output {
        done(self.client("ssh").arg(self.host()).arg(command)).await
    }

    /// Copies with the old protocol.
    async fn scp(&self, from: &str, to: &str) -> Output {
        done(self.client("scp").arg("-O").arg(from).arg(to)).await
    }

    fn remote(&self, path: &str) -> String {
        format!("{}:{path}", self.host())
    }
}

async fn done(command: &mut Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("the client ends").expect("the client starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\r\n", "\n").replace("\r\n", "\n")
}

fn flash(device: &Handle, name: &str) -> Vec<u8> {
    match device.apply(Operation::ReadFile(name.to_owned())) {
        Reply::File(bytes) => bytes,
        other => panic!("{name}: {other:?}"),
    }
}

fn answer(at: i64, usage: &Path, to: &Path) {
    let bytes = Portal::new().upload(at, "usage.txt", &fs::read(usage).unwrap()).unwrap().bytes;
    fs::write(to, bytes).unwrap();
}

fn catalyst() -> Spec {
    let mut spec = specs::switch("edge-001");
    spec.faces = Faces::ssh_and_scp();
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loop_goes_round_by_ssh_and_scp() {
    for spec in [catalyst(), specs::nexus("leaf-001")] {
        let Some(operator) = Operator::of(spec).await else { return };
        let now = operator.fleet.clock().advance(DAY);
        let saved = operator.ssh("license smart save usage all file bootflash:slp-1.txt").await;
        assert!(saved.status.success() && saved.stdout.is_empty(), "{saved:?}");
        let (usage, ack) = (operator.file("usage.txt"), operator.file("ack.txt"));
        let copied = operator.scp(&operator.remote("bootflash:slp-1.txt"), usage.to_str().unwrap()).await;
        assert!(copied.status.success(), "{}", text(&copied.stderr));
        assert_eq!(fs::read(&usage).unwrap(), flash(&operator.device, "slp-1.txt"));
        answer(now, &usage, &ack);
        let copied = operator.scp(ack.to_str().unwrap(), &operator.remote("bootflash:ack-1.txt")).await;
        assert!(copied.status.success(), "{}", text(&copied.stderr));
        assert_eq!(flash(&operator.device, "ack-1.txt"), fs::read(&ack).unwrap());
        let imported = operator.ssh("license smart import bootflash:ack-1.txt").await;
        assert_eq!(text(&imported.stdout), "Import Data Successful\n");
        assert_eq!(operator.device.state().last_ack, Some(now));
        assert_eq!(operator.device.counters().passwords_tried, 4, "one a connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_cannot_be_made_say_why() {
    let Some(operator) = Operator::of(catalyst()).await else { return };
    let local = operator.file("a.txt");
    fs::write(&local, "x".repeat(100_000)).unwrap();
    let local = local.to_str().unwrap();
    let missing = operator.scp(&operator.remote("bootflash:b.txt"), local).await;
    assert!(!missing.status.success() && text(&missing.stderr).contains("No such file"), "{missing:?}");
    operator.device.set_fault(Fault::FullFlash);
    let full = operator.scp(local, &operator.remote("bootflash:")).await;
    assert!(!full.status.success() && text(&full.stderr).contains("No space left"), "{full:?}");
    operator.device.set_fault(Fault::DropChannel);
    let file = Operation::WriteFile { name: "c.txt".to_owned(), bytes: vec![b'x'; 100_000] };
    assert_eq!(operator.device.apply(file), Reply::Done);
    let cut = operator.scp(&operator.remote("bootflash:c.txt"), operator.file("c.txt").to_str().unwrap()).await;
    assert!(!cut.status.success(), "{cut:?}");
    operator.device.clear_fault();
    let whole = operator.scp(local, &operator.remote("bootflash:")).await;
    assert!(whole.status.success(), "{}", text(&whole.stderr));
    assert_eq!(flash(&operator.device, "a.txt").len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn fingerprints_are_as_openssh_prints_them() {
    for spec in [catalyst(), specs::xr("core-001")] {
        let Some(operator) = Operator::of(spec).await else { return };
        let printed = done(Command::new("ssh-keygen").arg("-lf").arg(operator.file("known_hosts"))).await;
        let expected = operator.device.host_key_fingerprint();
        assert!(text(&printed.stdout).contains(&expected), "{expected}: {}", text(&printed.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_scp_says_so() {
    let mut spec = catalyst();
    spec.faces = Faces::inline_only();
    let Some(operator) = Operator::of(spec).await else { return };
    let refused = operator.ssh("scp -f bootflash:a.txt").await;
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(1), "Administratively disabled.\n".to_owned()));
    let batch = done(operator.client("sftp").args(["-b", "/dev/null"]).arg(operator.host())).await;
    assert!(!batch.status.success(), "{batch:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_reads_writes_lists_and_removes() {
    let mut spec = specs::xr("core-001");
    spec.faces = Faces::ssh_and_sftp();
    let Some(operator) = Operator::of(spec).await else { return };
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(operator.file("up.bin"), &bytes).unwrap();
    let batch = format!(
        "put {0}/up.bin /harddisk:/a.bin\nls -1 /harddisk:/\nget /harddisk:/a.bin {0}/down.bin\nput {0}/up.bin \
         /harddisk:/b.bin\nrm /harddisk:/b.bin\n-get /harddisk:/none {0}/none\n",
        operator.folder.path().display()
    );
    fs::write(operator.file("batch"), batch).unwrap();
    let ran = done(operator.client("sftp").arg("-b").arg(operator.file("batch")).arg(operator.host())).await;
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("a.bin"), "{}", text(&ran.stdout));
    assert_eq!(fs::read(operator.file("down.bin")).unwrap(), bytes);
    assert_eq!(operator.device.state().files, ["a.bin"]);
    assert!(!operator.file("none").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_types() {
    let Some(operator) = Operator::of(catalyst()).await else { return };
    let mut ssh = operator.client("ssh").arg("-tt").arg(operator.host()).stdin(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    let mut seen = Vec::new();
    for line in ["terminal length 0\r", "show license all\r", "exit\r"] {
        let prompt = async {
            while !seen.ends_with(b"edge-001#") {
                seen.push(screen.read_u8().await.unwrap());
            }
        };
        timeout(PATIENCE, prompt).await.expect("the prompt comes");
        keys.write_all(line.as_bytes()).await.unwrap();
        seen.push(screen.read_u8().await.unwrap());
    }
    timeout(PATIENCE, screen.read_to_end(&mut seen)).await.unwrap().unwrap();
    assert!(timeout(PATIENCE, ssh.wait()).await.unwrap().unwrap().success());
    let seen = text(&seen);
    assert!(seen.contains("edge-001#show license all\nSmart Licensing Status\n"), "{seen}");
    assert!(seen.ends_with("edge-001#exit\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_algorithms_and_changed_keys_are_noticed() {
    let Some(operator) = Operator::of(catalyst()).await else { return };
    operator.device.set_fault(Fault::LegacyAlgorithms);
    let refused = operator.ssh("show clock").await;
    assert!(text(&refused.stderr).contains("no matching"), "{refused:?}");
    let mut old = operator.client("ssh");
    for option in [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "HostKeyAlgorithms=ssh-rsa",
        "Ciphers=aes128-cbc",
        "MACs=hmac-sha1",
    ] {
        old.args(["-o", option]);
    }
    let taken = done(old.arg(operator.host()).arg("show clock")).await;
    assert!(text(&taken.stdout).contains(" UTC Thu Jan 1 2026"), "{taken:?}");
    operator.device.set_fault(Fault::ChangedHostKey);
    let changed = operator.ssh("show clock").await;
    assert!(text(&changed.stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{changed:?}");
    assert_eq!(operator.device.counters().passwords_tried, 1, "nothing was told to the impostor");
}
