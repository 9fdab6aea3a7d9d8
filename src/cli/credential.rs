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
    let lines: Vec<(String, CredentialLine)> = lines.into_iter().collect();
    output::list(out, format, &lines, COLUMNS)?;
    Ok(Exit::Done)
}

const COLUMNS: &[Column<(String, CredentialLine)>] = &[
    ("credential", |(name, _)| name.clone()),
    ("username", |(_, line)| line.username.clone()),
    ("held", |(_, line)| line.held.to_string()),
    ("refused by", |(_, line)| line.known.refused_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    ("last refusal", |(_, line)| minute(line.known.last_refusal)),
    ("released", |(_, line)| minute(line.known.released)),
];
