//! What can be typed: one table for the three systems, and the way from a line to an entry of it.
//!
//! As on the real ones, a keyword may be cut to a prefix that only it has among the keywords possible at its place, and
//! case does not matter.

use crate::spec::{SaveForm, Spec};
use crate::system::System;
use System::{IosXe, IosXr, NxOs};

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Length,
    Width,
    /// Something a simulated session has no use for, and takes without a word.
    Nothing,
    DontAsk,
    Ask,
    Enable,
    Disable,
    Exit,
    Version,
    Inventory,
    Clock,
    Hostname,
    RunningConfig,
    LicenceAll,
    LicenceStatus,
    LicenceUsage,
    LicenceSummary,
    LicenceUdi,
    RumAll,
    RumDetail,
    Authorization,
    History,
    Platform,
    SaveAll,
    SaveUnreported,
    SaveDays,
    SaveOne,
    Import,
    Dir,
    Read,
    Md5,
    Delete,
    DeleteUnasked,
}

/// When a command is known at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Not at IOS XE's `>`.
    Privileged,
    /// Where the device knows `show license rum`.
    Rum,
    /// Where saving wants the word `file`, and where it does not.
    FileWord,
    NoFileWord,
}

struct Command {
    /// Keywords, and `<number>` or `<path>` where an argument stands.
    words: &'static str,
    verb: Verb,
    on: &'static [System],
    when: When,
}

const ALL: &[System] = &System::ALL;

const fn command(words: &'static str, verb: Verb, on: &'static [System], when: When) -> Command {
    Command { words, verb, on, when }
}

const COMMANDS: &[Command] = &[
    command("terminal length <number>", Verb::Length, ALL, When::Always),
    command("terminal width <number>", Verb::Width, ALL, When::Always),
    command("terminal no monitor", Verb::Nothing, &[IosXe], When::Always),
    command("terminal monitor disable", Verb::Nothing, &[IosXr], When::Always),
    command("no terminal monitor", Verb::Nothing, &[NxOs], When::Always),
    command("terminal no monitor", Verb::Nothing, &[NxOs], When::Always),
    command("terminal dont-ask", Verb::DontAsk, &[NxOs], When::Always),
    command("no terminal dont-ask", Verb::Ask, &[NxOs], When::Always),
    command("enable", Verb::Enable, &[IosXe], When::Always),
    command("disable", Verb::Disable, &[IosXe], When::Always),
    command("exit", Verb::Exit, ALL, When::Always),
    command("logout", Verb::Exit, &[IosXe], When::Always),
    command("show version", Verb::Version, ALL, When::Always),
    command("show inventory", Verb::Inventory, ALL, When::Always),
    command("show clock", Verb::Clock, ALL, When::Always),
    command("show clock detail", Verb::Clock, ALL, When::Always),
    command("show hostname", Verb::Hostname, &[NxOs], When::Always),
    command("show switchname", Verb::Hostname, &[NxOs], When::Always),
    command("show running-config", Verb::RunningConfig, &[IosXe], When::Privileged),
    command("show running-config hostname", Verb::RunningConfig, &[IosXr], When::Always),
    command("show license all", Verb::LicenceAll, ALL, When::Always),
    command("show license status", Verb::LicenceStatus, ALL, When::Always),
    command("show license usage", Verb::LicenceUsage, ALL, When::Always),
    command("show license summary", Verb::LicenceSummary, ALL, When::Always),
    command("show license udi", Verb::LicenceUdi, ALL, When::Always),
    command("show license rum id all", Verb::RumAll, ALL, When::Rum),
    command("show license rum id <number> detail", Verb::RumDetail, ALL, When::Rum),
    command("show license authorization", Verb::Authorization, ALL, When::Always),
    command("show license history message", Verb::History, ALL, When::Always),
    command("show license platform summary", Verb::Platform, &[IosXr], When::Always),
    command("license smart save usage all file <path>", Verb::SaveAll, ALL, When::FileWord),
    command("license smart save usage unreported file <path>", Verb::SaveUnreported, ALL, When::FileWord),
    command("license smart save usage days <number> file <path>", Verb::SaveDays, ALL, When::FileWord),
    command("license smart save usage rum-id <number> file <path>", Verb::SaveOne, ALL, When::FileWord),
    command("license smart save usage all <path>", Verb::SaveAll, ALL, When::NoFileWord),
    command("license smart save usage unreported <path>", Verb::SaveUnreported, ALL, When::NoFileWord),
    command("license smart save usage days <number> <path>", Verb::SaveDays, ALL, When::NoFileWord),
    command("license smart save usage rum-id <number> <path>", Verb::SaveOne, ALL, When::NoFileWord),
    command("license smart import <path>", Verb::Import, ALL, When::Privileged),
    command("dir", Verb::Dir, ALL, When::Privileged),
    command("dir <path>", Verb::Dir, ALL, When::Privileged),
    command("more <path>", Verb::Read, &[IosXe, IosXr], When::Privileged),
    command("show file <path>", Verb::Read, &[NxOs], When::Always),
    command("verify /md5 <path>", Verb::Md5, &[IosXe], When::Privileged),
    command("show md5 file <path>", Verb::Md5, &[IosXr], When::Always),
    command("show file <path> md5sum", Verb::Md5, &[NxOs], When::Always),
    command("delete <path>", Verb::Delete, ALL, When::Privileged),
    command("delete /force <path>", Verb::DeleteUnasked, &[IosXe], When::Privileged),
    command("delete /noprompt <path>", Verb::DeleteUnasked, &[IosXr], When::Privileged),
    command("delete <path> no-prompt", Verb::DeleteUnasked, &[NxOs], When::Privileged),
];

