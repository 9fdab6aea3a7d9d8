//! A device by its command line, over SSH or NX-API: state is read, reports are saved to a file, fetched and deleted,
//! answers are put beside it and installed.
//!
//! What is said comes from the [`Dialect`]; nothing rests on one line being right. What a save or an import answers is
//! no proof: the file itself is, and what the device lists afterwards.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::budget::Budget;
use super::dialect::{Blank, Dialect, filled};
use super::files::{Files, Way};
use super::nxapi::NxApi;
use super::own_file::{Folder, OwnFile, Written};
use super::shell::{Command, Opening, Shell, ShellLimits};
use super::ssh::{Channel, SshTarget};
use super::tape::{Exchange, Over, Tape};
use super::{
    Complaint, Error, Fetched, Identity, Learned, Limits, Proven, Reach, Session, Span, Witness, saved_reports,
    witnessed,
};
use crate::domain::event::{ImportForm, Write};
use crate::domain::fleet::HostKey;
use crate::domain::settings::{Access, FileWay, Task};
use crate::domain::show_license;
use crate::domain::state::{DeviceState, ListedReport, Stamp};

mod flash;

const FETCH: &str = "fetch reports";
const IMPORT: &str = "import";

/// The most that a command may print, in bytes; a file printed has its own limit and its share of the budget. No
/// question of this program comes near it: a thousand reports listed are 0.1 MB.
const LARGEST_OUTPUT: u64 = 1 << 20;

/// A command line that waits at its prompt.
enum Console {
    Shell(Box<Shell<Channel>>),
    NxApi(Box<NxApi>),
    /// A conversation that broke off: nobody knows where it stood.
    Lost,
    /// None: a recording is played.
    Played,
}

/// A session by command line.
pub struct Cli {
    console: Console,
    files: Files,
    dialect: Dialect,
    zone: Option<TimeZone>,
    limits: Limits,
    budget: Budget,
    learned: Learned,
    /// The password of `enable`.
    enable: Option<String>,
    /// Files of ours that earlier sessions may have left.
    written: Vec<Written>,
    tape: Tape,
    /// What `show version` printed, asked for once.
    version: Option<String>,
    /// Was it asked for its state before? A clock is read once: later some of what it printed is old.
    looked: bool,
}

/// What a session by command line needs to know.
pub struct CliTerms {
    pub dialect: Dialect,
    /// In which the device prints times that name a local zone.
    pub zone: Option<TimeZone>,
    pub limits: Limits,
    pub budget: Budget,
    pub learned: Learned,
    /// The password of `enable`.
    pub enable: Option<String>,
    /// Files of ours that are on record for this device, and no others.
    pub written: Vec<Written>,
    pub tape: Tape,
}

impl Cli {
    /// Logs in over SSH and waits for the prompt.
    pub async fn over_ssh(target: SshTarget, terms: CliTerms) -> Result<Cli, Error> {
        let mut cli = Cli::new(Console::Lost, Files::new(Some(target)), terms);
        match cli.shell().await {
            Ok(_) => Ok(cli),
            Err(error) => {
                cli.close().await;
                Err(error)
            }
        }
    }

    /// Nothing is sent before the first command. `target` is where files go by SSH, if they can.
    pub fn over_nxapi(nxapi: NxApi, target: Option<SshTarget>, terms: CliTerms) -> Cli {
        Cli::new(Console::NxApi(Box::new(nxapi)), Files::new(target), terms)
    }

    /// Hears what the tape of `terms` plays.
    pub fn played(terms: CliTerms) -> Cli {
        Cli::new(Console::Played, Files::new(None), terms)
    }

    fn new(console: Console, files: Files, terms: CliTerms) -> Cli {
        let CliTerms { dialect, zone, limits, budget, learned, enable, written, tape } = terms;
        Cli {
            console,
            files,
            dialect,
            zone,
            limits,
            budget,
            learned,
            enable,
            written,
            tape,
            version: None,
            looked: false,
        }
    }

