//! `ack`: answers from the portal, and their way to the devices.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash, printable, word};
use super::poll::Progress;
use super::status::instant;
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{AnswerLine, Answered, Reply, Request};
use crate::domain::digest::Sha256;
use crate::domain::event::Outcome;
use crate::domain::instance::{DeviceName, Site};
use crate::flow::by_hand::{ExportedFile, Which};
use crate::flow::deliver::Delivered;
use crate::flow::homeward::{Taken, TakenAs};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Take what the portal gave: archives or single files. Those whose device may be written to are
    /// delivered at once, the others wait.
    Import {
        /// Files as the portal named them, neither renamed nor unpacked.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Only take them in.
        #[arg(long)]
        no_deliver: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Every answer and where it stands.
    List(Listing),
    /// Say whose a kept answer is: of one device, or of all that are to get the same bytes, such as a policy.
    Assign {
        /// The answer: its file, its name, its hash, or the start of its hash.
        file: String,
        /// Whose it is, by name in the inventory.
        #[arg(value_name = "DEVICE", required = true)]
        devices: Vec<String>,
        /// Why, for the record.
        #[arg(long)]
        note: String,
    },
    /// Write what a person must carry to a site: a folder with one file a device, and COMMANDS.txt with what to type.
    Export {
        /// The site.
        #[arg(long)]
        site: String,
        /// Where to write; the configured exchange folder if not given. A running daemon writes it, with the
        /// daemon's rights.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        listing: Listing,
    },
    /// Record that a person installed answers on devices on which nobody here can look. The weakest confirmation: a
    /// later read of the device replaces it.
    Confirm {
        /// The answer: its file, its name, its hash, or the start of its hash.
        #[arg(required_unless_present = "site", conflicts_with = "site")]
        file: Option<String>,
        /// Only on this device, where the same bytes are for several.
        #[arg(long, conflicts_with = "site")]
        device: Option<String>,
        /// All that a person had to carry to this site.
        #[arg(long)]
        site: Option<String>,
        /// When it was installed; now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        at: Option<Timestamp>,
        /// Who installed it, and what the device showed.
        #[arg(long)]
        note: String,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    match verb {
        Verb::Import { files, no_deliver, listing } => import(files, no_deliver, listing, config, out),
        Verb::List(listing) => {
            let lines = part!(ask(config, Request::Answers, &mut |_| {})?, Answered::Answers(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            Ok(Exit::Done)
        }
        Verb::Assign { file, devices, note } => {
            let object = find(&file, &config)?;
            let mut delivered = Vec::new();
            let devices = devices.into_iter().map(DeviceName::from).collect();
            let request = Request::AssignAnswer { object, devices, note };
            let answered = ask(config, request, &mut |reply| {
                if let Reply::Delivered(one) = reply {
                    delivered.push(one);
                }
            })?;
            for line in part!(answered, Answered::Answers(lines) => lines) {
                writeln!(out, "{object}: assigned to {}", printable(&or_dash(line.device.as_ref())))?;
            }
            for one in &delivered {
                writeln!(out, "{}", printable(&line_delivered(one)))?;
            }
            Ok(Exit::of(1, delivered.iter().filter(|one| !confirmed(&one.outcome)).count()))
        }
        Verb::Export { site, out: dir, listing } => {
            let dir = dir.map(std::path::absolute).transpose()?;
            let request = Request::ExportAnswers { site: Site::from(site), out: dir };
            let exported = part!(ask(config, request, &mut |_| {})?, Answered::Exported(exported) => exported);
            match listing.format {
                output::Format::Table => {
                    writeln!(out, "{}", exported.path.display())?;
                    output::list(out, listing.format, &exported.files, EXPORTED)?;
                    for left_out in &exported.left_out {
                        writeln!(out, "left out: {}", printable(left_out))?;
                    }
                    writeln!(out, "next: COMMANDS.txt in it says what to type; then `ack confirm`")?;
                }
                output::Format::Json | output::Format::Ndjson => {
                    serde_json::to_writer(&mut *out, &exported).map_err(Stop::failed)?;
                    writeln!(out)?;
                }
                output::Format::Csv => output::list(out, listing.format, &exported.files, EXPORTED)?,
            }
            Ok(if exported.left_out.is_empty() { Exit::Done } else { Exit::Partly })
        }
        Verb::Confirm { file, device, site, at, note } => {
            let which = match (file, site) {
                (_, Some(site)) => Which::Site(Site::from(site)),
                (file, None) => {
                    let object = find(&file.unwrap_or_default(), &config)?;
                    Which::File { object, device: device.map(DeviceName::from) }
                }
            };
            let request = Request::ConfirmAnswers { which, at, note };
            let lines = part!(ask(config, request, &mut |_| {})?, Answered::Answers(lines) => lines);
            for line in &lines {
                let told = match (line.answer.acknowledges(), line.answer.reports.len()) {
                    (true, 0) => "; it names no report, so those that are owed stay owed".to_owned(),
                    (true, count) => format!("; {count} reports are acknowledged by that word"),
                    (false, _) => String::new(),
                };
                let whose = line
                    .device
                    .as_ref()
                    .map(ToString::to_string)
                    .or_else(|| Some(line.answer.udi.as_ref()?.to_string()));
                let text = format!("{}: {} installed{told}", whose.unwrap_or_default(), line.answer.name);
                writeln!(out, "{}", printable(&text))?;
            }
            Ok(Exit::Done)
        }
    }
}

/// The answer meant: by the bytes of a file, by its name, by its hash or the start of it.
fn find(text: &str, config: &Config) -> Result<Sha256, Stop> {
    if let Ok(bytes) = read_bounded(Path::new(text)) {
        return Ok(Sha256::of(&bytes));
    }
    let lines = part!(ask(config.clone(), Request::Answers, &mut |_| {})?, Answered::Answers(lines) => lines);
    let fits = |line: &&AnswerLine| {
        line.answer.name == text || (text.len() >= 6 && line.object.to_string().starts_with(&text.to_lowercase()))
    };
    let found: std::collections::BTreeSet<Sha256> = lines.iter().filter(fits).map(|line| line.object).collect();
    match (found.first(), found.len()) {
        (Some(object), 1) => Ok(*object),
        (Some(_), _) => Err(Stop::usage(format!("'{text}' fits more than one answer; give its hash"))),
        (None, _) => Err(Stop::usage(format!("'{text}' is neither a readable file nor a kept answer; see `ack list`"))),
    }
}

/// Files by their names, with their bytes for the control socket; how many could not be read was said.
pub(super) fn read_all(files: Vec<PathBuf>) -> Result<(Vec<(String, String)>, usize), Stop> {
    let several = files.len() > 1;
    let (mut read, mut failed) = (Vec::new(), 0);
    for file in files {
        match read_bounded(&file) {
            Ok(bytes) => {
                let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                read.push((name, data_encoding::BASE64.encode(&bytes)));
            }
            Err(error) => {
                failed += 1;
                let others = if several { "; the other files are taken" } else { "" };
                writeln!(std::io::stderr(), "slp-collector: {}: {error}{others}", file.display())?;
            }
        }
    }
    Ok((read, failed))
}

/// As much as an archive may become when it is unpacked; also of a device or pipe, which never ends.
fn read_bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    const MOST: u64 = 512 << 20;
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(std::io::Error::other(format!("larger than {} MiB", MOST >> 20)));
    }
    Ok(bytes)
}

/// How one file fared, whatever it was.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Taken(Taken),
    Delivered(Delivered),
}

