//! `forecast`: what falls due in the weeks to come, and when an exchange would serve best.

use std::io::Write;

use super::ask::{ask, part};
use super::output::{self, Column, minute};
use super::{Exit, Listing, Stop};
use crate::config::Config;
use crate::control::{Answered, Request};
use crate::domain::forecast::Week;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// So many days from today, rounded up to whole weeks; ten years at most.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: u16,
    #[command(flatten)]
    listing: Listing,
}

pub(super) fn run(args: Args, config: Config, out: &mut dyn Write) -> Result<Exit, Stop> {
    let request = Request::Forecast { days: args.days };
    let weeks = part!(ask(config, request, &mut |_| {})?, Answered::Weeks(weeks) => weeks);
    output::list(out, args.listing.format, &weeks, COLUMNS)?;
    Ok(Exit::Done)
}

const COLUMNS: &[Column<Week>] = &[
    ("week from", |week| week.from.strftime("%Y-%m-%d").to_string()),
    ("due", |week| week.due.to_string()),
    ("overdue", |week| week.overdue.to_string()),
    ("by site", |week| {
        let site = |(site, count): (&crate::domain::instance::Site, &usize)| match &*site.0 {
            "" => format!("(no site) {count}"),
            name => format!("{name} {count}"),
        };
        week.sites.iter().map(site).collect::<Vec<_>>().join("; ")
    }),
    ("others report", |week| week.others.to_string()),
    ("too late", |week| week.late.to_string()),
    ("exchange by", |week| minute(week.exchange)),
    ("would reset", |week| week.resets.to_string()),
];
