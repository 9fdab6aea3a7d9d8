//! The whole form: one JSON document, a row a line.

use std::io::{self, Write};

use serde::Serialize;

use super::Lines;
use crate::domain::snapshot::{Head, Overall, RollUp};

#[derive(Serialize)]
struct Above<'a> {
    #[serde(flatten)]
    head: &'a Head,
    roll_ups: &'a [RollUp],
}

/// Writes the document: the keys of [`Head`] and [`Overall`], and `rows`.
pub(super) fn json(head: &Head, overall: &Overall, rows: &Lines, out: &mut impl Write) -> io::Result<()> {
    let above = serde_json::to_string_pretty(&Above { head, roll_ups: &overall.roll_ups })?;
    let open = above.strip_suffix("\n}").unwrap_or(&above);
    // Lists may be as long as the fleet: they are not made into one text.
    write!(out, "{open},\n  \"lists\": ")?;
    serde_json::to_writer(&mut *out, &overall.lists)?;
    write!(out, ",\n  \"entitlements\": ")?;
    serde_json::to_writer(&mut *out, &overall.entitlements)?;
    write!(out, ",\n  \"rows\": [")?;
    let mut before = "\n    ";
    rows.each(&mut |row| {
        out.write_all(before.as_bytes())?;
        before = ",\n    ";
        out.write_all(row)
    })?;
    out.write_all(b"\n  ]\n}\n")
}
