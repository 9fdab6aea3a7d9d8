//! `on-prem`: License On-Prem's own synchronisation with Cisco.

use std::io::Write;

use jiff::Timestamp;

use super::ask::{ask, part};
use super::output::{self, Column, minute};
use super::status::instant;
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request};
use crate::domain::status::Row;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every License On-Prem server, with its place in the register.
    List(Listing),
    /// Record that a server synchronised with Cisco; its next 90 days count from then.
    Synced {
        /// Your name for the server.
        name: String,
        /// When, by the server's own word; now if not given.
        #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
        at: Option<Timestamp>,
        /// For the record.
        #[arg(long)]
        note: Option<String>,
    },
}

pub(super) fn run(verb: Verb, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let (request, format) = match verb {
        Verb::List(listing) => (Request::OnPrem, listing.format),
        Verb::Synced { name, at, note } => (Request::OnPremSynced { name, at, note }, output::Format::Table),
    };
    let rows = part!(ask(config, request, &mut |_| {})?, Answered::Rows(rows) => rows);
    output::list(out, format, &rows, COLUMNS)?;
    Ok(Exit::Done)
}

const COLUMNS: &[Column<Row>] = &[
    ("on-prem", |row| row.on_prem.clone().unwrap_or_default()),
    ("state", |row| row.state.to_string()),
    ("due", |row| minute(row.due)),
    ("days left", |row| row.days_left.map_or_else(|| "-".to_owned(), |days| format!("{days:.1}"))),
    ("reason", |row| row.reason.clone()),
];
