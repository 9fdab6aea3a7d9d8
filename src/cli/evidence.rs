//! `evidence`: the period report for an auditor or a renewal.

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, minute, printable, word};
use super::status::instant;
use super::{Exit, Stop};
use crate::config::Config;
use crate::control::{Answered, Request};
use crate::domain::evidence::{Custody, Evidence, Group, Obligation, Outcome};
use crate::domain::settings::Word;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The period begins.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
    from: Timestamp,
    /// It ends just before this instant; now at the latest.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
    to: Timestamp,
    /// Only this Smart or Virtual Account.
    #[arg(long)]
    account: Option<String>,
    /// How to print: for reading, one JSON document, or CSV with a line a report.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// The forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Text,
    Json,
    Csv,
}

pub(super) fn run(args: Args, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let request = Request::Evidence { from: args.from, to: args.to, account: args.account };
    let evidence = part!(ask(config, request, &mut |_| {})?, Answered::Evidence(evidence) => evidence);
    print(&evidence, args.format, out)?;
    Ok(Exit::Done)
}

/// Prints the report.
pub fn print(evidence: &Evidence, form: Form, out: &mut dyn Write) -> std::io::Result<()> {
    match form {
        Form::Text => text(evidence, out),
        Form::Json => {
            serde_json::to_writer_pretty(&mut *out, evidence)?;
            writeln!(out)
        }
        Form::Csv => output::list(out, output::Format::Csv, &lines(evidence), &columns()),
    }
}

fn text(evidence: &Evidence, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "Reporting obligations from {} to {}", minute(Some(evidence.from)), minute(Some(evidence.to)))?;
    if let Some(account) = &evidence.account {
        writeln!(out, "of account {}", printable(account))?;
    }
    if let Some(kept) = evidence.incomplete_before {
        writeln!(out, "The journal is kept from {kept} on: what ended before is not told here.")?;
    }
    if evidence.groups.is_empty() {
        writeln!(out, "\nNothing was due.")?;
    }
    for group in &evidence.groups {
        writeln!(out, "\n{}: {}", printable(&place(group)), counts(group))?;
        for obligation in &group.obligations {
            write_obligation(obligation, out)?;
        }
    }
    if !evidence.notes.is_empty() {
        writeln!(out, "\nNotes")?;
    }
    for note in &evidence.notes {
        let by = note.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        let line = format!("{} {}: {} {:?}{by}", minute(Some(note.at)), note.what, note.about, note.note);
        writeln!(out, "  {}", printable(&line))?;
    }
    Ok(())
}

fn place(group: &Group) -> String {
    let or_none = |name: &Option<Arc<str>>| name.as_deref().unwrap_or("no account known").to_owned();
    let account = match (&group.smart_account, &group.virtual_account) {
        (None, None) => "No account known".to_owned(),
        (smart, of) => format!("{} / {}", or_none(smart), or_none(of)),
    };
    let site = if group.site.0.is_empty() { "no site".to_owned() } else { format!("site {}", group.site) };
    format!("{account}, {site}")
}

fn counts(group: &Group) -> String {
    let counted = Outcome::ALL.iter().filter_map(|outcome| Some(format!("{} {outcome}", group.counts.get(outcome)?)));
    format!("{} due: {}", group.obligations.len(), counted.collect::<Vec<_>>().join(", "))
}

fn write_obligation(obligation: &Obligation, out: &mut dyn Write) -> std::io::Result<()> {
    let late = obligation.late_days.map_or_else(String::new, |days| format!(" by {days:.1} days"));
    let carried = if obligation.carried_over { " (carried over)" } else { "" };
    let due = minute(Some(obligation.due));
    let name = printable(&obligation.name);
    writeln!(out, "  {name}  due {due}{carried}: {}{late}", obligation.outcome)?;
    let ended = obligation.ended.map_or_else(String::new, |at| format!("{} ", minute(Some(at))));
    writeln!(out, "    {ended}{}; deadline: {}", printable(&obligation.how), printable(&obligation.reason))?;
    for moved in &obligation.moves {
        let (at, from, to) = (minute(Some(moved.at)), minute(Some(moved.from)), minute(Some(moved.to)));
        writeln!(out, "    {at} moved from {from} to {to}: {}", printable(&moved.reason))?;
    }
    obligation.reports.iter().try_for_each(|report| writeln!(out, "    {}", printable(&chain(report))))
}