fn import(
    files: Vec<PathBuf>,
    no_deliver: bool,
    listing: Listing,
    config: Config,
    out: &mut dyn Write,
) -> Result<Exit, Stop> {
    let (read, mut failed) = read_all(files)?;
    let (mut worked, mut mismatched) = (0, 0);
    let mut lines = Vec::new();
    let progress = Progress::new();
    if !read.is_empty() {
        let request = Request::ImportAnswers { files: read, deliver: !no_deliver };
        ask(config, request, &mut |reply| {
            progress.see(&reply);
            match reply {
                Reply::Taken(taken) => {
                    match &taken.result {
                        TakenAs::Accepted | TakenAs::Known => worked += 1,
                        TakenAs::Quarantined(_) => mismatched += 1,
                        TakenAs::Unreadable(_) => failed += 1,
                    }
                    lines.push(Line::Taken(taken));
                }
                Reply::Delivered(delivered) => {
                    if !confirmed(&delivered.outcome) {
                        failed += 1;
                    }
                    lines.push(Line::Delivered(delivered));
                }
                Reply::Total(_)
                | Reply::Rows(_)
                | Reply::Polled(_)
                | Reply::Brought(_)
                | Reply::Bytes(_)
                | Reply::Step(_)
                | Reply::Question(_)
                | Reply::Done(_)
                | Reply::Failed { .. } => {}
            }
        })?;
    }
    drop(progress);
    match listing.format {
        output::Format::Table => {
            for line in &lines {
                let text = match line {
                    Line::Taken(taken) => line_taken(taken),
                    Line::Delivered(delivered) => line_delivered(delivered),
                };
                writeln!(out, "{}", printable(&text))?;
            }
        }
        format => output::list(out, format, &lines, IMPORTED)?,
    }
    Ok(if mismatched > 0 && failed == 0 && worked == 0 {
        Exit::NotVerified
    } else {
        Exit::of(worked, failed + mismatched)
    })
}

