//! A message as plain text: its sentences, its table, and what can be done.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::message::{Line, Message};
use crate::domain::problem::{excerpt, printable, printable_lines};
use crate::domain::settings::Word;

/// A column of the table: its heading and its cell for a line, empty where there is nothing to say.
pub(super) type Column = (&'static str, fn(&Line) -> Cow<'_, str>);

const COLUMNS: [Column; 8] = [
    ("name", |line| Cow::Borrowed(&line.name)),
    ("site", |line| Cow::Borrowed(&line.site.0)),
    ("state", |line| Cow::Borrowed(line.state.map_or("", Word::word))),
    ("leave by", |line| day(line.leave_by)),
    ("due", |line| day(line.due)),
    ("violation", |line| Cow::Borrowed(line.kind.map_or("", Word::word))),
    ("id", |line| Cow::Borrowed(line.violation.as_ref().map_or("", |id| id.as_str()))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::{Account, Site};
    use crate::domain::message::Topic;
    use crate::domain::violation::Severity;

    fn line(name: &str, what: &str) -> Line {
        Line {
            name: name.to_owned(),
            device: None,
            udi: None,
            site: Site::default(),
            account: Account::default(),
            state: None,
            due: Some("2026-11-20T08:00:00Z".parse().unwrap()),
            leave_by: None,
            violation: None,
            kind: None,
            what: what.to_owned(),
            remedy: Some("look".to_owned()),
        }
    }

    fn message(lines: Vec<Line>) -> Message {
        Message {
            id: "m-0123456789".to_owned(),
            at: "2026-11-21T08:00:00Z".parse().unwrap(),
            topic: Topic::Overdue,
            severity: Severity::Critical,
            site: None,
            title: "two are\noverdue".to_owned(),
            text: "first\n\u{1b}second".to_owned(),
            lines,
        }
    }

    #[test]
    fn columns_are_aligned_and_only_those_that_say_something() {
        let told = write(&message(vec![line("a", "late"), line("edge-01\r\n", "late \u{202e}too")]), 10);
        let expected = "\
two are\\noverdue

first
\\u{1b}second

NAME         DUE                WHAT
a            2026-11-20 08:00Z  late
edge-01\\r\\n  2026-11-20 08:00Z  late \\u{202e}too

What can be done:
  look

overdue m-0123456789, 2026-11-21 08:00Z
";
        assert_eq!(told, expected);
    }

    #[test]
    fn thousands_of_lines_are_written_or_counted() {
        let many = message((0..5000).map(|n| line(&format!("edge-{n}"), &"long ".repeat(1000))).collect());
        let all = write(&many, usize::MAX);
        assert!(all.contains("edge-4999") && !all.contains("more:") && all.len() < 2_000_000, "{}", all.len());
        let some = write(&many, 3);
        assert!(some.contains("edge-2 ") && some.contains("and 4997 more") && some.len() < 2000, "{some}");
        assert!(write(&message(Vec::new()), 3).lines().count() == 6);
    }
}
