//! `upstream`: servers that reports go to by their API.

use std::io::Write;

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, Format, minute, or_dash};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request, UpstreamLine};
use crate::domain::advisory::Concern;
use crate::domain::cross_check::{About, Difference};
use crate::domain::problem::printable;
use crate::flow::check::{Checked, Concerned, Counted};
use crate::flow::submit::{Line, Passed};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every upstream of the configuration, and how it goes.
    List(Listing),
    /// Ask it now what it knows, and show where that differs from what is known here.
    Check {
        /// Its name in the configuration.
        name: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Submit what is owed now, and ask for answers that may be there.
    Submit {
        /// Its name in the configuration.
        name: String,
        /// Say what would be submitted, and send nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        listing: Listing,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    match verb {
        Verb::List(listing) => {
            let lines = part!(ask(config, Request::Upstreams, &mut |_| {})?, Answered::Upstreams(lines) => lines);
            output::list(out, listing.format, &lines, COLUMNS)?;
            Ok(Exit::Done)
        }
        Verb::Check { name, listing } => {
            let request = Request::CheckUpstream { upstream: name };
            let checked = part!(ask(config, request, &mut |_| {})?, Answered::Checked(checked) => checked);
            print(out, listing.format, &checked)?;
            match &checked.failure {
                Some(failure) => Err(Stop::failed(failure.clone())),
                None => Ok(Exit::Done),
            }
        }
        Verb::Submit { name, dry_run, listing } => {
            let request = Request::Submit { upstream: name, dry_run };
            let passed: Passed = part!(ask(config, request, &mut |_| {})?, Answered::Passed(passed) => passed);
            let Passed { submissions, left_out, failure, .. } = &passed;
            if listing.format == Format::Table && submissions.is_empty() && left_out.is_empty() && failure.is_none() {
                writeln!(out, "nothing is owed by the accounts of '{}', and no answer is waited for", passed.upstream)?;
                return Ok(Exit::Done);
            }
            output::list(out, listing.format, submissions, SUBMISSIONS)?;
            for left_out in &passed.left_out {
                writeln!(std::io::stderr(), "left out: {}", printable(left_out))?;
            }
            match passed.failure {
                Some(failure) => Err(Stop::failed(failure)),
                None if passed.left_out.is_empty() => Ok(Exit::Done),
                None => Ok(Exit::Partly),
            }
        }
    }
}

/// JSON has everything; the other forms list the differences, and a table has the rest in sentences before them.
fn print(out: &mut dyn Write, format: Format, checked: &Checked) -> std::io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, checked)?;
            return writeln!(out);
        }
        Format::Ndjson | Format::Csv => return output::list(out, format, &checked.differences, DIFFERENCES),
        Format::Table => {}
    }
    if checked.failure.is_some() {
        return Ok(());
    }
    for line in sentences(checked) {
        writeln!(out, "{}", printable(&line))?;
    }
    if checked.differences.is_empty() {
        return writeln!(out, "no difference from what is known here");
    }
    writeln!(out)?;
    output::table(out, &checked.differences, DIFFERENCES)?;
    let more = checked.counts.total().saturating_sub(checked.differences.len() as u64);
    if more > 0 {
        writeln!(out, "and {more} more")?;
    }
    Ok(())
}

