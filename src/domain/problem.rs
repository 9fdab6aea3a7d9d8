//! What was wrong with something read, as sentences for a person.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// More sentences than this about one file help nobody.
const MOST: usize = 200;

/// Does a problem mean that something was not read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Something could not be read: the file was not read whole.
    Fault,
    /// Everything was read; this is worth knowing.
    Remark,
}

/// One sentence about something read; written as its text alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub weight: Weight,
    pub text: String,
}

impl Problem {
    pub fn fault(text: impl Into<String>) -> Problem {
        Problem { weight: Weight::Fault, text: text.into() }
    }

    pub fn remark(text: impl Into<String>) -> Problem {
        Problem { weight: Weight::Remark, text: text.into() }
    }

    pub fn is_fault(&self) -> bool {
        self.weight == Weight::Fault
    }

    /// The same problem with a word before it that says where.
    pub fn of(self, place: impl fmt::Display) -> Problem {
        Problem { weight: self.weight, text: format!("{place}: {}", self.text) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The problems of one file: faults are always kept in sight, the number is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
    faults: bool,
}

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.faults |= problem.is_fault();
        if self.kept.len() < MOST {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    pub fn fault(&mut self, text: impl Into<String>) {
        self.push(Problem::fault(text));
    }

    pub fn remark(&mut self, text: impl Into<String>) {
        self.push(Problem::remark(text));
    }

    /// Takes over the problems of a part, each with the part's name before it.
    pub fn adopt(&mut self, place: impl fmt::Display, part: Problems) {
        let named = part.kept.into_iter().map(|problem| problem.of(&place)).collect();
        self.take(Problems { kept: named, ..part });
    }

    /// Takes over the problems of another reading of the same thing.
    pub fn take(&mut self, other: Problems) {
        self.faults |= other.faults;
        self.more += other.more;
        for problem in other.kept {
            self.push(problem);
        }
    }

    /// Was everything read?
    pub fn is_whole(&self) -> bool {
        !self.faults
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// The sentences, with a last one that counts those left out.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.kept.iter().map(|problem| problem.text.clone()).collect();
        if self.more > 0 {
            sentences.push(format!("and {} more problems", self.more));
        }
        sentences
    }
}

/// Foreign text cut to a length that fits into a sentence.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// Foreign text on one line of a terminal or a log: whatever moves the cursor, hides or turns text
/// is spelled out.
pub fn printable(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || hidden {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// [`printable`] for a text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// A cell that no spreadsheet takes for a formula; numbers stay numbers.
pub fn spreadsheet(text: &str) -> Cow<'_, str> {
    let text = if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(printable(text)) };
    let formula = text.starts_with(['=', '+', '-', '@']) && text != "-" && text.parse::<f64>().is_err();
    if formula { Cow::Owned(format!("'{text}")) } else { text }
}

/// Is [`printable`] nothing but the text itself? Nearly every text is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// [`printable`] as HTML shows it, in an element or an attribute.
pub fn as_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An error with everything that caused it, in one line for a person.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&own) {
            text = format!("{text}: {own}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_problems_is_counted_not_kept() {
        let mut problems = Problems::default();
        for n in 0..MOST + 7 {
            problems.remark(format!("remark {n}"));
        }
        assert!(problems.is_whole());
        problems.fault("the last one");
        assert!(!problems.is_whole());
        assert_eq!(problems.sentences().len(), MOST + 1);
        assert_eq!(problems.sentences().last().unwrap(), "and 8 more problems");
    }

    #[test]
    fn terminals_get_nothing_to_obey() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e ü"), "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}e ü");
        assert_eq!(printable_lines("a\u{1b}\nZürich"), "a\\u{1b}\nZürich");
    }

    #[test]
    fn excerpts_end_between_characters() {
        let long = "é".repeat(400);
        assert_eq!(excerpt(&long).chars().count(), 161);
        assert_eq!(excerpt("short"), "short");
    }
}
