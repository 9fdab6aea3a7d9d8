//! The whole form: one JSON document, a row a line.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use crate::domain::snapshot::{Entry, Head, Overall, RollUp, Survey};

#[derive(Serialize)]
struct Above<'a> {
    #[serde(flatten)]
    head: &'a Head,
    roll_ups: &'a [RollUp],
}

/// Writes the document: the keys of [`Head`] and [`Overall`], and `rows`.
pub fn json(head: &Head, overall: &Overall, survey: &Survey<'_>, out: &mut dyn Write) -> io::Result<()> {
    let above = serde_json::to_string_pretty(&Above { head, roll_ups: &overall.roll_ups })?;
    let open = above.strip_suffix("\n}").unwrap_or(&above);
    // Lists may be as long as the fleet: they are not made into one text.
    write!(out, "{open},\n  \"lists\": ")?;
    serde_json::to_writer(&mut *out, &overall.lists)?;
    write!(out, ",\n  \"entitlements\": ")?;
    serde_json::to_writer(&mut *out, &overall.entitlements)?;
    write!(out, ",\n  \"rows\": [")?;
    let text = |entries: Vec<Entry>| {
        let mut text = Vec::new();
        for entry in &entries {
            text.extend_from_slice(b",\n    ");
            serde_json::to_writer(&mut text, entry)?;
        }
        io::Result::Ok(text)
    };
    let (mut written, mut first) = (Ok(()), true);
    let write = |text: io::Result<Vec<u8>>| {
        written = text.and_then(|text| {
            // A part may have no row.
            let begun = usize::from(!text.is_empty() && std::mem::take(&mut first));
            out.write_all(text.get(begun..).unwrap_or_default())
        });
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    survey.each(text, write).map_err(io::Error::other)?;
    written?;
    out.write_all(b"\n  ]\n}\n")
}
