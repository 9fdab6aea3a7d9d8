//! `upstream`: servers that reports go to by their API.

use std::io::Write;

use super::ask::{ask, part};
use super::output::{self, Column, minute, or_dash};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request, UpstreamLine};
use crate::domain::problem::printable;
use crate::flow::submit::{Line, Passed};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every upstream of the configuration, and how it goes.
    List(Listing),
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
        Verb::Submit { name, dry_run, listing } => {
            let request = Request::Submit { upstream: name, dry_run };
            let passed: Passed = part!(ask(config, request, &mut |_| {})?, Answered::Passed(passed) => passed);
            output::list(out, listing.format, &passed.submissions, SUBMISSIONS)?;
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
