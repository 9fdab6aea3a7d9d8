//! The command line of the three systems, pure: a line in, a text out, and what the line did to the session.
//!
//! Nothing here knows a socket. Echo, paging, line ends and everything else that happens between a screen and a device
//! is the terminal's matter (`face/shell.rs`). Texts of IOS XE follow public captures; those of IOS XR and NX-OS follow
//! drafts, because no public capture of their licensing commands under policy exists.

mod command;
mod files;
mod ios_xe;
mod ios_xr;
mod licence;
mod nx_os;
mod rum;
pub(crate) mod time;

use std::sync::Arc;

use command::{Mistake, Order, Verb};

use crate::operation::{Operation, Reply, Saved};
use crate::spec::Spec;
use crate::system::System;

/// How the device under the command line is reached.
pub type Work<'a> = dyn FnMut(Operation) -> Reply + 'a;

/// One session of one user.
#[derive(Debug)]
pub struct Cli {
    spec: Arc<Spec>,
    privileged: bool,
    /// On the standby supervisor: only the prompt shows it here.
    standby: bool,
    /// Lines a page; 0 is no paging.
    pub length: usize,
    /// Characters a line; 0 breaks none.
    pub width: usize,
    /// NX-OS: questions answer themselves.
    dont_ask: bool,
    pending: Pending,
}

/// What the next line will be taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    Command,
    /// The enable password; how many were wrong so far.
    Enable(u8),
    Delete(String),
}

/// What a line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Lines end in `\n`, however the device's do.
    pub text: String,
    pub then: Then,
    /// Seconds it takes on a device. Invented, and of the right order.
    pub cost: u32,
}

/// What the session waits for next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    Prompt,
    /// An answer to this question; a hidden one is not echoed.
    Ask {
        question: String,
        hidden: bool,
    },
    Leave,
}

impl Said {
    fn text(text: impl Into<String>) -> Said {
        Said { text: text.into(), then: Then::Prompt, cost: 0 }
    }

    fn ask(question: impl Into<String>, hidden: bool) -> Said {
        let then = Then::Ask { question: question.into(), hidden };
        Said { text: String::new(), then, cost: 0 }
    }

    fn taking(self, cost: u32) -> Said {
        Said { cost, ..self }
    }
}

impl Cli {
    pub fn new(spec: Arc<Spec>, standby: bool) -> Cli {
        let terminal = &spec.terminal;
        Cli {
            privileged: spec.os != System::IosXe || terminal.enable.is_none(),
            standby,
            length: terminal.length,
            width: terminal.width,
            dont_ask: false,
            pending: Pending::Command,
            spec,
        }
    }

    pub fn prompt(&self) -> String {
        self.spec.os.prompt(&self.spec.name, self.privileged, self.standby)
    }

    /// Whether the next line is a command, not an answer.
    pub fn takes_command(&self) -> bool {
        self.pending == Pending::Command
    }

    /// Does what the line says. A line without a word does nothing.
    pub fn obey(&mut self, line: &str, work: &mut Work<'_>) -> Said {
        match std::mem::replace(&mut self.pending, Pending::Command) {
            Pending::Command => self.command(line.trim(), work),
            Pending::Enable(wrong) => self.enable(line, wrong),
            Pending::Delete(path) => match line.trim().to_ascii_lowercase().as_str() {
                "" | "y" | "yes" => Said::text(files::delete(&self.spec, &path, work)),
                _ => Said::text(format!("Delete of {path} aborted!\n")),
            },
        }
    }

    /// What a system without this command says.
    pub fn unknown(&self, line: &str, work: &mut Work<'_>) -> Said {
        let text = self.mistake(line.trim(), Mistake::Invalid(0));
        Said::text(self.headed(text, work))
    }

    /// What a user without the right to it reads.
    pub fn forbidden(&self, work: &mut Work<'_>) -> Said {
        let text = match self.spec.os {
            System::IosXe => "Command authorization failed.\n\n",
            System::IosXr => "% This command is not authorized\n",
            System::NxOs => "% Permission denied for the role\n",
        };
        Said::text(self.headed(text.to_string(), work))
    }

