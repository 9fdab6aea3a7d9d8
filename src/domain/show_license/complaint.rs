//! A device's refusal of a command, told by its words.

use super::licence_errors::LICENCE_ERRORS;
use super::lines::{Item, Line, session, starts_with};

/// What a device refused, and in which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub kind: ComplaintKind,
    /// The sentence, without the sign before it.
    pub text: String,
}

/// Whose turn a refusal makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplaintKind {
    /// No such command on this software, or none for this user: IOS XE does not tell these apart.
    InvalidCommand,
    IncompleteCommand,
    AmbiguousCommand,
    /// The user may not do it.
    NotAuthorized,
    /// The licensing agent's own error, by its name in the model (`requesteditemnotfound`, …).
    Licence(&'static str),
    /// A file or a file system that is not there, full, or read only.
    File,
    /// Some other line with the sign of an error.
    Other,
}

/// How many lines an answer may have before and after a refusal.
const NEAR: usize = 12;

/// Is this output of one command its refusal? A long output is none, whatever stands in its middle.
pub fn complaint(output: &str) -> Option<Complaint> {
    let session = session(output);
    let lines: Vec<&Line<'_>> = session
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Line(line) => Some(line),
            Item::Command(_) => None,
        })
        .collect();
    let head = lines.iter().take(NEAR);
    let tail = lines.iter().skip(lines.len().saturating_sub(3).max(NEAR));
    head.chain(tail).find_map(|line| of_line(&line.text))
}

/// Is this one line a refusal?
pub(super) fn of_line(line: &str) -> Option<Complaint> {
    let line = line.trim();
    let (signed, text) = match line.strip_prefix('%') {
        Some(text) => (true, text.trim()),
        None => (false, line),
    };
    let kind = by_words(signed, text).or_else(|| licence(text).map(ComplaintKind::Licence));
    let kind = kind.or_else(|| (signed && !is_harmless(text)).then_some(ComplaintKind::Other))?;
    Some(Complaint { kind, text: text.to_owned() })
}

/// The same sign stands before remarks.
fn is_harmless(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.is_empty()
        || ["warning", "info", "note"].iter().any(|word| lower.starts_with(word))
        || lower.contains("success")
}

fn by_words(signed: bool, text: &str) -> Option<ComplaintKind> {
    const SIGNED: [(&str, ComplaintKind); 7] = [
        ("invalid ", ComplaintKind::InvalidCommand),
        ("unrecognized command", ComplaintKind::InvalidCommand),
        ("unknown command", ComplaintKind::InvalidCommand),
        ("incomplete command", ComplaintKind::IncompleteCommand),
        ("ambiguous command", ComplaintKind::AmbiguousCommand),
        ("error opening", ComplaintKind::File),
        ("error ", ComplaintKind::File),
    ];
    const PLAIN: [(&str, ComplaintKind); 8] = [
        ("command authorization failed", ComplaintKind::NotAuthorized),
        ("authorization failed", ComplaintKind::NotAuthorized),
        ("this command is not authorized", ComplaintKind::NotAuthorized),
        ("permission denied", ComplaintKind::NotAuthorized),
        ("user not authorized", ComplaintKind::NotAuthorized),
        ("no such file or directory", ComplaintKind::File),
        ("no space left on device", ComplaintKind::File),
        ("syntax error while parsing", ComplaintKind::InvalidCommand),
    ];
    let of = |words: &[(&str, ComplaintKind)]| {
        words.iter().find(|(start, _)| starts_with(text, start)).map(|(_, kind)| *kind)
    };
    of(&PLAIN).or_else(|| of(&SIGNED).filter(|_| signed))
}

/// The agent's error whose sentence this is; as the whole line, with or without `Error:` before it.
fn licence(text: &str) -> Option<&'static str> {
    let text = match text.split_once(':') {
        Some((word, rest)) if word.eq_ignore_ascii_case("error") || word.eq_ignore_ascii_case("failed") => rest,
        _ => text,
    };
    let bare = |text: &str| text.trim().trim_end_matches(['.', '*']).trim_end().len();
    let text = text.trim();
    let text = text.get(..bare(text))?;
    LICENCE_ERRORS
        .iter()
        .find(|(_, sentence)| {
            sentence.get(..bare(sentence)).is_some_and(|sentence| sentence.eq_ignore_ascii_case(text))
        })
        .map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_their_words() {
        use ComplaintKind::*;
        for (output, kind) in [
            (
                "edge-1#show lisense\n               ^\n% Invalid input detected at '^' marker.\n\nedge-1#",
                InvalidCommand,
            ),
            ("                 ^\n% Invalid command at '^' marker.\n", InvalidCommand),
            ("% Incomplete command.\n", IncompleteCommand),
            ("% Ambiguous command:  \"li s\"\n", AmbiguousCommand),
            ("Sat Nov 21 09:15:02.118 UTC\n% This command is not authorized\n", NotAuthorized),
            ("% Permission denied for the role\n", NotAuthorized),
            ("Command authorization failed.\n\n", NotAuthorized),
            ("The requested item was not found\r\n", Licence("notfound")),
            ("Error: Signature Verification failed.\n", Licence("verifysignaturefailed")),
            ("%Error opening bootflash:none.xml (No such file or directory)\n", File),
            ("% Something else went wrong\n", Other),
        ] {
            assert_eq!(complaint(output).map(|complaint| complaint.kind), Some(kind), "{output}");
        }
    }

    #[test]
    fn what_is_no_refusal_is_none() {
        let long =
            format!("{}The requested item was not found\n{}", "  Count: 1\n".repeat(50), "  Count: 1\n".repeat(50));
        for output in [
            "",
            "Import Data Successful\n",
            "%Warning: reload required after \"license smart factory reset\" command\n",
            "*Nov 19 14:54:45.907: %SMART_LIC-3-COMM_FAILED: Communications failure\n",
            "Smart Licensing is ENABLED\n",
            "Success\n",
            &long,
        ] {
            assert_eq!(complaint(output), None, "{output}");
        }
    }
}