const IMPORTED: &[Column<Line>] = &[
    ("name", |line| match line {
        Line::Taken(taken) => taken.name.clone(),
        Line::Delivered(delivered) => delivered.name.clone(),
    }),
    ("device", |line| match line {
        Line::Taken(taken) => or_dash(taken.device.as_ref()),
        Line::Delivered(delivered) => delivered.device.to_string(),
    }),
    ("result", |line| match line {
        Line::Taken(taken) => word(&taken.result),
        Line::Delivered(delivered) => word(&delivered.outcome),
    }),
    ("told", |line| match line {
        Line::Taken(taken) => line_taken(taken),
        Line::Delivered(delivered) => line_delivered(delivered),
    }),
];

fn line_taken(taken: &Taken) -> String {
    let name = &taken.name;
    let device = taken.device.as_ref().map_or(String::new(), |device| format!(" for {device}"));
    let text = match &taken.result {
        TakenAs::Accepted if taken.left_out.is_empty() => format!("{name}: taken{device}"),
        TakenAs::Accepted => {
            let ids: Vec<String> = taken.left_out.iter().map(ToString::to_string).collect();
            format!("{name}: taken{device}; it leaves reports unanswered that were sent along: {}", ids.join(" "))
        }
        TakenAs::Known => format!("{name}: the same bytes came before{device}"),
        TakenAs::Quarantined(reason) => format!("{name}: in quarantine: {reason}"),
        TakenAs::Unreadable(reason) => format!("{name}: not taken: {reason}"),
    };
    let text = if taken.never_here.is_empty() {
        text
    } else {
        let ids: Vec<String> = taken.never_here.iter().map(ToString::to_string).collect();
        format!("{text}; it acknowledges reports that never came here: {}", ids.join(" "))
    };
    match &taken.waits_for {
        Some(reason) => format!("{text}; waits for {reason}"),
        None => text,
    }
}

fn line_delivered(delivered: &Delivered) -> String {
    let (device, name) = (&delivered.device, &delivered.name);
    match &delivered.outcome {
        Outcome::ConfirmedById => format!("{device}: {name} installed; the device lists the reports as acknowledged"),
        Outcome::ConfirmedByTime => format!("{device}: {name} installed; confirmed by the moved last-ACK time only"),
        Outcome::Unconfirmed => format!("{device}: {name} sent, but reading back shows no change; tried again later"),
        Outcome::Failed { cause, again: true } => format!("{device}: {name} not delivered, tried again later: {cause}"),
        Outcome::Failed { cause, again: false } => {
            format!("{device}: {name} not delivered, a person must act: {cause}")
        }
        Outcome::AwaitingHandImport => format!("{device}: {name} waits for a person with the file"),
    }
}

fn confirmed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::ConfirmedById | Outcome::ConfirmedByTime => true,
        Outcome::Unconfirmed | Outcome::Failed { .. } | Outcome::AwaitingHandImport => false,
    }
}

const EXPORTED: &[Column<ExportedFile>] = &[
    ("file", |line| line.file.clone()),
    ("device", |line| or_dash(line.device.as_ref())),
    ("instance", |line| format!("{} {}", line.udi.pid, line.udi.sn)),
    ("answer", |line| line.object.short()),
    ("name", |line| line.name.clone()),
    ("command", |line| line.commands.join(" | ")),
];

const COLUMNS: &[Column<AnswerLine>] = &[
    ("answer", |line| line.object.short()),
    ("name", |line| line.answer.name.clone()),
    ("device", |line| or_dash(line.device.as_ref())),
    ("received", |line| minute(Some(line.answer.received))),
    ("parts", |line| line.answer.parts.join("+")),
    ("status", |line| word(&line.answer.status)),
    ("attempts", |line| line.answer.attempts.to_string()),
    ("next try", |line| minute(line.next_try)),
    ("brought by", |line| or_dash(line.answer.brought_by.as_ref())),
    ("waits for", |line| line.waits_for.clone().unwrap_or_default()),
];
