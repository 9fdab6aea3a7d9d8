//! The whole form: one JSON document, a row a line.

use std::io::{self, Write};

use serde::Serialize;

use super::all_there;
use super::rows::in_order;
use super::spool::Lines;
use crate::domain::snapshot::{Head, Overall, RollUp};

#[derive(Serialize)]
struct Above<'a> {
    #[serde(flatten)]
    head: &'a Head,
    roll_ups: &'a [RollUp],
}

/// Between two rows.
const BETWEEN: &str = ",\n    ";

/// Lines as they stand in a list, without what is before the first and behind the last; and how many they are.
fn listed(lines: &[u8]) -> (u64, Vec<u8>) {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let (mut count, mut rows) = (0, Vec::with_capacity(lines.len() + lines.len() / 64));
    for line in lines.split(|byte| *byte == b'\n') {
        if count > 0 {
            rows.extend_from_slice(BETWEEN.as_bytes());
        }
        rows.extend_from_slice(line);
        count += 1;
    }
    (count, rows)
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
    let (mut before, mut count) = ("\n    ", 0);
    let list = |lines: io::Result<Vec<u8>>| lines.map(|lines| listed(&lines));
    in_order(rows.each()?, list, |(some, rows): (u64, Vec<u8>)| {
        count += some;
        out.write_all(std::mem::replace(&mut before, BETWEEN).as_bytes())?;
        out.write_all(&rows)
    })?;
    all_there(head, count)?;
    out.write_all(b"\n  ]\n}\n")
}
