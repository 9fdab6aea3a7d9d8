//! A site to try the whole thing on: a lab fleet, the files of an operator who watches it, and the real program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use lab::portal::Answer;
use lab::spec::Faces;
use lab::{Clock, Fleet, Handle, Operation, Portal, Reply, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;
use slp_collector::config::Config;
use slp_collector::flow;
use slp_collector::ledger::Ledger;

/// The lab's clock starts so many seconds behind the system's, so that a test may move it and stay in the past.
const BEHIND: i64 = 5 * 86_400;

/// A port at which nothing answers.
const CLOSED: u16 = 1;

/// Time limits that no busy machine reaches by itself, and that no test waits long for.
pub const LIMITS: &str =
    "connect_timeout = \"4s\"\nread_timeout = \"4s\"\ndevice_timeout = \"10s\"\nbody_limit = \"1MiB\"\n";

pub struct Site {
    pub fleet: Fleet,
    pub portal: Portal,
    folder: tempfile::TempDir,
    /// The fleet lives on its threads.
    _runtime: tokio::runtime::Runtime,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Panics with everything that was said when the exit code is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "out:\n{}err:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}\n{}", self.out, self.err))
    }
}

impl Site {
    /// Every device in mode `deliver`.
    pub fn new(specs: Vec<Spec>) -> Site {
        Site::with(specs, LIMITS, |_| "deliver")
    }

    /// `poll` are lines of `[poll]`; `mode` is asked for each device. What serves REST alone is asked for nothing else.
    pub fn with(specs: Vec<Spec>, poll: &str, mode: impl Fn(&str) -> &'static str) -> Site {
        let rest = |spec: &Spec| spec.faces == Faces::rest();
        Site::entered(specs, poll, mode, |spec| if rest(spec) { "rest" } else { "auto" })
    }