    /// The conversation over SSH. One that broke off is begun anew on the same connection: what was written must be
    /// tidied up and read back. Nobody logs in again for it.
    async fn shell(&mut self) -> Result<&mut Shell<Channel>, Error> {
        if let Console::Shell(shell) = &self.console
            && shell.is_lost()
            && let Console::Shell(shell) = std::mem::replace(&mut self.console, Console::Lost)
        {
            shell.close().await;
        }
        if matches!(self.console, Console::Lost) {
            let ssh = self.files.ssh().await?;
            let channel = ssh.shell().await?;
            let limits = ShellLimits::default();
            let login = limits.login.min(self.limits.read);
            let limits = ShellLimits {
                login,
                command: self.limits.read,
                output: self.limits.body.min(LARGEST_OUTPUT),
                ..limits
            };
            let (setup, enable) = (self.dialect.setup(), self.enable.as_deref());
            let opening = Opening { address: ssh.address(), setup, enable, limits };
            let shell = Shell::open(channel, self.dialect.manner(), opening).await?;
            self.console = Console::Shell(Box::new(shell));
        }
        match &mut self.console {
            Console::Shell(shell) => Ok(shell),
            Console::NxApi(_) | Console::Lost | Console::Played => {
                Err(Error::Ours { step: "run a command", cause: "there is no terminal".to_owned() })
            }
        }
    }

    pub(super) fn remember(&mut self, access: Access) {
        self.learned.access = Some(access);
    }

    /// What was agreed upon in the SSH connection, where there is one.
    pub fn negotiated(&self) -> Option<&super::ssh::Negotiated> {
        self.files.connected().map(super::ssh::Ssh::negotiated)
    }

    /// What `show version` prints.
    pub async fn version(&mut self) -> Result<String, Error> {
        if self.version.is_none() {
            self.version = Some(self.climb(Task::Version, &[]).await?);
        }
        Ok(self.version.clone().unwrap_or_default())
    }

    /// The device's clock, as `show clock` prints it; by NX-API its answer's date, where that tells more.
    pub async fn clock(&mut self) -> Result<Option<Stamp>, Error> {
        let text = self.climb(Task::Clock, &[]).await?;
        // The reader knows a clock by the command before it.
        let printed = show_license::read(&format!("device#show clock\n{text}"), self.zone.as_ref()).clock;
        let dated = match &self.console {
            Console::NxApi(nxapi) => nxapi.clock(),
            Console::Shell(_) | Console::Lost | Console::Played => None,
        };
        Ok([dated, printed].into_iter().flatten().max_by_key(|clock| clock.utc.is_some()))
    }

