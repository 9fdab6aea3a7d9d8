//! A message as plain text: its sentences, its table, and what can be done.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::message::{Line, Message};
use crate::domain::problem::{excerpt, printable, printable_lines};
use crate::domain::settings::Word;

/// A column of the table: its heading and its cell for a line, empty where there is nothing to say.
pub(super) type Column = (&'static str, fn(&Line) -> Cow<'_, str>);

const COLUMNS: [Column; 7] = [
    ("name", |line| Cow::Borrowed(&line.name)),
    ("site", |line| Cow::Borrowed(&line.site.0)),
    ("state", |line| Cow::Borrowed(line.state.map_or("", Word::word))),
    ("leave by", |line| day(line.leave_by)),
    ("due", |line| day(line.due)),
    ("violation", |line| Cow::Borrowed(line.kind.map_or("", Word::word))),
    ("what", |line| Cow::Borrowed(&line.what)),
];

/// More different remedies than this are more than somebody reads.
const MOST_REMEDIES: usize = 20;

/// Wider cells stand out of their column.
const WIDEST: usize = 40;

fn day(at: Option<Timestamp>) -> Cow<'static, str> {
    at.map_or(Cow::Borrowed(""), |at| Cow::Owned(at.strftime("%Y-%m-%d %H:%MZ").to_string()))
}

/// The columns in which some of the lines have something to say.
pub(super) fn columns(lines: &[Line]) -> Vec<Column> {
    COLUMNS.into_iter().filter(|(_, cell)| lines.iter().any(|line| !cell(line).is_empty())).collect()
}

/// `and 4800 more` behind the first `most` lines.
pub(super) fn left_out(message: &Message, most: usize) -> Option<String> {
    let more = message.lines.len().saturating_sub(most);
    (more > 0).then(|| format!("and {more} more: `slp-collector status` and `violation list` have all of them"))
}

/// What can be done about the lines, each once, in their order.
pub(super) fn remedies(lines: &[Line]) -> Vec<&str> {
    let mut remedies: Vec<&str> = Vec::new();
    for remedy in lines.iter().filter_map(|line| line.remedy.as_deref()) {
        if remedies.len() < MOST_REMEDIES && !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    remedies
}

/// The whole message with at most so many lines of the table; foreign text in it is escaped.
pub(super) fn write(message: &Message, most: usize) -> String {
    let mut text = printable(&message.title) + "\n";
    if !message.text.is_empty() {
        let _ = write!(text, "\n{}\n", printable_lines(&message.text));
    }
    let lines = &message.lines[..message.lines.len().min(most)];
    if !lines.is_empty() {
        text.push('\n');
        table(&mut text, lines);
    }
    if let Some(more) = left_out(message, most) {
        let _ = writeln!(text, "{more}");
    }
    let remedies = remedies(lines);
    if !remedies.is_empty() {
        text.push_str("\nWhat can be done:\n");
        for remedy in remedies {
            let _ = writeln!(text, "  {}", printable(remedy));
        }
    }
    let _ = write!(text, "\n{} {}, {}\n", message.topic, message.id, day(Some(message.at)));
    text
}

fn table(text: &mut String, lines: &[Line]) {
    let columns = columns(lines);
    let rows: Vec<Vec<String>> =
        lines.iter().map(|line| columns.iter().map(|(_, cell)| printable(&excerpt(&cell(line)))).collect()).collect();
    let heading: Vec<String> = columns.iter().map(|(heading, _)| heading.to_uppercase()).collect();
    let width = |at: usize| {
        let cells = rows.iter().chain([&heading]).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(WIDEST)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in [&heading].into_iter().chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}
