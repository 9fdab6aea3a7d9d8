//! `status`: the deadline register.

use std::io::Write;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::ask::{ask_briefly, part};
use super::output::{Column, Format, List, minute};
use super::{Exit, Stop};
use crate::config::Config;
use crate::control::{Answered, Reply, Request, StatusQuery};
use crate::domain::calendar;
use crate::domain::deadline::ObligationState;
use crate::domain::instance::Site;
use crate::domain::status::Row;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this site.
    #[arg(long)]
    site: Option<String>,
    /// Only this state: overdue, due-soon, never-reported, ok, not-required, nothing-to-report, not-slp, unknown.
    #[arg(long, value_parser = state)]
    state: Option<ObligationState>,
    /// Only what is due within this time, as "30d".
    #[arg(long, value_name = "TIME", value_parser = span)]
    due_within: Option<SignedDuration>,
    /// As of this instant (RFC 3339, a date, or "+100d"): later than now asks how it will stand if
    /// nothing is done, earlier how it stood.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// Also what is retired or replaced, after the rest.
    #[arg(long)]
    retired: bool,
    /// How to print: columns for a person, one JSON document, one JSON object a line, CSV with a header, or a calendar.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

/// The forms of the register: those of every list, and a calendar (RFC 5545).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Table,
    Json,
    Ndjson,
    Csv,
    Ics,
}

impl Form {
    /// `None` for the calendar, which is no list.
    fn list(self) -> Option<Format> {
        match self {
            Form::Table => Some(Format::Table),
            Form::Json => Some(Format::Json),
            Form::Ndjson => Some(Format::Ndjson),
            Form::Csv => Some(Format::Csv),
            Form::Ics => None,
        }
    }
}

pub(super) fn run(args: Args, config: &Path, out: &mut dyn Write) -> Result<Exit, Stop> {
    let site = args.site.map(Site::from);
    let query = StatusQuery {
        at: args.at,
        site: site.clone(),
        state: args.state,
        due_within: args.due_within,
        retired: args.retired,
        devices_only: false,
    };
    let Some(format) = args.format.list() else {
        let mut all = Vec::new();
        ask_rows(query, config, &mut |rows| all.extend(rows))?;
        require_known(site.filter(|_| all.is_empty()), config)?;
        out.write_all(calendar::calendar(&all, Timestamp::now()).as_bytes())?;
        return Ok(Exit::Done);
    };
    let mut list = List::new(out, format, COLUMNS);
    ask_rows(query, config, &mut |rows| list.add(&rows))?;
    require_known(site.filter(|_| list.is_empty()), config)?;
    list.end()?;
    Ok(Exit::Done)
}

/// Hands on the rows as they come.
fn ask_rows(query: StatusQuery, config: &Path, take: &mut dyn FnMut(Vec<Row>)) -> Result<(), Stop> {
    let answered = ask_briefly(config, Request::Status(query), &mut |reply| {
        if let Reply::Rows(rows) = reply {
            take(rows);
        }
    });
    part!(answered?, Answered::Nothing => Ok(()))
}

/// A site that has no rows is told, unless it is only empty.
fn require_known(site: Option<Site>, config: &Path) -> Result<(), Stop> {
    match site {
        Some(site) if !is_known(&super::load(config)?, &site.0) => {
            Err(Stop::usage(format!("no site '{site}' in the configuration, and nothing is known of one")))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_known(config: &Config, site: &str) -> bool {
    config.sites.keys().any(|known| *known.0 == *site) || config.inventory.iter().any(|device| *device.site.0 == *site)
}

/// The columns of the register; the device list shows the same.
pub(super) const COLUMNS: &[Column<Row>] = &[
    ("device", Row::name),
    ("site", |row| row.site.to_string()),
    ("state", |row| row.state.to_string()),
    ("contact", |row| row.contact.to_string()),
    ("due", |row| minute(row.due)),
    ("leave by", |row| minute(row.leave_by)),
    ("days left", |row| row.days_left.map_or_else(|| "-".to_owned(), |days| format!("{days:.1}"))),
    ("last ACK", |row| minute(row.last_ack)),
    ("waiting", |row| row.reports_waiting.to_string()),
    ("basis", |row| row.basis.to_string()),
    ("mode", |row| row.mode.map(|mode| mode.to_string()).unwrap_or_default()),
    ("trouble", |row| row.trouble.clone().unwrap_or_default()),
];

/// A state by its word.
fn state(text: &str) -> Result<ObligationState, String> {
    text.parse().map_err(|error: crate::domain::settings::UnknownWord| error.to_string())
}

/// A length of time: "30d", "6h", "90m".
pub(super) fn span(text: &str) -> Result<SignedDuration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| format!("expected a time like 30d, got {text:?}"))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(format!("expected s, m, h, d or w after the number, got {unit:?}")),
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs).ok_or_else(|| "too long a time".to_owned())
}

/// An instant: RFC 3339, a date (its midnight, UTC), or "+30d" / "-30d" from now.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    if let Some(later) = text.strip_prefix('+') {
        return Timestamp::now().checked_add(span(later)?).map_err(|error| error.to_string());
    }
    if let Some(earlier) = text.strip_prefix('-') {
        return Timestamp::now().checked_sub(span(earlier)?).map_err(|error| error.to_string());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() == 10
    {
        return date
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|midnight| midnight.timestamp())
            .map_err(|error| error.to_string());
    }
    text.parse().map_err(|_| format!("expected a time like 2026-03-01T12:00:00Z, 2026-03-01 or +30d, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(span("30d"), Ok(SignedDuration::from_hours(720)));
        assert!(span("30").is_err() && span("d").is_err() && span("30 parsecs").is_err());
        assert_eq!(instant("2026-03-01").unwrap().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(instant("2026-03-01T12:00:00+02:00").unwrap().to_string(), "2026-03-01T10:00:00Z");
        assert!(instant("+100d").unwrap() > Timestamp::now());
        assert!(instant("-100d").unwrap() < Timestamp::now());
        assert!(instant("soon").is_err());
    }
}