    /// Which ways files may go, asked for with the name of a file that is not there. Reads only, so that a file
    /// may be put is inferred.
    pub async fn ways(&mut self) -> Result<Vec<Way>, Error> {
        let step = "look for ways of files";
        let folder = match self.find_folder(step).await {
            Ok((folder, _)) => folder,
            Err(error @ Error::Unreachable { .. }) => return Err(error),
            Err(_) => {
                let first = self.dialect.folders().first().copied().unwrap_or_default();
                Folder::try_from(first).map_err(|error| Error::Ours { step, cause: error.to_string() })?
            }
        };
        let file = OwnFile::fresh()?;
        let mut ways = match &self.console {
            Console::Shell(_) => self.files.ways(&folder, &file).await,
            Console::NxApi(_) | Console::Lost | Console::Played => Vec::new(),
        };
        let known = self.learned.clone();
        let mut failure = None;
        for task in [Task::Digest, Task::Print] {
            match self.climb(task, &[Blank::File(&folder, &file)]).await {
                Ok(_) | Err(Error::CommandRefused { complaint: Complaint::Failed | Complaint::Busy, .. }) => {}
                Err(error @ Error::Unreachable { .. }) => return Err(error),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        // What was said of a file that is not there teaches nothing.
        self.learned = known;
        ways.push(Way { way: FileWay::Inline, failure });
        Ok(ways)
    }

    /// Says one line and reads what it prints. A refusal is an error.
    async fn say(&mut self, line: &str, limit: Option<Duration>) -> Result<String, Error> {
        if let Console::Played = &self.console
            && let Some(played) = self.tape.play(Over::Cli, line)
        {
            // What was not asked when it was recorded is as if the device did not know it.
            let Ok(Exchange { got, refused, .. }) = played else {
                let said = "nothing like it was recorded".to_owned();
                return Err(Error::CommandRefused { command: line.to_owned(), said, complaint: Complaint::Unknown });
            };
            return match refused {
                None => Ok(got),
                Some(complaint) => Err(Error::CommandRefused { command: line.to_owned(), said: got, complaint }),
            };
        }
        // On the heap, as everything that talks to a device goes through here.
        let outcome = Box::pin(self.uttered(line, limit)).await;
        if let Console::Shell(_) = &self.console {
            let (got, refused) = match &outcome {
                Ok(text) => (text.clone(), None),
                Err(Error::CommandRefused { said, complaint, .. }) => (said.clone(), Some(*complaint)),
                Err(_) => return outcome,
            };
            self.tape.note(|| Exchange { over: Over::Cli, sent: line.to_owned(), got, status: None, refused });
        }
        outcome
    }

    async fn uttered(&mut self, line: &str, limit: Option<Duration>) -> Result<String, Error> {
        match &mut self.console {
            Console::Played => {
                Err(Error::Ours { step: "run a command", cause: "there is no device behind a recording".to_owned() })
            }
            Console::Shell(_) | Console::Lost => {
                let command = Command::new(line);
                let command = match limit {
                    Some(limit) => command.within(limit),
                    None => command,
                };
                self.shell().await?.run(command).await.map(|output| output.text)
            }
            Console::NxApi(nxapi) => {
                if limit.is_some() {
                    nxapi.be_patient();
                }
                let answer = nxapi.run("run a command", &[line]).await?.pop().ok_or_else(|| Error::Misbehaved {
                    step: "run a command",
                    expected: "an answer to the command",
                    got: "none".to_owned(),
                })?;
                let complaint = self.dialect.manner().complaint(&answer.text);
                match (answer.refused, complaint) {
                    (_, Some((complaint, said))) => {
                        Err(Error::CommandRefused { command: line.to_owned(), said, complaint })
                    }
                    (true, None) => {
                        let said = answer.text.trim().chars().take(200).collect();
                        Err(Error::CommandRefused { command: line.to_owned(), said, complaint: Complaint::Unknown })
                    }
                    (false, None) => Ok(answer.text),
                }
            }
        }
    }

    /// Says the lines of a task until one is taken, and remembers which.
    async fn climb(&mut self, task: Task, blanks: &[Blank<'_>]) -> Result<String, Error> {
        let slow = matches!(
            task,
            Task::SaveAll | Task::SaveUnreported | Task::SaveDays | Task::SaveOne | Task::Import | Task::Digest
        );
        let learned = self.learned.commands.get(&task).cloned();
        let ladder: Vec<String> =
            self.dialect.ladder(task, learned.as_deref()).into_iter().map(str::to_owned).collect();
        let mut refused = None;
        for line in &ladder {
            match self.say(&filled(line, blanks), slow.then_some(self.limits.slow)).await {
                Ok(text) => {
                    if ladder.len() > 1 {
                        self.learned.commands.insert(task, line.clone());
                    }
                    return Ok(text);
                }
                Err(error @ Error::CommandRefused { complaint: Complaint::Unknown, .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused
            .unwrap_or_else(|| Error::Ours { step: "run a command", cause: format!("no command line for {task}") }))
    }

    /// The line that a write begins with, for its record.
    fn about(&self, task: Task, blanks: &[Blank<'_>]) -> String {
        let learned = self.learned.commands.get(&task).map(String::as_str);
        let ladder = self.dialect.ladder(task, learned);
        let line = filled(ladder.first().copied().unwrap_or_default(), blanks);
        if ladder.len() > 1 { format!("{line} (or another form of it)") } else { line }
    }
}

impl Session for Cli {
    async fn state(&mut self) -> Result<(Option<Identity>, DeviceState), Error> {
        let version = self.version().await?;
        let mut texts = vec![version];
        match self.climb(Task::State, &[]).await {
            Ok(text) => texts.push(text),
            Err(Error::CommandRefused { .. }) => {
                for task in [Task::Status, Task::Usage] {
                    match self.climb(task, &[]).await {
                        Ok(text) => texts.push(text),
                        Err(Error::CommandRefused { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        if !self.dialect.ladder(Task::Compliance, None).is_empty() {
            match self.climb(Task::Compliance, &[]).await {
                Ok(text) => texts.push(text),
                // No state is given up for it; a recording may lack it.
                Err(Error::CommandRefused { .. } | Error::Ours { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let licensing = texts.get(1..).unwrap_or_default().join("\n");
        let mut state = show_license::read(&licensing, self.zone.as_ref()).state;
        let zone = self.zone.clone();
        let tell = |texts: &[String]| show_license::identity(texts.iter().map(String::as_str), zone.as_ref());
        let mut told = tell(&texts);
        for task in [Task::Udi, Task::Inventory] {
            if told.udi.is_some() {
                break;
            }
            match self.climb(task, &[]).await {
                Ok(text) => texts.push(text),
                Err(Error::CommandRefused { .. }) => {}
                Err(error) => return Err(error),
            }
            told = tell(&texts);
        }
        let first = !std::mem::replace(&mut self.looked, true);
        // IOS XR heads each output with a time that has no year.
        if first && told.clock.as_ref().is_none_or(|clock| clock.utc.is_none()) {
            match self.clock().await {
                Ok(clock) => told.clock = clock.or(told.clock),
                // No state is given up for a clock; a recording may lack it.
                Err(Error::CommandRefused { .. } | Error::Ours { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if state.udi.is_none() {
            state.udi = told.udi.clone();
        }
        let system = self.dialect.system();
        let identity = told.udi.map(|udi| Identity {
            udi,
            uuid: told.uuid,
            members: told.members,
            os: system,
            software: told.software,
            hostname: told.hostname,
            clock: told.clock.filter(|_| first),
        });
        Ok((identity, state))
    }

    async fn list(&mut self) -> Result<Vec<ListedReport>, Error> {
        match self.climb(Task::List, &[]).await {
            Ok(text) => Ok(show_license::rum_ids(&text)),
            // This software has no such list: the counts in its state must do.
            Err(Error::CommandRefused { complaint: Complaint::Unknown, .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn fetch<W: Witness>(&mut self, span: &Span, witness: &mut W) -> Result<Fetched, Error> {
        let (task, blank) = match span {
            Span::All => (Task::SaveAll, None),
            Span::Unreported => (Task::SaveUnreported, None),
            Span::Days(days) => (Task::SaveDays, Some(Blank::Days(*days))),
            Span::One(id) => (Task::SaveOne, Some(Blank::Report(*id))),
        };
        let Some(saved) = self.save_and_get(task, blank, witness).await? else {
            return Ok(Fetched { reports: Vec::new(), problems: Vec::new(), _share: None });
        };
        let (reports, faults) = saved_reports(FETCH, &saved.bytes)?;
        let problems = saved.problems.into_iter().chain(faults).collect();
        Ok(Fetched { reports, problems, _share: Some(saved.share) })
    }

    async fn close_reports<W: Witness>(&mut self, _: &mut W) -> Result<(), Error> {
        let cause = "a command line closes reports by saving them".to_owned();
        Err(Error::Ours { step: "close reports", cause })
    }

    async fn import<W: Witness>(&mut self, file: &[u8], _: &ImportForm, witness: &mut W) -> Result<(), Error> {
        let folder = self.folder(IMPORT, file.len() as u64, witness).await?;
        let own = OwnFile::fresh()?;
        let path = own.within(&folder);
        self.put(&folder, &own, file, witness).await?;
        let detail = self.about(Task::Import, &[Blank::File(&folder, &own)]);
        let imported = witnessed(witness, Write::ImportFile, &detail, async {
            let answer = self.climb(Task::Import, &[Blank::File(&folder, &own)]).await?;
            match show_license::complaint(&answer) {
                None => Ok(()),
                Some(complaint) => Err(Error::CommandRefused {
                    command: format!("import {path}"),
                    said: complaint.text,
                    complaint: Complaint::Failed,
                }),
            }
        })
        .await;
        let deleted = self.delete(&folder, &own, witness).await;
        match (imported, deleted) {
            // The answer is on; that our file stayed is on record.
            (imported, Ok(()) | Err(Error::CommandRefused { .. } | Error::NoLeave { .. })) => imported,
            (imported, Err(error)) => Err(flash::graver(imported.err(), error)),
        }
    }

    async fn discard<W: Witness>(&mut self, left: &Written, witness: &mut W) -> Result<(), Error> {
        let blank = [Blank::File(&left.folder, &left.file)];
        match self.climb(Task::Space, &blank).await {
            Ok(listing) if flash::lists(&listing, &left.file) => self.delete(&left.folder, &left.file, witness).await,
            // It says so in words of its own.
            Ok(_) | Err(Error::CommandRefused { complaint: Complaint::Failed, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reach(&self) -> Reach {
        Reach { fetching_closes: true, fetches_each: true, by_file: true }
    }

    fn proven(&self) -> Proven {
        let host_key = self
            .negotiated()
            .map(|agreed| HostKey { fingerprint: agreed.fingerprint, key_type: agreed.host_key_type.clone() });
        let certificate = match &self.console {
            Console::NxApi(nxapi) => nxapi.proven(),
            Console::Shell(_) | Console::Lost | Console::Played => None,
        };
        Proven { certificate, host_key }
    }

    fn learned(&self) -> Learned {
        self.learned.clone()
    }

    async fn close(self) {
        match self.console {
            Console::Shell(shell) => drop(shell.close().await),
            Console::NxApi(_) | Console::Lost | Console::Played => {}
        }
        self.files.close().await;
    }
}
