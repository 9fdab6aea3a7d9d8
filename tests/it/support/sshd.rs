//! OpenSSH's own server on loopback, with keys, users' keys and a configuration of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slp_collector::device::ssh::{HostTrust, SshLimits, SshLogin, SshTarget};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// It starts itself anew for each connection, so it must be called by its whole path.
const SSHD: &str = "/usr/sbin/sshd";

/// How long a line of its log may take.
const LIMIT: Duration = Duration::from_secs(20);

pub struct Sshd {
    pub folder: TempDir,
    server: Child,
    log: mpsc::UnboundedReceiver<String>,
    port: u16,
    user: String,
}

impl Sshd {
    /// `FOLDER` in the configuration is where its files are. `None` where there is no sshd.
    pub async fn start(files: &[(&str, &str)], configuration: &str) -> Option<Sshd> {
        Sshd::start_within(&[], files, configuration).await
    }

    /// As `start`, run by a program and its arguments.
    pub async fn start_within(wrap: &[&str], files: &[(&str, &str)], configuration: &str) -> Option<Sshd> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let here = |text: &str| text.replace("FOLDER", folder.path().to_str().unwrap());
        for (name, text) in files {
            std::fs::write(at(name), here(text)).unwrap();
        }
        super::peer("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", at("user").to_str().unwrap()])?;
        for (kind, bits, name) in [
            ("rsa", "2048", "user-rsa"),
            ("rsa", "2048", "rsa"),
            ("ed25519", "256", "ed25519"),
            ("ecdsa", "256", "ecdsa"),
            ("rsa", "1024", "short-rsa"),
        ] {
            let mut keygen = Command::new("ssh-keygen");
            let made = keygen.args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"]).arg(at(name)).status().unwrap();
            assert!(made.success());
        }
        let keys = ["user.pub", "user-rsa.pub"].map(|name| std::fs::read_to_string(at(name)).unwrap()).concat();
        std::fs::write(at("authorized"), keys).unwrap();
        // Run as root it locks its unprivileged part into this folder, which a boot would have made.
        drop(std::fs::create_dir_all("/run/sshd"));
        let id = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(id.stdout).unwrap().trim().to_owned();
        // Another process may take the port between our letting go and sshd's taking it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let text = format!(
                "ListenAddress 127.0.0.1:{port}\nPidFile none\nUsePAM no\nStrictModes no\nLogLevel DEBUG1\n\
                 PermitRootLogin yes\nPrintMotd no\nPrintLastLog no\nKbdInteractiveAuthentication no\n\
                 PasswordAuthentication no\nAuthorizedKeysFile FOLDER/authorized\n"
            );
            // The first value of a key counts.
            std::fs::write(at("sshd_config"), here(&format!("{configuration}\n{text}"))).unwrap();
            super::peer(SSHD, &["-t", "-f", at("sshd_config").to_str().unwrap()])?;
            let mut words: Vec<String> = wrap.iter().map(|word| here(word)).collect();
            words.push(SSHD.to_owned());
            let mut server = Command::new(&words[0])
                .args(&words[1..])
                .args(["-D", "-e", "-f"])
                .arg(at("sshd_config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stderr = BufReader::new(server.stderr.take().unwrap());
            let (sender, mut log) = mpsc::unbounded_channel();
            std::thread::spawn(move || {
                // To its end, or the server would wait for its log to be read.
                stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
            });
            match log_until(&mut log, |line| line.starts_with("Server listening")).await {
                Ok(_) => return Some(Sshd { folder, server, log, port, user }),
                Err(log) => println!("{log}"),
            }
            drop(server.kill());
            drop(server.wait());
        }
        panic!("sshd did not start");
    }

    /// The log of one connection, to its end.
    pub async fn connection(&mut self) -> String {
        log_until(&mut self.log, |line| line == "debug1: do_cleanup")
            .await
            .unwrap_or_else(|log| panic!("no connection ended:\n{log}"))
    }

    /// The fingerprint that ssh-keygen tells.
    pub fn fingerprint(&self, key: &str) -> String {
        let key = self.folder.path().join(format!("{key}.pub"));
        let told = Command::new("ssh-keygen").arg("-lf").arg(key).output().unwrap();
        String::from_utf8(told.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    /// Its address, and the user key to get in.
    pub fn target(&self) -> SshTarget {
        SshTarget {
            authority: format!("127.0.0.1:{}", self.port),
            trust: HostTrust::Learn,
            login: self.login("user"),
            limits: SshLimits::default(),
            legacy: false,
        }
    }

    pub fn login(&self, key: &str) -> SshLogin {
        let private_key = Some(std::fs::read_to_string(self.folder.path().join(key)).unwrap());
        SshLogin { username: self.user.clone(), password: None, private_key }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// The log up to a certain line, else what came until then.
async fn log_until(
    log: &mut mpsc::UnboundedReceiver<String>,
    is_last: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut all = String::new();
    while let Ok(Some(line)) = timeout(LIMIT, log.recv()).await {
        all.push_str(&line);
        all.push('\n');
        if is_last(&line) {
            return Ok(all);
        }
    }
    Err(all)
}