    fn command(&mut self, line: &str, work: &mut Work<'_>) -> Said {
        if line.is_empty() {
            return Said::text("");
        }
        let (words, filter) = line.split_once('|').map_or((line, None), |(words, filter)| (words, Some(filter)));
        let order = match command::read(words, &self.spec, self.privileged) {
            Ok(order) => order,
            Err(mistake) => {
                let text = self.mistake(line, mistake);
                return Said::text(self.headed(text, work));
            }
        };
        let mut said = self.done(&order, work);
        if let Some(filter) = filter {
            said.text = match filtered(&said.text, filter.trim()) {
                Some(text) => text,
                None => self.mistake(line, Mistake::Invalid(words.len() + 1)),
            };
        }
        said.text = self.headed(said.text, work);
        said
    }

    fn done(&mut self, order: &Order, work: &mut Work<'_>) -> Said {
        let argument = |at: usize| order.arguments.get(at).map_or("", String::as_str);
        let number = |at: usize| argument(at).parse::<u64>().unwrap_or(0);
        let size = |at: usize| usize::try_from(number(at)).unwrap_or(usize::MAX);
        let Reply::State(state) = work(Operation::State) else { return Said::text("") };
        let (spec, state) = (Arc::clone(&self.spec), &*state);
        match order.verb {
            Verb::Nothing => Said::text(""),
            Verb::Length => {
                self.length = size(0);
                Said::text("")
            }
            Verb::Width => {
                self.width = size(0);
                Said::text("")
            }
            Verb::DontAsk | Verb::Ask => {
                self.dont_ask = order.verb == Verb::DontAsk;
                Said::text("")
            }
            Verb::Enable if self.privileged => Said::text(""),
            Verb::Enable => {
                self.pending = Pending::Enable(0);
                Said::ask("Password: ", true)
            }
            Verb::Disable => {
                self.privileged = false;
                Said::text("")
            }
            Verb::Exit => Said { then: Then::Leave, ..Said::text("") },
            Verb::Hostname => Said::text(format!("{} \n", spec.name)),
            Verb::Version => Said::text(match spec.os {
                System::IosXe => ios_xe::version(&spec, state),
                System::IosXr => ios_xr::version(&spec, state),
                System::NxOs => nx_os::version(&spec, state),
            }),
            Verb::Inventory => Said::text(match spec.os {
                System::IosXe => ios_xe::inventory(state),
                System::IosXr => ios_xr::inventory(state),
                System::NxOs => nx_os::inventory(state),
            }),
            Verb::RunningConfig => Said::text(match spec.os {
                System::IosXe | System::NxOs => ios_xe::running_config(&spec),
                System::IosXr => format!("hostname {}\n\n", spec.name),
            }),
            Verb::Clock => {
                let source = if spec.os == System::IosXr { "" } else { "Time source is NTP\n" };
                Said::text(format!("{}\n{source}", time::clock(&spec, state.now)))
            }
            Verb::LicenceAll => Said::text(licence::all(&spec, state)).taking(1),
            Verb::LicenceStatus => Said::text(licence::status(&spec, state)),
            Verb::LicenceUsage => Said::text(licence::usage(&spec, state)),
            Verb::LicenceSummary => Said::text(licence::summary(&spec, state)),
            Verb::LicenceUdi => Said::text(licence::udi(state)),
            Verb::Authorization => Said::text(licence::authorization(state)),
            Verb::History => Said::text(licence::history()),
            Verb::Platform => Said::text(licence::platform(&spec, state)),
            Verb::RumAll => Said::text(rum::all(state)),
            Verb::RumDetail => match rum::detail(&spec, state, argument(0)) {
                Some(text) => Said::text(text),
                None => Said::text("The requested item was not found\n"),
            },
            Verb::SaveAll => self.save(Saved::All, argument(0), work),
            Verb::SaveUnreported => self.save(Saved::Unreported, argument(0), work),
            Verb::SaveDays => self.save(Saved::Days(u32::try_from(number(0)).unwrap_or(u32::MAX)), argument(1), work),
            Verb::SaveOne => self.save(Saved::One(number(0)), argument(1), work),
            Verb::Import => match spec.os.file(argument(0)).map(|name| work(Operation::ImportFile(name))) {
                Some(Reply::Refused(refusal)) => Said::text(format!("{}\n", refusal.sentence())).taking(3),
                Some(_) => Said::text("Import Data Successful\n").taking(6),
                None => Said::text("trusted storage object/file does not exist\n"),
            },
            Verb::Dir => Said::text(files::dir(&spec, state, argument(0), work)),
            Verb::Read => Said::text(files::read(&spec, argument(0), work)).taking(1),
            Verb::Md5 => Said::text(files::hash(&spec, argument(0), work)).taking(1),
            Verb::Delete if !self.dont_ask => {
                self.pending = Pending::Delete(argument(0).to_string());
                Said::ask(files::question(spec.os, argument(0)), false)
            }
            Verb::Delete | Verb::DeleteUnasked => Said::text(files::delete(&spec, argument(0), work)),
        }
    }