    /// The same, with the access of each device.
    pub fn entered(
        specs: Vec<Spec>,
        poll: &str,
        mode: impl Fn(&str) -> &'static str,
        access: impl Fn(&Spec) -> &'static str,
    ) -> Site {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Clock::at(Timestamp::now().as_second() - BEHIND);
        let fleet = runtime.block_on(Fleet::start(specs, clock)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = Site { fleet, portal: Portal::new(), folder, _runtime: runtime };
        site.write(poll, mode, access);
        site
    }

    fn write(&self, poll: &str, mode: impl Fn(&str) -> &'static str, access: impl Fn(&Spec) -> &'static str) {
        let mut toml = format!(
            "[collector]\nname = \"test-house\"\nstate_dir = \"state\"\nsocket = \"control.sock\"\n\n\
             [poll]\n{poll}\n[exchange]\nfolder = \"exchange\"\nsigner = \"signer\"\n"
        );
        // Whoever wants to watch says where.
        if !poll.contains("[http]") {
            toml += "\n[http]\nenabled = false\n";
        }
        let mut csv = "name,address,port,ssh_port,netconf_port,access,site,credential,mode\n".to_owned();
        let mut credentials: BTreeMap<&str, &str> = BTreeMap::new();
        let mut enables: BTreeMap<&str, &str> = BTreeMap::new();
        let mut sites: Vec<&str> = Vec::new();
        for device in self.fleet.devices() {
            let (name, addr, user) = (device.name(), device.addr(), device.user());
            let site = device.spec().site.as_str();
            let port = |addr: Option<SocketAddr>| addr.map_or(CLOSED, |addr| addr.port());
            let (ssh, netconf) = (port(device.ssh_addr()), port(device.netconf_addr()));
            let https = port(device.spec().faces.https().then_some(addr));
            let (ip, mode, access) = (addr.ip(), mode(name), access(device.spec()));
            if let Some(enable) = device.spec().terminal.enable.as_deref() {
                enables.insert(user, enable);
            }
            csv += &format!("{name},{ip},{https},{ssh},{netconf},{access},{site},{user},{mode}\n");
            let known = credentials.insert(user, device.password());
            assert!(known.is_none_or(|known| known == device.password()), "{user} has two passwords");
            if !site.is_empty() && !sites.contains(&site) {
                sites.push(site);
            }
        }
        for site in sites {
            toml += &format!("\n[sites.{site}]\n");
        }
        for (user, password) in credentials {
            toml += &format!("\n[credentials.{user}]\nusername = \"{user}\"\npassword_file = \"{user}.password\"\n");
            self.write_secret(&format!("{user}.password"), password);
            if let Some(enable) = enables.get(user) {
                toml += &format!("enable_file = \"{user}.enable\"\n");
                self.write_secret(&format!("{user}.enable"), enable);
            }
        }
        fs::write(self.config_file(), toml).unwrap();
        fs::write(self.path("devices.csv"), csv).unwrap();
    }

    fn write_secret(&self, name: &str, secret: &str) {
        let mut file = fs::OpenOptions::new();
        let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(self.path(name)).unwrap();
        std::io::Write::write_all(&mut file, secret.as_bytes()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config_file(&self) -> PathBuf {
        self.path("slp-collector.toml")
    }

    pub fn config(&self) -> Config {
        Config::load(&self.config_file()).unwrap()
    }

    pub fn ledger_dir(&self) -> PathBuf {
        flow::ledger_dir(&self.config())
    }

    /// Opens the memory as a start of the program would.
    pub fn ledger(&self) -> Ledger {
        flow::open_ledger(&self.config()).unwrap()
    }

    pub fn device(&self, name: &str) -> Handle {
        self.fleet.device(name)
    }

    pub fn advance(&self, seconds: i64) {
        self.fleet.clock().advance(seconds);
    }

    /// The program with this site's configuration, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
        command.arg("--config").arg(self.config_file()).args(args);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        ran(&mut self.command(args))
    }

    /// The register, a JSON object a row.
    #[track_caller]
    pub fn status(&self) -> Vec<Value> {
        self.run(["status", "--format", "json"]).exits(0).json()
    }

    /// Makes a bundle; the folder.
    #[track_caller]
    pub fn bundle(&self) -> PathBuf {
        let made: Value = self.run(["bundle", "create", "--format", "json"]).exits(0).json();
        PathBuf::from(made["path"].as_str().unwrap())
    }

    /// Carries to the portal what a person would: each archive, each file of `unassigned/`. The answers, and what was
    /// refused with the portal's reason.
    pub fn upload(&mut self, bundle: &Path) -> (Vec<Answer>, Vec<(String, String)>) {
        let mut files: Vec<PathBuf> = files(bundle)
            .into_iter()
            .filter(|file| {
                let name = file.file_name().unwrap().to_string_lossy();
                name.starts_with("UD_SA_") || file.parent().unwrap().ends_with("unassigned")
            })
            .collect();
        files.sort();
        let (mut answers, mut refusals) = (Vec::new(), Vec::new());
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            match self.portal.upload(self.fleet.clock().now(), &name, &fs::read(&file).unwrap()) {
                Ok(answer) => answers.push(answer),
                Err(refusal) => refusals.push((name, refusal.to_string())),
            }
        }
        (answers, refusals)
    }

    /// Writes answers to files, as a courier would bring them.
    pub fn download(&self, answers: &[Answer]) -> Vec<PathBuf> {
        let folder = self.path("download");
        fs::create_dir_all(&folder).unwrap();
        let write = |answer: &Answer| {
            let path = folder.join(&answer.name);
            fs::write(&path, &answer.bytes).unwrap();
            path
        };
        answers.iter().map(write).collect()
    }

    /// `ack import` of these files.
    pub fn import(&self, files: &[PathBuf], more: &[&str]) -> Ran {
        let mut command = self.command(["ack", "import"]);
        ran(command.args(more).args(files))
    }

    /// Each report of a device that can be fetched now, by its id: the device's own bytes.
    pub fn bodies(&self, name: &str) -> BTreeMap<u64, String> {
        match self.device(name).apply(Operation::AllReports) {
            Reply::Reports(reports) => reports.into_iter().map(|report| (report.report_id, report.json)).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Runs a program to its end.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