fn chain(report: &Custody) -> String {
    let mut line = format!("report {} {}: collected {}", report.report_id, report.udi, minute(Some(report.collected)));
    line += &format!(" as {}", report.object);
    if !report.bundles.is_empty() {
        line += &format!(", in bundle {}", report.bundles.join(" "));
    }
    let mut step = |what: &str, at: Option<Timestamp>, more: Option<String>| {
        if at.is_some() {
            let more = more.map_or_else(String::new, |more| format!(" ({more})"));
            line += &format!(", {what} {}{more}", minute(at));
        }
    };
    let with = |what: Option<String>, person: &Option<String>| match (what, person) {
        (Some(what), Some(person)) => Some(format!("{what}, {person}")),
        (what, person) => what.or_else(|| person.clone()),
    };
    step("handed over", report.handed_over, report.handed_over_person.clone());
    step("answered", report.answered, with(report.answer.map(|answer| answer.to_string()), &report.answered_person));
    step("delivered", report.delivered, report.delivery.clone());
    step("confirmed", report.confirmed, with(report.confirmed_by.as_ref().map(word), &report.confirmed_person));
    line
}

/// A line of the CSV: an obligation, and one of its reports where there are any.
#[derive(serde::Serialize)]
struct Line<'a> {
    group: &'a Group,
    obligation: &'a Obligation,
    report: Option<&'a Custody>,
}

fn lines(evidence: &Evidence) -> Vec<Line<'_>> {
    evidence.groups.iter().flat_map(lines_of).collect()
}

fn lines_of(group: &Group) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for obligation in &group.obligations {
        let reports = obligation.reports.iter().map(Some);
        let none = obligation.reports.is_empty().then_some(None);
        lines.extend(reports.chain(none).map(|report| Line { group, obligation, report }));
    }
    lines
}

fn columns<'e>() -> [Column<Line<'e>>; 22] {
    [
        ("smart account", |line| line.group.smart_account.as_deref().unwrap_or_default().to_owned()),
        ("virtual account", |line| line.group.virtual_account.as_deref().unwrap_or_default().to_owned()),
        ("site", |line| line.group.site.to_string()),
        ("name", |line| line.obligation.name.clone()),
        ("pid", |line| line.obligation.udi.as_ref().map_or_else(String::new, |udi| udi.pid.to_string())),
        ("sn", |line| line.obligation.udi.as_ref().map_or_else(String::new, |udi| udi.sn.to_string())),
        ("due", |line| line.obligation.due.to_string()),
        ("outcome", |line| line.obligation.outcome.to_string()),
        ("ended", |line| line.obligation.ended.map_or_else(String::new, |at| at.to_string())),
        ("late days", |line| line.obligation.late_days.map_or_else(String::new, |days| format!("{days:.1}"))),
        ("carried over", |line| line.obligation.carried_over.to_string()),
        ("how", |line| line.obligation.how.clone()),
        ("reason", |line| line.obligation.reason.clone()),
        ("report", |line| line.report.map_or_else(String::new, |report| report.report_id.to_string())),
        ("object sha256", |line| line.report.map_or_else(String::new, |report| report.object.to_string())),
        ("collected", |line| when(line.report.map(|report| report.collected))),
        ("bundles", |line| line.report.map_or_else(String::new, |report| report.bundles.join(" "))),
        ("handed over", |line| when(line.report.and_then(|report| report.handed_over))),
        ("answered", |line| when(line.report.and_then(|report| report.answered))),
        ("delivered", |line| when(line.report.and_then(|report| report.delivered))),
        ("delivery", |line| line.report.and_then(|report| report.delivery.clone()).unwrap_or_default()),
        ("confirmed", |line| when(line.report.and_then(|report| report.confirmed))),
    ]
}

fn when(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| at.to_string())
}