    /// Silent when it is done, as on IOS XE; IOS XR and NX-OS are expected to be.
    fn save(&self, which: Saved, path: &str, work: &mut Work<'_>) -> Said {
        match self.spec.os.file(path).map(|name| work(Operation::SaveUsage { which, name })) {
            Some(Reply::Refused(refusal)) => Said::text(format!("{}\n", refusal.sentence())).taking(2),
            Some(_) => Said::text("").taking(4),
            None => Said::text("trusted storage object/file does not exist\n"),
        }
    }

    fn enable(&mut self, given: &str, wrong: u8) -> Said {
        if self.spec.terminal.enable.as_deref() == Some(given) {
            self.privileged = true;
            return Said::text("");
        }
        if wrong < 2 {
            self.pending = Pending::Enable(wrong + 1);
            return Said::ask("Password: ", true);
        }
        Said::text("% Bad secrets\n\n")
    }

    fn mistake(&self, line: &str, mistake: Mistake) -> String {
        let indent = self.prompt().len();
        match self.spec.os {
            System::IosXe => ios_xe::mistake(indent, line, mistake),
            System::IosXr => ios_xr::mistake(indent, line, mistake),
            System::NxOs => nx_os::mistake(indent, mistake),
        }
    }

    /// The lines that stand before an output: always on IOS XR, on IOS XE where the terminal is set so.
    fn headed(&self, text: String, work: &mut Work<'_>) -> String {
        let heads = match self.spec.os {
            System::IosXe => self.spec.terminal.timestamps && !text.is_empty(),
            System::IosXr => true,
            System::NxOs => false,
        };
        let Some(Reply::State(state)) = heads.then(|| work(Operation::State)) else { return text };
        if self.spec.os == System::IosXr {
            return format!("{}\n{text}", time::heading(&self.spec, state.now));
        }
        let clock = time::clock(&self.spec, state.now);
        let load = "Load for five secs: 1%/0%; one minute: 0%; five minutes: 0%";
        format!("{load}\nTime source is NTP, {clock}\n\n{text}")
    }
}

/// `include`, `exclude`, `begin`, `count`, with a `^` before the text for the line's beginning; NX-OS's `no-more`.
fn filtered(text: &str, filter: &str) -> Option<String> {
    let (name, wanted) = filter.split_once(' ').unwrap_or((filter, ""));
    let found = |line: &&str| match wanted.strip_prefix('^') {
        Some(start) => line.starts_with(start),
        None => line.contains(wanted),
    };
    let joined = |lines: Vec<&str>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    match name {
        "no-more" => Some(text.to_string()),
        "i" | "inc" | "include" => Some(joined(text.lines().filter(found).collect())),
        "e" | "ex" | "exclude" => Some(joined(text.lines().filter(|line| !found(line)).collect())),
        "b" | "begin" => Some(joined(text.lines().skip_while(|line| !found(line)).collect())),
        "count" => Some(format!("Number of lines which match regexp = {}\n", text.lines().filter(found).count())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
