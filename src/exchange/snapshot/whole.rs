//! The whole form: one JSON document, a row a line.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use crate::domain::snapshot::{Head, Overall, RollUp, Survey};

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
    let mut written = Ok(());
    let mut between = "\n    ";
    survey.each(&mut |entry| {
        written = (|| {
            out.write_all(between.as_bytes())?;
            serde_json::to_writer(&mut *out, entry).map_err(io::Error::from)
        })();
        between = ",\n    ";
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    written?;
    out.write_all(b"\n  ]\n}\n")
}
