//! `violation`: what breaks policy, what it rests on, and that a person knows of it.

use std::io::Write;

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, Format, minute, or_dash, printable};
use super::status::instant;
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request, ViolationLine, ViolationQuery};
use crate::domain::instance::Site;
use crate::domain::violation::{Evidence, Kind, Severity, ViolationId};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Open and acknowledged violations, the most severe first; with --all also resolved ones.
    List {
        /// Also those that are resolved.
        #[arg(long)]
        all: bool,
        /// Only this site.
        #[arg(long)]
        site: Option<String>,
        /// Only this kind, as `ack-overdue`; the manual lists them.
        #[arg(long, value_parser = word::<Kind>)]
        kind: Option<Kind>,
        /// Only this severity and those above it: info, warning, critical.
        #[arg(long, value_parser = word::<Severity>)]
        severity: Option<Severity>,
        #[command(flatten)]
        listing: Listing,
    },
    /// One violation: what it means, what it rests on, its life, and what mends it.
    Show {
        /// Its id, as `violation list` shows it.
        id: ViolationId,
        #[command(flatten)]
        listing: Listing,
    },
    /// Say that you know of it: the daily reminders rest; state, metric and `monitor` do not.
    Acknowledge {
        /// Its id, as `violation list` shows it.
        id: ViolationId,
        /// What is done about it, for the record.
        #[arg(long)]
        note: String,
        /// Until when (RFC 3339, a date, or "+30d"); 14 days where nothing is said.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<Timestamp>,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let (request, format) = match verb {
        Verb::List { all, site, kind, severity, listing } => {
            let query = ViolationQuery { all, site: site.map(Site::from), kind, severity };
            let answered = ask(config, Request::Violations(query), &mut |_| {})?;
            let lines = part!(answered, Answered::Violations(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            return Ok(Exit::Done);
        }
        Verb::Show { id, listing } => (Request::Violation { id }, listing.format),
        Verb::Acknowledge { id, note, until } => (Request::AcknowledgeViolation { id, note, until }, Format::Table),
    };
    let lines = part!(ask(config, request, &mut |_| {})?, Answered::Violations(lines) => lines);
    match format {
        Format::Table => lines.iter().try_for_each(|line| show(out, line))?,
        Format::Json | Format::Ndjson | Format::Csv => output::list(out, format, &lines, COLUMNS)?,
    }
    Ok(Exit::Done)
}

const COLUMNS: &[Column<ViolationLine>] = &[
    ("id", |line| line.id.to_string()),
    ("kind", |line| line.kind.to_string()),
    ("severity", |line| line.severity.to_string()),
    ("stage", |line| line.stage.to_string()),
    ("device", |line| or_dash(line.device.as_ref())),
    ("site", |line| line.site.to_string()),
    ("opened", |line| minute(Some(line.opened))),
    ("until", |line| minute(line.acknowledged.as_ref().map(|acknowledged| acknowledged.until))),
    ("explanation", |line| line.explanation.clone()),
];

fn show(out: &mut dyn Write, line: &ViolationLine) -> std::io::Result<()> {
    writeln!(out, "{}  {}  {}  {}", line.id, line.kind, line.severity, line.stage)?;
    writeln!(out, "  about         {}", printable(&line.subject.to_string()))?;
    writeln!(out, "  device        {}", printable(&or_dash(line.device.as_ref())))?;
    writeln!(out, "  site          {}", printable(&line.site.to_string()))?;
    writeln!(out, "  what          {}", printable(&line.explanation))?;
    writeln!(out, "  meaning       {}", line.meaning)?;
    for evidence in &line.evidence {
        let shown = match evidence {
            Evidence::Report(id) => format!("report {id}"),
            Evidence::Printed(text) => format!("printed: {text}"),
            Evidence::Event { at, what } => format!("{} {what}", minute(Some(*at))),
            Evidence::Bundle(id) => format!("bundle {id}"),
        };
        writeln!(out, "  evidence      {}", printable(&shown))?;
    }
    let again = match line.reopened {
        0 => String::new(),
        times => format!(", after it was resolved, {times} times so far"),
    };
    writeln!(out, "  opened        {}{again}", minute(Some(line.opened)))?;
    if let Some(acknowledged) = &line.acknowledged {
        let (at, until) = (minute(Some(acknowledged.at)), minute(Some(acknowledged.until)));
        let by = acknowledged.by.as_ref().map_or_else(String::new, |by| format!(" by {}", printable(by)));
        writeln!(out, "  acknowledged  {at}{by} until {until}: {}", printable(&acknowledged.note))?;
    }
    if line.resolved.is_some() {
        writeln!(out, "  resolved      {}", minute(line.resolved))?;
    }
    writeln!(out, "  remedy        {}", line.remedy)
}

/// A word of a closed set.
fn word<T: crate::domain::settings::Word>(text: &str) -> Result<T, String> {
    T::of_word(text).map_err(|error| error.to_string())
}
