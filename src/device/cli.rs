//! A device by its command line, over SSH or NX-API: state is read, reports are saved to a file, fetched and deleted,
//! answers are put beside it and installed.
//!
//! What is said comes from the [`Dialect`]; nothing rests on one line being right. What a save or an import answers is
//! no proof: the file itself is, and what the device lists afterwards.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::budget::Budget;
use super::dialect::{Dialect, filled};
use super::files::{Files, Way, about_copy, no_way_off};
use super::flash::{self, FileLimits, Md5};
use super::inline;
use super::nxapi::NxApi;
use super::own_file::{Folder, OwnFile};
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
use crate::domain::show_license::{self, ComplaintKind};
use crate::domain::state::{DeviceState, ListedReport, Stamp};

const FETCH: &str = "fetch reports";
const IMPORT: &str = "import";

/// How long saving usage and importing may take; devices are known to need tens of seconds.
const SLOW: Duration = Duration::from_secs(120);

/// What a save needs at most, as far as is known: "a few MB".
const MOST_SAVED: u64 = 8 << 20;

/// A command line that waits at its prompt.
enum Console {
    Shell(Box<Shell<Channel>>),
    NxApi(Box<NxApi>),
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
    tape: Tape,
    /// What `show version` printed, asked for once.
    version: Option<String>,
}

/// What a session by command line needs to know.
pub struct CliTerms {
    pub dialect: Dialect,
    /// In which the device prints times that name a local zone.
    pub zone: Option<TimeZone>,
    pub limits: Limits,
    pub budget: Budget,
    pub learned: Learned,
    pub tape: Tape,
}