impl Command {
    fn is_known(&self, spec: &Spec, privileged: bool) -> bool {
        let form = spec.terminal.save_form;
        self.on.contains(&spec.os)
            && match self.when {
                When::Always => true,
                When::Privileged => privileged,
                When::Rum => spec.terminal.has_rum,
                When::FileWord => privileged && form != SaveForm::Bare,
                When::NoFileWord => privileged && form != SaveForm::WithFile,
            }
    }

    fn word(&self, at: usize) -> Option<&'static str> {
        self.words.split(' ').nth(at)
    }
}

/// A line that was understood: what it asks, and its arguments in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub verb: Verb,
    pub arguments: Vec<String>,
}

/// Why a line was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The first byte of the line that leads nowhere.
    Invalid(usize),
    Ambiguous,
    Incomplete,
}

/// Reads a line that is not empty.
pub fn read(line: &str, spec: &Spec, privileged: bool) -> Result<Order, Mistake> {
    let mut left: Vec<&Command> = COMMANDS.iter().filter(|command| command.is_known(spec, privileged)).collect();
    let mut arguments = Vec::new();
    let words: Vec<(usize, &str)> = words(line);
    for (at, (column, word)) in words.iter().enumerate() {
        let wanted = keyword(&left, at, word)?;
        let fits = |command: &&Command| match (command.word(at), wanted) {
            (Some(pattern), Some(keyword)) => pattern == keyword,
            (Some("<number>"), None) => word.parse::<u64>().is_ok(),
            (Some("<path>"), None) => true,
            (_, _) => false,
        };
        left.retain(fits);
        if left.is_empty() {
            return Err(Mistake::Invalid(*column));
        }
        if wanted.is_none() {
            arguments.push((*word).to_string());
        }
    }
    let whole = left.iter().find(|command| command.word(words.len()).is_none());
    whole.map(|command| Order { verb: command.verb, arguments }).ok_or(Mistake::Incomplete)
}

