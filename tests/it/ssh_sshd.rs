//! SSH against OpenSSH's own server: algorithms, host keys, logins, a played device, files.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use slp_collector::device::flash::{FileLimits, Md5};
use slp_collector::device::own_file::{self, Folder, OwnFile};
use slp_collector::device::sftp::Sftp;
use slp_collector::device::shell::{IOS_XE, Opening, Shell, ShellLimits};
use slp_collector::device::ssh::{HostPin, HostTrust, Ssh, SshLimits, SshLogin, SshTarget};
use slp_collector::device::{Error, Refusal, inline, scp};
use slp_collector::domain::digest::Sha256;

use crate::support;

const LIMIT: Duration = Duration::from_secs(20);

/// An SSH server of the system with a configuration, keys and a user key of its own.
struct Sshd {
    folder: tempfile::TempDir,
    server: Child,
    /// What it logs, line by line.
    log: mpsc::Receiver<String>,
    port: u16,
    user: String,
}

/// The server must be called by its whole path, or it cannot start itself anew for each connection.
const PATH: &str = "/usr/sbin/sshd";

impl Sshd {
    fn start(configuration: &str) -> Option<Sshd> {
        Sshd::start_within(&[], configuration)
    }

    /// `wrap`: a program and its arguments that run the server.
    fn start_within(wrap: &[&str], configuration: &str) -> Option<Sshd> {
        // It has no version switch; -T wants keys. A bad option makes it print its usage, status 1.
        support::peer("sh", &["-c", &format!("test -x {PATH}")])?;
        support::peer("ssh-keygen", &["-l", "-f", "/dev/null"].map(|_| "-?")).map_or((), drop);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (kind, bits) in [("rsa", "2048"), ("ed25519", "256"), ("ecdsa", "256")] {
            keygen(&["-t", kind, "-b", bits, "-f", at(kind).to_str().unwrap()]);
        }
        keygen(&["-t", "ed25519", "-f", at("user").to_str().unwrap()]);
        keygen(&["-t", "rsa", "-b", "2048", "-f", at("user-rsa").to_str().unwrap()]);
        let keys = ["user.pub", "user-rsa.pub"].map(|name| std::fs::read_to_string(at(name)).unwrap()).concat();
        std::fs::write(at("authorized"), keys).unwrap();
        // Where it runs as root it wants a folder to lock its unprivileged part into.
        let _ = std::fs::create_dir_all("/run/sshd");
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let text = format!(
                "ListenAddress 127.0.0.1:{port}\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel DEBUG1\n\
                 PermitRootLogin yes\nPrintMotd no\nPrintLastLog no\nKbdInteractiveAuthentication no\n\
                 Subsystem sftp internal-sftp\nAuthorizedKeysFile {folder}/authorized\n{configuration}\n",
                folder = folder.path().display(),
            )
            .replace("FOLDER", folder.path().to_str().unwrap());
            std::fs::write(at("sshd_config"), text).unwrap();
            let mut words = wrap.to_vec();
            words.push(PATH);
            let mut server = Command::new(words[0])
                .args(&words[1..])
                .args(["-D", "-e", "-f"])
                .arg(at("sshd_config"))
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let (sender, log) = mpsc::channel();
            let stderr = server.stderr.take().unwrap();
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        // Read on, or the server blocks.
                    }
                }
            });
            let mut sshd = Sshd { folder, server, log, port, user };
            match sshd.logged("Server listening") {
                Some(_) => return Some(sshd),
                None => return_folder(&mut sshd),
            }
            panic!("sshd did not start");
        }
        None
    }

    /// Waits for a line of the log. `None` when the log ends or nothing like it comes.
    fn logged(&self, holds: &str) -> Option<String> {
        let mut all = String::new();
        while let Ok(line) = self.log.recv_timeout(LIMIT) {
            if line.contains(holds) {
                return Some(all + &line);
            }
            all.push_str(&line);
            all.push('\n');
        }
        println!("{all}");
        None
    }

    fn fingerprint(&self, kind: &str) -> String {
        let key = self.folder.path().join(format!("{kind}.pub"));
        let output = Command::new("ssh-keygen").arg("-l").arg("-f").arg(key).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    fn target(&self) -> SshTarget {
        SshTarget {
            authority: format!("127.0.0.1:{}", self.port),
            trust: HostTrust::Learn,
            login: SshLogin {
                username: self.user.clone(),
                password: None,
                private_key: Some(std::fs::read_to_string(self.folder.path().join("user")).unwrap()),
            },
            limits: SshLimits::default(),
            legacy: false,
        }
    }
}

fn return_folder(_: &mut Sshd) {}

fn keygen(arguments: &[&str]) {
    let output = Command::new("ssh-keygen").args(["-q", "-N", ""]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
