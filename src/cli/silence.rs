//! `silence`: no messages about something, for a time.

use std::io::Write;

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash};
use super::status::instant;
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request, SilenceLine};
use crate::domain::event::Covers;
use crate::domain::instance::{DeviceName, Site};
use crate::domain::settings::Word;
use crate::domain::violation::{Kind, Severity};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Send no messages about something until then; register, metrics and `monitor` go on as before.
    ///
    /// What is not given covers everything. At most 90 days.
    Add {
        /// Only about this site.
        #[arg(long)]
        site: Option<String>,
        /// Only about this device.
        #[arg(long)]
        device: Option<String>,
        /// Only about violations of this kind, as `violation list` names them; not reminders.
        #[arg(long, value_parser = word::<Kind>)]
        kind: Option<Kind>,
        /// Only up to this severity: info, warning, critical.
        #[arg(long, value_parser = word::<Severity>)]
        severity: Option<Severity>,
        /// From when on; now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        from: Option<Timestamp>,
        /// Until when.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Timestamp,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Silences that hold or will.
    List {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// End a silence before its time.
    End {
        /// Its id, as `silence list` shows.
        id: String,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let (request, format) = match verb {
        Verb::Add { site, device, kind, severity, from, until, note } => {
            let covers = Covers { site: site.map(Site::from), device: device.map(DeviceName::from), kind, severity };
            (Request::AddSilence { covers, from, until, note }, output::Format::Table)
        }
        Verb::List { all, listing } => (Request::Silences { all }, listing.format),
        Verb::End { id } => (Request::EndSilence { id }, output::Format::Table),
    };
    let lines = part!(ask(config, request, &mut |_| {})?, Answered::Silences(lines) => lines);
    output::list(out, format, &lines, COLUMNS)?;
    Ok(Exit::Done)
}

const COLUMNS: &[Column<SilenceLine>] = &[
    ("id", |line| line.id.clone()),
    ("phase", |line| line.phase.to_string()),
    ("covers", |line| covered(&line.silence.covers)),
    ("from", |line| minute(Some(line.silence.from))),
    ("until", |line| minute(Some(line.silence.until))),
    ("note", |line| line.silence.note.clone()),
    ("by", |line| or_dash(line.silence.by.as_ref())),
];

fn covered(covers: &Covers) -> String {
    let Covers { site, device, kind, severity } = covers;
    let parts = [
        site.as_ref().map(|site| format!("site {site}")),
        device.as_ref().map(|device| format!("device {device}")),
        kind.map(|kind| kind.to_string()),
        severity.map(|severity| format!("up to {severity}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn word<T: Word>(text: &str) -> Result<T, String> {
    T::of_word(text).map_err(|error| error.to_string())
}