/// The keyword that the word is, or is the beginning of; `None` when it can only be an argument.
fn keyword(left: &[&Command], at: usize, word: &str) -> Result<Option<&'static str>, Mistake> {
    let typed = word.to_ascii_lowercase();
    let keywords = left.iter().filter_map(|command| command.word(at)).filter(|pattern| !pattern.starts_with('<'));
    let mut begun: Vec<&'static str> = keywords.filter(|keyword| keyword.starts_with(&typed)).collect();
    begun.sort_unstable();
    begun.dedup();
    match begun.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => match several.iter().find(|keyword| **keyword == typed) {
            Some(exact) => Ok(Some(exact)),
            None => Err(Mistake::Ambiguous),
        },
    }
}

/// Each word with the byte it begins at.
fn words(line: &str) -> Vec<(usize, &str)> {
    let start = line.as_ptr() as usize;
    line.split_whitespace().map(|word| (word.as_ptr() as usize - start, word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs;

    fn verb(line: &str, spec: &Spec) -> Result<Verb, Mistake> {
        read(line, spec, true).map(|order| order.verb)
    }

    #[test]
    fn keywords_may_be_cut() {
        let spec = specs::switch("edge-001");
        assert_eq!(verb("sh ver", &spec), Ok(Verb::Version));
        assert_eq!(verb("term len 0", &spec), Ok(Verb::Length));
        assert_eq!(verb("SHOW LICENSE RUM ID ALL", &spec), Ok(Verb::RumAll));
        assert_eq!(verb("license smart save usage rum-Id 7 file flash:a", &spec), Ok(Verb::SaveOne));
        assert_eq!(verb("show license s", &spec), Err(Mistake::Ambiguous));
        assert_eq!(verb("show license", &spec), Err(Mistake::Incomplete));
        assert_eq!(verb("show  licence all", &spec), Err(Mistake::Invalid(6)));
        assert_eq!(verb("show version please", &spec), Err(Mistake::Invalid(13)));
        assert_eq!(verb("terminal length many", &spec), Err(Mistake::Invalid(16)));
    }

    #[test]
    fn systems_know_their_own() {
        let (xe, xr, nexus) = (specs::switch("a"), specs::xr("b"), specs::nexus("c"));
        assert_eq!(verb("delete /force flash:a", &xe), Ok(Verb::DeleteUnasked));
        assert_eq!(verb("delete /noprompt harddisk:/a", &xr), Ok(Verb::DeleteUnasked));
        assert_eq!(verb("delete bootflash:a no-prompt", &nexus), Ok(Verb::DeleteUnasked));
        assert_eq!(verb("show file bootflash:a md5sum", &nexus), Ok(Verb::Md5));
        assert_eq!(verb("show md5 file /harddisk:/a", &xr), Ok(Verb::Md5));
        assert_eq!(verb("terminal dont-ask", &xe), Err(Mistake::Invalid(9)));
        assert_eq!(verb("more bootflash:a", &nexus), Err(Mistake::Invalid(0)));
        assert_eq!(read("license smart import flash:a", &xe, false), Err(Mistake::Invalid(0)));
    }

    #[test]
    fn the_word_file_is_a_knob() {
        let mut xr = specs::xr("b");
        let (with, without) = ("license smart save usage all file a", "license smart save usage all a");
        assert_eq!((verb(with, &xr), verb(without, &xr)), (Ok(Verb::SaveAll), Err(Mistake::Invalid(29))));
        xr.terminal.save_form = SaveForm::Bare;
        assert_eq!((verb(with, &xr), verb(without, &xr)), (Err(Mistake::Invalid(34)), Ok(Verb::SaveAll)));
        xr.terminal.save_form = SaveForm::Either;
        assert_eq!((verb(with, &xr), verb(without, &xr)), (Ok(Verb::SaveAll), Ok(Verb::SaveAll)));
        xr.terminal.has_rum = false;
        assert_eq!(verb("show license rum id all", &xr), Err(Mistake::Invalid(13)));
    }
}
