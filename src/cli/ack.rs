//! `ack`: answers from the portal, and their way to the devices.

use std::io::Write;
use std::path::PathBuf;

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash, printable, word};
use super::poll::Progress;
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{AnswerLine, Answered, Reply, Request};
use crate::domain::digest::Sha256;
use crate::domain::event::Outcome;
use crate::domain::instance::DeviceName;
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
    /// Say whose a quarantined answer is.
    Assign {
        /// The answer: its file, its hash, or the start of its hash.
        file: String,
        /// Whose it is, by its name in the inventory.
        device: String,
        /// Why, for the record.
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
        Verb::Assign { file, device, note } => {
            let lines = part!(ask(config.clone(), Request::Answers, &mut |_| {})?, Answered::Answers(lines) => lines);
            let object = find(&file, &lines)?;
            let mut delivered = Vec::new();
            let request = Request::AssignAnswer { object, device: DeviceName(device), note };
            ask(config, request, &mut |reply| {
                if let Reply::Delivered(one) = reply {
                    delivered.push(one);
                }
            })?;
            writeln!(out, "{object}: assigned")?;
            for one in &delivered {
                writeln!(out, "{}", line_delivered(one))?;
            }
            Ok(Exit::of(1, delivered.iter().filter(|one| !confirmed(&one.outcome)).count()))
        }
    }
}

/// The answer meant: by the bytes of a file, by its hash or the start of it.
fn find(text: &str, lines: &[AnswerLine]) -> Result<Sha256, Stop> {
    if let Ok(bytes) = std::fs::read(text) {
        return Ok(Sha256::of(&bytes));
    }
    let mut found = lines.iter().filter(|line| {
        line.answer.name == text || (text.len() >= 6 && line.object.to_string().starts_with(&text.to_lowercase()))
    });
    match (found.next(), found.next()) {
        (Some(line), None) => Ok(line.object),
        (Some(_), Some(_)) => Err(Stop::usage(format!("'{text}' fits more than one answer; give its hash"))),
        (None, _) => Err(Stop::usage(format!("'{text}' is neither a readable file nor a kept answer; see `ack list`"))),
    }
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
    let several = files.len() > 1;
    let mut read = Vec::new();
    let mut failed = 0;
    for file in files {
        match std::fs::read(&file) {
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
                | Reply::Polled(_)
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

const COLUMNS: &[Column<AnswerLine>] = &[
    ("answer", |line| line.object.short()),
    ("name", |line| line.answer.name.clone()),
    ("device", |line| or_dash(line.device.as_ref())),
    ("received", |line| minute(Some(line.answer.received))),
    ("parts", |line| line.answer.parts.join("+")),
    ("status", |line| word(&line.answer.status)),
    ("attempts", |line| line.answer.attempts.to_string()),
    ("waits for", |line| line.waits_for.clone().unwrap_or_default()),
];