fn sentences(checked: &Checked) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} {}, {} product instances",
        checked.upstream, checked.kind, checked.server, checked.devices
    )];
    let day = |at: Timestamp| minute(Some(at));
    for (at, certificate) in checked.certificates.iter().enumerate() {
        let whose = if at == 0 { "certificate" } else { "certificate above it" };
        lines.push(format!(
            "{whose}: {}, issued by {}, until {}",
            certificate.subject,
            if certificate.self_issued { "itself" } else { &certificate.issuer },
            day(certificate.until)
        ));
    }
    if checked.certificate_ends_soon {
        lines
            .push("certificate: one of the chain ends within 30 days, or has ended; renew it on the server".to_owned());
    }
    if checked.kind == "on-prem" {
        lines.push(match &checked.version {
            Some(version) if version.told_by_server => format!("release: {}, by its own word", version.release),
            Some(version) => format!("release: {}, by the configuration's word", version.release),
            None => "release: not known; write version = \"…\" into the configuration".to_owned(),
        });
        lines.extend(checked.advisories.iter().map(advisory));
        lines.push(match checked.synchronised {
            Some(at) => format!("last synchronised with Cisco: {}", day(at)),
            None => "last synchronised with Cisco: not told; `on-prem synced` records it".to_owned(),
        });
    }
    for alert in &checked.alerts {
        let told = [&alert.severity, &alert.kind, &alert.source].map(|word| or_dash(word.as_ref()));
        lines.push(format!("alert in {}: {}", alert.account, told.join(", ")));
    }
    for Counted { there: license, in_use_here } in &checked.licenses {
        let count = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        lines.push(format!(
            "licence in {}: {}, {} of {} in use, {}; by the devices' own word {}",
            license.account,
            license.name,
            count(license.in_use),
            count(license.quantity),
            or_dash(license.status.as_ref()),
            in_use_here.map_or_else(|| "-".to_owned(), |count| count.to_string())
        ));
    }
    lines.extend(checked.problems.iter().map(|problem| format!("not read: {problem}")));
    lines
}

fn advisory(told: &Concerned) -> String {
    let id = told.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    match (told.concern, &told.fixed) {
        (Concern::Affected, fixed) => {
            let fixed = or_dash(fixed.as_ref());
            format!("advisory: {}{id}, {:.1}: {}; mended in {fixed}", told.cve, told.score, told.what)
        }
        (Concern::Unknown, Some(fixed)) => {
            format!("advisory to look up: {}{id}, {:.1}: {}; mended in {fixed}", told.cve, told.score, told.what)
        }
        (Concern::Unknown, None) => format!(
            "advisory to look up: {}{id}, {:.1}: {}; the releases concerned are not known here",
            told.cve, told.score, told.what
        ),
    }
}

const DIFFERENCES: &[Column<Difference>] = &[
    ("difference", |difference| difference.about.kind().to_string()),
    ("pid", |difference| difference.udi.pid.to_string()),
    ("sn", |difference| difference.udi.sn.to_string()),
    ("there", |difference| match &difference.about {
        About::Account { there, .. } => there.to_string(),
        About::Contact { there, .. } => minute(*there),
        About::OnlyHere => "-".to_owned(),
        About::OnlyThere => "listed".to_owned(),
    }),
    ("here", |difference| match &difference.about {
        About::Account { here, .. } => here.to_string(),
        About::Contact { here, .. } => minute(*here),
        About::OnlyHere => "acknowledged".to_owned(),
        About::OnlyThere => "-".to_owned(),
    }),
    ("since", |difference| minute(Some(difference.since))),
];

const COLUMNS: &[Column<UpstreamLine>] = &[
    ("upstream", |line| line.upstream.clone()),
    ("type", |line| line.kind.clone()),
    ("server", |line| line.server.clone()),
    ("submits", |line| line.submit.to_string()),
    ("last read", |line| minute(line.last_read)),
    ("last submitted", |line| minute(line.last_submitted)),
    ("waiting", |line| line.waiting.to_string()),
    ("trouble", |line| or_dash(line.trouble.as_ref())),
];

const SUBMISSIONS: &[Column<Line>] = &[
    ("submission", |line| or_dash(line.submission.as_ref())),
    ("smart account", |line| or_dash(line.account.smart_account.as_ref())),
    ("virtual account", |line| or_dash(line.account.virtual_account.as_ref())),
    ("instances", |line| line.instances.to_string()),
    ("reports", |line| line.reports.to_string()),
    ("outcome", |line| line.outcome.clone()),
];