impl Cli {
    /// Logs in over SSH and waits for the prompt.
    pub async fn over_ssh(target: SshTarget, enable: Option<&str>, terms: CliTerms) -> Result<Cli, Error> {
        let mut files = Files::new(Some(target));
        let opened = open_shell(&mut files, enable, &terms).await;
        match opened {
            Ok(shell) => Ok(Cli::new(Console::Shell(Box::new(shell)), files, terms)),
            Err(error) => {
                files.close().await;
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
        let CliTerms { dialect, zone, limits, budget, learned, tape } = terms;
        Cli { console, files, dialect, zone, limits, budget, learned, tape, version: None }
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

    /// The device's clock, as `show clock` prints it.
    pub async fn clock(&mut self) -> Result<Option<Stamp>, Error> {
        let text = self.climb(Task::Clock, &[]).await?;
        // The reader knows a clock by the command before it.
        Ok(show_license::read(&format!("device#show clock\n{text}"), self.zone.as_ref()).clock)
    }

    /// Which ways files may go, asked for with the name of a file that is not there. Reads only, so that a file
    /// may be put is inferred.
    pub async fn ways(&mut self) -> Result<Vec<Way>, Error> {
        let step = "look for ways of files";
        let folder = match self.folder(step, 0).await {
            Ok(folder) => folder,
            Err(error @ Error::Unreachable { .. }) => return Err(error),
            Err(_) => {
                let first = self.dialect.folders().first().copied().unwrap_or_default();
                Folder::try_from(first).map_err(|error| Error::Ours { step, cause: error.to_string() })?
            }
        };
        let path = OwnFile::fresh()?.within(&folder);
        let mut ways = match &self.console {
            Console::Shell(_) => self.files.ways(&path).await,
            Console::NxApi(_) | Console::Played => Vec::new(),
        };
        let known = self.learned.clone();
        let mut failure = None;
        for task in [Task::Digest, Task::Print] {
            match self.climb(task, &[("{file}", &path)]).await {
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
            let Exchange { got, refused, .. } = played?;
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
            Console::Shell(shell) => {
                let command = Command::new(line);
                let command = match limit {
                    Some(limit) => command.within(limit),
                    None => command,
                };
                shell.run(command).await.map(|output| output.text)
            }
            Console::NxApi(nxapi) => {
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
    async fn climb(&mut self, task: Task, blanks: &[(&str, &str)]) -> Result<String, Error> {
        let slow = matches!(
            task,
            Task::SaveAll | Task::SaveUnreported | Task::SaveDays | Task::SaveOne | Task::Import | Task::Digest
        );
        let learned = self.learned.commands.get(&task).cloned();
        let ladder: Vec<String> =
            self.dialect.ladder(task, learned.as_deref()).into_iter().map(str::to_owned).collect();
        let mut refused = None;
        for line in &ladder {
            match self.say(&filled(line, blanks), slow.then_some(SLOW)).await {
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
    fn about(&self, task: Task, blanks: &[(&str, &str)]) -> String {
        let learned = self.learned.commands.get(&task).map(String::as_str);
        let ladder = self.dialect.ladder(task, learned);
        let line = filled(ladder.first().copied().unwrap_or_default(), blanks);
        if ladder.len() > 1 { format!("{line} (or another form of it)") } else { line }
    }

    /// The folder for our files: the first of the system's that the device knows, with space enough.
    async fn folder(&mut self, step: &'static str, needed: u64) -> Result<Folder, Error> {
        let mut refused = None;
        for name in self.dialect.folders() {
            let folder = Folder::try_from(*name).map_err(|error| Error::Ours { step, cause: error.to_string() })?;
            match self.climb(Task::Space, &[("{file}", name)]).await {
                Ok(listing) if show_license::complaint(&listing).is_some_and(|c| c.kind == ComplaintKind::File) => {
                    let said = listing.trim().chars().take(200).collect();
                    refused = Some(Error::FileRefused { step, path: (*name).to_owned(), said });
                }
                Ok(listing) => {
                    flash::require_space(step, &listing, needed)?;
                    return Ok(folder);
                }
                Err(error @ Error::CommandRefused { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::Ours { step, cause: "no folder is known".to_owned() }))
    }

    /// Saves to a file of ours, gets it, deletes it. `Ok(None)`: the device has nothing to save.
    async fn save_and_get<W: Witness>(
        &mut self,
        task: Task,
        blank: Option<(&str, &str)>,
        witness: &mut W,
    ) -> Result<Option<(Vec<u8>, super::budget::Share, Vec<String>)>, Error> {
        let folder = self.folder(FETCH, MOST_SAVED).await?;
        let file = OwnFile::fresh()?;
        let path = file.within(&folder);
        let blanks: Vec<(&str, &str)> = blank.into_iter().chain([("{file}", path.as_str())]).collect();
        let write = if task == Task::SaveOne { Write::SaveReport } else { Write::SaveUsage };
        let detail = self.about(task, &blanks);
        let saved = witnessed(witness, write, &detail, async {
            let answer = self.climb(task, &blanks).await?;
            match show_license::complaint(&answer) {
                None => Ok(true),
                // Nothing to save is a state, not a failure.
                Some(complaint) if complaint.text.to_ascii_lowercase().contains("not found") => Ok(false),
                Some(complaint) => Err(Error::CommandRefused {
                    command: format!("save to {path}"),
                    said: complaint.text,
                    complaint: Complaint::Failed,
                }),
            }
        })
        .await?;
        if !saved {
            return Ok(None);
        }
        let got = self.get(&folder, &file).await;
        let mut problems = Vec::new();
        // Also when it could not be got: what is ours does not stay.
        if let Err(error) = self.delete(&folder, &file, witness).await {
            match error {
                Error::CommandRefused { .. } | Error::NoLeave { .. } => {
                    problems.push(format!("{path} stays on the device: {error}"))
                }
                error => return Err(got.err().unwrap_or(error)),
            }
        }
        let (bytes, share) = got?;
        Ok(Some((bytes, share, problems)))
    }

    /// Gets a file of ours, by SCP, SFTP or off the terminal.
    async fn get(&mut self, folder: &Folder, file: &OwnFile) -> Result<(Vec<u8>, super::budget::Share), Error> {
        let path = file.within(folder);
        let listing = self.climb(Task::Space, &[("{file}", &path)]).await.unwrap_or_default();
        let size = flash::file_size(&listing, file.name());
        if let Some(size) = size.filter(|size| *size > self.limits.body) {
            return Err(Error::Ours {
                step: FETCH,
                cause: format!("{path} has {size} bytes, more than body_limit ({})", self.limits.body),
            });
        }
        let share = self.budget.share(size.unwrap_or(self.limits.body)).await;
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let mut tried = Vec::new();
        let inline_first = self.learned.get == Some(FileWay::Inline);
        if !inline_first && let Some(bytes) = self.files.get(&path, limits, &mut self.learned, &mut tried).await? {
            return Ok((bytes, share));
        }
        match self.inline(&path, limits).await {
            Ok(bytes) => {
                self.learned.get = Some(FileWay::Inline);
                Ok((bytes, share))
            }
            Err(error @ (Error::CommandRefused { .. } | Error::FileRefused { .. } | Error::Misbehaved { .. })) => {
                tried.push(format!("{}: {error}", FileWay::Inline));
                if inline_first
                    && let Some(bytes) = self.files.get(&path, limits, &mut self.learned, &mut tried).await?
                {
                    return Ok((bytes, share));
                }
                Err(no_way_off(&tried))
            }
            Err(error) => Err(error),
        }
    }

    /// The file as it is printed, taken only if it has the MD5 that the device prints of it.
    async fn inline(&mut self, path: &str, limits: FileLimits) -> Result<Vec<u8>, Error> {
        let told = self.climb(Task::Digest, &[("{file}", path)]).await?;
        let Some(digest) = Md5::told(&told) else {
            let said = told.chars().take(200).collect();
            return Err(Error::FileRefused { step: FETCH, path: path.to_owned(), said });
        };
        let learned = self.learned.commands.get(&Task::Print).cloned();
        let ladder: Vec<String> =
            self.dialect.ladder(Task::Print, learned.as_deref()).into_iter().map(str::to_owned).collect();
        let mut printed = 0;
        for line in &ladder {
            let command = filled(line, &[("{file}", path)]);
            let raw = match &mut self.console {
                Console::Shell(shell) => {
                    let command = Command::new(&command).within(limits.time).at_most(limits.size.saturating_mul(2));
                    shell.run_raw(command).await?
                }
                Console::NxApi(_) | Console::Played => match self.say(&command, None).await {
                    Ok(text) => text.into_bytes(),
                    Err(Error::CommandRefused { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            printed = raw.len();
            let proved = tokio::task::spawn_blocking(move || inline::prove(&raw, digest)).await.ok().flatten();
            if let Some(bytes) = proved {
                if ladder.len() > 1 {
                    self.learned.commands.insert(Task::Print, line.clone());
                }
                return Ok(bytes);
            }
        }
        Err(Error::Misbehaved {
            step: FETCH,
            expected: "the text whose MD5 the device printed",
            got: format!("{printed} bytes that no known change of line ends turns into it"),
        })
    }

    async fn delete<W: Witness>(&mut self, folder: &Folder, file: &OwnFile, witness: &mut W) -> Result<(), Error> {
        let path = file.within(folder);
        let detail = self.about(Task::Delete, &[("{file}", &path)]);
        witnessed(witness, Write::DeleteOwnFile, &detail, async {
            self.climb(Task::Delete, &[("{file}", &path)]).await.map(drop)
        })
        .await
    }
}

async fn open_shell(files: &mut Files, enable: Option<&str>, terms: &CliTerms) -> Result<Shell<Channel>, Error> {
    let ssh = files.ssh().await?;
    let channel = ssh.shell().await?;
    let limits = ShellLimits { command: terms.limits.read, output: terms.limits.body, ..ShellLimits::default() };
    let opening = Opening { address: ssh.address(), enable, limits };
    Shell::open(channel, terms.dialect.manner(), opening).await
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
            clock: told.clock,
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
        let (mut reports, mut problems, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let mut take = |got: Option<(Vec<u8>, super::budget::Share, Vec<String>)>| -> Result<(), Error> {
            let Some((bytes, share, remarks)) = got else { return Ok(()) };
            let (found, faults) = saved_reports(FETCH, &bytes)?;
            reports.extend(found);
            problems.extend(remarks.into_iter().chain(faults));
            shares.push(share);
            Ok(())
        };
        match span {
            Span::All => take(self.save_and_get(Task::SaveAll, None, witness).await?)?,
            Span::Unreported => take(self.save_and_get(Task::SaveUnreported, None, witness).await?)?,
            Span::Days(days) => {
                let days = days.to_string();
                take(self.save_and_get(Task::SaveDays, Some(("{days}", &days)), witness).await?)?;
            }
            Span::Each(ids) => {
                for id in ids {
                    let id = id.to_string();
                    take(self.save_and_get(Task::SaveOne, Some(("{id}", &id)), witness).await?)?;
                }
            }
        }
        Ok(Fetched { reports, problems, _shares: shares })
    }

    async fn close_reports<W: Witness>(&mut self, _: &mut W) -> Result<(), Error> {
        let cause = "a command line closes reports by saving them".to_owned();
        Err(Error::Ours { step: "close reports", cause })
    }

    async fn import<W: Witness>(&mut self, file: &[u8], _: &ImportForm, witness: &mut W) -> Result<(), Error> {
        let folder = self.folder(IMPORT, file.len() as u64).await?;
        let own = OwnFile::fresh()?;
        let path = own.within(&folder);
        let limits = FileLimits { size: self.limits.body, ..FileLimits::default() };
        let putting = self.files.put(&folder, &own, file, limits, &mut self.learned);
        witnessed(witness, Write::CopyFile, &about_copy(&path, file), putting).await?;
        let detail = self.about(Task::Import, &[("{file}", &path)]);
        let imported = witnessed(witness, Write::ImportFile, &detail, async {
            let answer = self.climb(Task::Import, &[("{file}", &path)]).await?;
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
        imported?;
        match deleted {
            // The answer is on; that our file stayed is on record.
            Err(Error::CommandRefused { .. } | Error::NoLeave { .. }) | Ok(()) => Ok(()),
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
            Console::Shell(_) | Console::Played => None,
        };
        Proven { certificate, host_key }
    }

    fn learned(&self) -> Learned {
        self.learned.clone()
    }

    async fn close(self) {
        match self.console {
            Console::Shell(shell) => drop(shell.close().await),
            Console::NxApi(_) | Console::Played => {}
        }
        self.files.close().await;
    }
}
