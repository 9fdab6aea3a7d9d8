//! The columns of the flat forms, in the order of the contract, each with its type.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::digest::Sha256;
use crate::domain::settings::Word;
use crate::domain::snapshot::{Head, Row, SnapshotId};

/// A row as it stands alone.
#[derive(Serialize)]
pub struct Line<'a> {
    schema_version: u32,
    pub(super) snapshot_id: &'a SnapshotId,
    pub(super) as_of: Timestamp,
    window_start: Timestamp,
    window_end: Timestamp,
    #[serde(flatten)]
    pub(super) row: &'a Row,
}

impl<'a> Line<'a> {
    pub(super) fn of(head: &'a Head, row: &'a Row) -> Line<'a> {
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

/// How a column is had from a row, by its type; what is not known is nothing.
#[derive(Clone, Copy)]
pub enum Of {
    Text(for<'l> fn(&'l Line<'_>) -> Option<Cow<'l, str>>),
    Words(for<'l> fn(&'l Line<'_>) -> &'l [String]),
    Count(fn(&Line<'_>) -> Option<u64>),
    Number(fn(&Line<'_>) -> Option<f64>),
    Time(fn(&Line<'_>) -> Option<Timestamp>),
    Digest(fn(&Line<'_>) -> Option<Sha256>),
}

impl Of {
    /// As text; what is not known is empty, and several words stand with a blank between them.
    pub fn cell<'l>(&self, line: &'l Line<'_>) -> Cow<'l, str> {
        let known = match self {
            Of::Text(of) => of(line),
            Of::Words(of) => match of(line) {
                [] => None,
                [word] => text(word),
                words => Some(Cow::Owned(words.join(" "))),
            },
            Of::Count(of) => of(line).and_then(shown),
            Of::Number(of) => of(line).and_then(shown),
            Of::Time(of) => of(line).and_then(shown),
            Of::Digest(of) => of(line).and_then(shown),
        };
        known.unwrap_or_default()
    }
}

/// A column: its name, and how it is had.
pub type Column = (&'static str, Of);

fn text(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

/// The word by which an enum is written.
fn word(value: impl Word) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(value.word()))
}

fn shown(value: impl ToString) -> Option<Cow<'static, str>> {
    Some(Cow::Owned(value.to_string()))
}

/// The columns of the flat form, in order. The names are those of `Line`; a test compares them.
pub const COLUMNS: &[Column] = &[
    ("schema_version", Of::Count(|line| Some(line.schema_version.into()))),
    ("snapshot_id", Of::Text(|line| text(&line.snapshot_id.0))),
    ("as_of", Of::Time(|line| Some(line.as_of))),
    ("window_start", Of::Time(|line| Some(line.window_start))),
    ("window_end", Of::Time(|line| Some(line.window_end))),
    ("site", Of::Text(|line| text(&line.row.site.0))),
    ("environment", Of::Text(|line| text(line.row.environment.as_deref()?))),
    ("tags", Of::Words(|line| &line.row.tags)),
    ("smart_account", Of::Text(|line| text(line.row.smart_account.as_deref()?))),
    ("virtual_account", Of::Text(|line| text(line.row.virtual_account.as_deref()?))),
    ("device", Of::Text(|line| text(&line.row.device.as_ref()?.0))),
    ("pid", Of::Text(|line| text(line.row.pid.as_deref()?))),
    ("sn", Of::Text(|line| text(line.row.sn.as_deref()?))),
    ("uuid", Of::Text(|line| text(line.row.uuid.as_deref()?))),
    ("ha_role", Of::Text(|line| word(line.row.ha_role?))),
    ("os", Of::Text(|line| text(line.row.os.as_deref()?))),
    ("software_version", Of::Text(|line| text(line.row.software_version.as_deref()?))),
    ("model", Of::Text(|line| word(line.row.model))),
    ("reporter", Of::Text(|line| word(line.row.reporter?))),
    ("entitlement_tag", Of::Text(|line| text(&line.row.entitlement_tag.as_ref()?.0))),
    ("license_name", Of::Text(|line| text(line.row.license_name.as_deref()?))),
    ("license_type", Of::Text(|line| text(line.row.license_type.as_deref()?))),
    ("tier", Of::Text(|line| word(line.row.tier?))),
    ("quantity", Of::Count(|line| line.row.quantity)),
    ("quantity_peak", Of::Count(|line| line.row.quantity_peak)),
    ("quantity_average", Of::Number(|line| line.row.quantity_average)),
    ("quantity_reserved", Of::Count(|line| line.row.quantity_reserved)),
    ("measured_state", Of::Text(|line| word(line.row.measured_state))),
    ("first_seen", Of::Time(|line| line.row.first_seen)),
    ("last_measured", Of::Time(|line| line.row.last_measured)),
    ("last_report_id", Of::Count(|line| line.row.last_report_id.map(|id| id.0))),
    ("last_ack", Of::Time(|line| line.row.last_ack)),
    ("due", Of::Time(|line| line.row.due)),
    ("days_left", Of::Number(|line| line.row.days_left)),
    ("state", Of::Text(|line| word(line.row.state))),
    ("source_sha256", Of::Digest(|line| line.row.source_sha256)),
    ("quantity_peak_at", Of::Time(|line| line.row.quantity_peak_at)),
    ("quantity_last", Of::Count(|line| line.row.quantity_last)),
    ("quantity_observed", Of::Count(|line| line.row.quantity_observed)),
    ("coverage", Of::Number(|line| Some(line.row.coverage))),
    ("coverage_observed", Of::Number(|line| Some(line.row.coverage_observed))),
    ("clock_uncertainty_seconds", Of::Count(|line| line.row.clock_uncertainty_seconds)),
    ("family", Of::Text(|line| word(line.row.family?))),
];
