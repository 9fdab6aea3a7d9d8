//! The flat forms: a row a line, every column in the order of the contract.

use std::io::{self, Write};
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::problem::spreadsheet;
use crate::domain::snapshot::{Head, Row, SnapshotId, Survey};

/// A row as it stands alone.
#[derive(Serialize)]
pub struct Line<'a> {
    schema_version: u32,
    snapshot_id: &'a SnapshotId,
    as_of: Timestamp,
    window_start: Timestamp,
    window_end: Timestamp,
    #[serde(flatten)]
    row: &'a Row,
}

impl<'a> Line<'a> {
    fn of(head: &'a Head, row: &'a Row) -> Line<'a> {
        Line {
            schema_version: head.schema_version,
            snapshot_id: &head.snapshot_id,
            as_of: head.as_of,
            window_start: head.window_start,
            window_end: head.window_end,
            row,
        }
    }
}

/// One JSON object a line.
pub fn ndjson(head: &Head, survey: &Survey<'_>, out: &mut dyn Write) -> io::Result<()> {
    each(survey, &mut |row| {
        serde_json::to_writer(&mut *out, &Line::of(head, row))?;
        out.write_all(b"\n")
    })
}

/// CSV with a header. What is not known is empty; several tags stand with a blank between them.
pub fn csv(head: &Head, survey: &Survey<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS.iter().map(|(name, _)| *name))?;
    each(survey, &mut |row| {
        let line = Line::of(head, row);
        Ok(csv.write_record(COLUMNS.iter().map(|(_, cell)| spreadsheet(&cell(&line))))?)
    })?;
    csv.flush()
}

fn each(survey: &Survey<'_>, write: &mut dyn FnMut(&Row) -> io::Result<()>) -> io::Result<()> {
    let mut written = Ok(());
    survey.each(&mut |entry| {
        written = write(&entry.row);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written
}

/// A column and its cell.
pub type Column = (&'static str, fn(&Line<'_>) -> String);

fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The word by which an enum is written.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// The columns of the flat form, in order. The names are those of [`Line`]; a test compares them.
pub const COLUMNS: &[Column] = &[
    ("schema_version", |line| line.schema_version.to_string()),
    ("snapshot_id", |line| line.snapshot_id.to_string()),
    ("as_of", |line| line.as_of.to_string()),
    ("window_start", |line| line.window_start.to_string()),
    ("window_end", |line| line.window_end.to_string()),
    ("site", |line| line.row.site.to_string()),
    ("environment", |line| text(&line.row.environment)),
    ("tags", |line| line.row.tags.join(" ")),
    ("smart_account", |line| text(&line.row.smart_account)),
    ("virtual_account", |line| text(&line.row.virtual_account)),
    ("device", |line| text(&line.row.device)),
    ("pid", |line| text(&line.row.pid)),
    ("sn", |line| text(&line.row.sn)),
    ("uuid", |line| text(&line.row.uuid)),
    ("ha_role", |line| word(&line.row.ha_role)),
    ("os", |line| text(&line.row.os)),
    ("software_version", |line| text(&line.row.software_version)),
    ("model", |line| word(&line.row.model)),
    ("reporter", |line| text(&line.row.reporter)),
    ("entitlement_tag", |line| text(&line.row.entitlement_tag)),
    ("license_name", |line| text(&line.row.license_name)),
    ("license_type", |line| text(&line.row.license_type)),
    ("tier", |line| text(&line.row.tier)),
    ("quantity", |line| text(&line.row.quantity)),
    ("quantity_peak", |line| text(&line.row.quantity_peak)),
    ("quantity_average", |line| text(&line.row.quantity_average)),
    ("quantity_reserved", |line| text(&line.row.quantity_reserved)),
    ("measured_state", |line| line.row.measured_state.to_string()),
    ("first_seen", |line| text(&line.row.first_seen)),
    ("last_measured", |line| text(&line.row.last_measured)),
    ("last_report_id", |line| text(&line.row.last_report_id)),
    ("last_ack", |line| text(&line.row.last_ack)),
    ("due", |line| text(&line.row.due)),
    ("days_left", |line| text(&line.row.days_left)),
    ("state", |line| line.row.state.to_string()),
    ("source_sha256", |line| text(&line.row.source_sha256)),
    ("quantity_peak_at", |line| text(&line.row.quantity_peak_at)),
    ("quantity_last", |line| text(&line.row.quantity_last)),
    ("quantity_observed", |line| text(&line.row.quantity_observed)),
    ("coverage", |line| line.row.coverage.to_string()),
    ("coverage_observed", |line| line.row.coverage_observed.to_string()),
    ("clock_uncertainty_seconds", |line| text(&line.row.clock_uncertainty_seconds)),
    ("family", |line| text(&line.row.family)),
];
