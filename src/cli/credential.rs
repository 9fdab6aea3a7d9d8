//! `credential`: names and holds, never values.

use std::io::Write;

use super::ask::{ask, part};
use super::output::{self, Column, minute};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, CredentialLine, Request};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every credential, and whether it is held after refusals.
    List(Listing),
    /// Let a refused credential be used again.
    Release {
        /// Its name in the configuration.
        name: String,
        /// Why, for the record.
        #[arg(long)]
        note: Option<String>,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let (request, format) = match verb {
        Verb::List(listing) => (Request::Credentials, listing.format),
        Verb::Release { name, note } => (Request::ReleaseCredential { name, note }, output::Format::Table),
    };
    let lines = part!(ask(config, request, &mut |_| {})?, Answered::Credentials(lines) => lines);
    let named = |(credential, line)| Named { credential, line };
    let lines: Vec<Named> = lines.into_iter().map(named).collect();
    output::list(out, format, &lines, COLUMNS)?;
    Ok(Exit::Done)
}

/// A credential as it is printed.
#[derive(serde::Serialize)]
struct Named {
    credential: String,
    #[serde(flatten)]
    line: CredentialLine,
}

const COLUMNS: &[Column<Named>] = &[
    ("credential", |named| named.credential.clone()),
    ("username", |named| named.line.username.clone()),
    ("held", |named| named.line.held.to_string()),
    ("refused by", |named| {
        let known = &named.line.known;
        let devices = known.refused_by.iter().map(ToString::to_string);
        devices.chain(known.refused_by_upstreams.iter().cloned()).collect::<Vec<_>>().join(" ")
    }),
    ("last refusal", |named| minute(named.line.known.last_refusal)),
    ("released", |named| minute(named.line.known.released)),
];
