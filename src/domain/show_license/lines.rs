//! A terminal session as its lines: what pagers, clocks, prompts and logs put between them taken out.

use std::borrow::Cow;

use super::stamp::{clock_time, is_weekday, month};

/// One thing of a session, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item<'a> {
    /// A command that somebody typed: what follows answers it.
    Command(String),
    /// A line of output that is not blank.
    Line(Line<'a>),
}

/// A line of output, without white space at its ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    pub indent: usize,
    pub text: Cow<'a, str>,
}

impl Line<'_> {
    /// `Label: value`; both without white space around.
    pub(super) fn field(&self) -> Option<(&str, &str)> {
        let (label, value) = self.text.split_once(':')?;
        Some((label.trim(), value.trim()))
    }

    pub(super) fn starts_with(&self, start: &str) -> bool {
        starts_with(&self.text, start)
    }
}

/// Letters of either case are the same.
pub(super) fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// A text without what is not output.
#[derive(Debug, Default)]
pub(super) struct Session<'a> {
    pub items: Vec<Item<'a>>,
    /// The name in the first prompt.
    pub hostname: Option<String>,
    /// The name in a later prompt that is not that of the first.
    pub another_host: Option<String>,
    /// Does a prompt or a time line have the form of IOS XR?
    pub ios_xr: bool,
    /// Are there the header lines of `exec prompt timestamp` as IOS XE prints them?
    pub ios_xe: bool,
    /// The device's clock as printed before an output, the last one.
    pub clock: Option<String>,
    /// Lines into which a log message was printed, by number.
    pub cut_by_log: Vec<usize>,
}

/// Takes a text apart; linear in its length.
pub(super) fn session(text: &str) -> Session<'_> {
    let mut session = Session::default();
    let mut broken: Option<Line<'_>> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A carriage return alone ends a line too: pagers write over what they showed.
    let lines = text.split('\n').enumerate().flat_map(|(at, line)| line.split('\r').map(move |part| (1 + at, part)));
    for (number, raw) in lines {
        let raw = plain(raw);
        let indent = raw.len() - raw.trim_start().len();
        let text = trimmed(raw);
        if text.is_empty() {
            continue;
        }
        let line = Line { number, indent, text };
        let Some(line) = session.not_output(line) else { continue };
        let (line, cut) = without_log(line);
        let line = match (broken.take(), line) {
            (Some(head), Some(tail)) if is_rest(&head, &tail) => {
                let text = format!("{}{}", head.text, tail.text).into();
                Some(Line { text, ..head })
            }
            (Some(head), tail) => {
                session.items.push(Item::Line(Line { text: trimmed(head.text), ..head }));
                tail
            }
            (None, line) => line,
        };
        let Some(line) = line else { continue };
        if cut {
            session.cut_by_log.push(number);
            broken = Some(line);
        } else {
            session.items.push(Item::Line(line));
        }
    }
    session.items.extend(broken.map(|head| Item::Line(Line { text: trimmed(head.text), ..head })));
    session
}

impl<'a> Session<'a> {
    /// Takes headers, time lines, prompts and echoes out.
    fn not_output(&mut self, line: Line<'a>) -> Option<Line<'a>> {
        if line.starts_with("Load for five secs:") {
            self.ios_xe = true;
            return None;
        }
        for header in ["Time source is ", "No time source,"] {
            if line.starts_with(header) {
                self.ios_xe = true;
                self.clock = line.text.split_once(',').map(|(_, clock)| clock.trim().to_owned());
                return None;
            }
        }
        if is_xr_time(&line.text) {
            self.ios_xr = true;
            self.clock = Some(line.text.into_owned());
            return None;
        }
        if line.indent > 0 {
            return Some(line);
        }
        if let Some((host, command)) = prompt(&line.text) {
            let (host, command) = (host.to_owned(), command.to_owned());
            self.ios_xr |= line.text.contains("/CPU0:") || line.text.contains("/CPU1:");
            match &self.hostname {
                Some(known) if *known != host => self.another_host = Some(host),
                Some(_) => {}
                None => self.hostname = Some(host),
            }
            self.items.push(Item::Command(command));
            return None;
        }
        if is_echo(&line.text) {
            self.items.push(Item::Command(line.text.into_owned()));
            return None;
        }
        Some(line)
    }
}

/// Control characters obeyed or dropped, pagers' marks removed.
fn plain(raw: &str) -> Cow<'_, str> {
    const PAGER: &str = "--More--";
    if !raw.bytes().any(|byte| byte.is_ascii_control()) && !raw.contains(PAGER) {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{8}' | '\u{7f}' => {
                text.pop();
            }
            '\t' => text.push(' '),
            '\u{1b}' => {
                if characters.next() == Some('[') {
                    // A control sequence ends with its first letter.
                    let _ = characters.find(|character| matches!(character, '@'..='~'));
                }
            }
            character if character.is_control() => {}
            character => text.push(character),
        }
    }
    Cow::Owned(text.replace(PAGER, ""))
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// `Tue Jul  2 13:48:07.272 UTC`, before every output of IOS XR; it has no year.
fn is_xr_time(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().take(6).collect();
    let [weekday, name, day, time, zone] = words[..] else { return false };
    is_weekday(weekday)
        && month(name).is_some()
        && day.parse::<u8>().is_ok()
        && clock_time(time).is_some()
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b':'))
}

/// The host name and the command of a line that begins with a prompt.
///
/// `edge-1#`, `n9k1(config)# end`, `RP/0/RP0/CPU0:xr1#show version`.
fn prompt(text: &str) -> Option<(&str, &str)> {
    const LONGEST: usize = 100;
    let end = text.bytes().take(LONGEST).position(|byte| matches!(byte, b'#' | b'>'))?;
    let (before, rest) = text.split_at_checked(end)?;
    let of_a_prompt = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'@' | b'(' | b')' | b'/' | b':' | b'+')
    };
    if !before.bytes().all(of_a_prompt) || !before.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) {
        return None;
    }
    let command = rest.get(1..).unwrap_or_default().trim();
    let verb = command.split_whitespace().next().unwrap_or_default();
    if !verb.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
        return None;
    }
    let host = before.rsplit(':').next().unwrap_or(before);
    let host = host.split('(').next().unwrap_or(host);
    Some((host.strip_suffix("-stby").unwrap_or(host), command))
}

/// `show license all` without its prompt, as a terminal that echoes late gives it.
fn is_echo(text: &str) -> bool {
    const LONGEST: usize = 120;
    let mut words = text.split_whitespace();
    let show = matches!(words.next(), Some("show" | "sh" | "sho"));
    show && text.len() <= LONGEST && words.next().is_some_and(|what| subject(what).is_some())
}

/// What a `show` command shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    License,
    Version,
    Inventory,
    Clock,
}

/// A keyword as far as it was typed.
pub(super) fn subject(word: &str) -> Option<Subject> {
    let word = word.to_ascii_lowercase();
    let abbreviates = |whole: &str, least: usize| word.len() >= least && whole.starts_with(word.as_str());
    if abbreviates("license", 3) {
        Some(Subject::License)
    } else if abbreviates("version", 3) {
        Some(Subject::Version)
    } else if abbreviates("inventory", 3) {
        Some(Subject::Inventory)
    } else if abbreviates("clock", 3) {
        Some(Subject::Clock)
    } else {
        None
    }
}

/// The subject of a whole command, where it is a `show`.
pub(super) fn of_command(command: &str) -> Option<Subject> {
    let mut words = command.split_whitespace().skip_while(|word| *word == "admin");
    words.next().filter(|verb| verb.len() >= 2 && "show".starts_with(verb))?;
    subject(words.next()?)
}

/// Does a `show license` command ask for less than the status: `summary`, `usage`, `udi`, …?
pub(super) fn shows_a_part(command: &str) -> bool {
    let asked = command.split_whitespace().skip_while(|word| *word == "admin").nth(2);
    asked.is_some_and(|asked| !["all", "status", "tech", "techsupport"].iter().any(|whole| whole.starts_with(asked)))
}

/// Takes a log message off a line. The second value tells whether output stood before it.
fn without_log(line: Line<'_>) -> (Option<Line<'_>>, bool) {
    let Some(at) = log_mark(&line.text) else { return (Some(line), false) };
    let head = before_log(line.text.get(..at).unwrap_or_default());
    if head.trim().is_empty() {
        return (None, false);
    }
    let text = Cow::Owned(head.to_owned());
    (Some(Line { text, ..line }), true)
}

/// Where `%FACILITY-SEVERITY-MNEMONIC` begins.
fn log_mark(text: &str) -> Option<usize> {
    text.match_indices('%').map(|(at, _)| at).find(|at| {
        let token = text.get(at + 1..).unwrap_or_default();
        let end = token
            .bytes()
            .position(|byte| !(byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')));
        let mut parts = token.get(..end.unwrap_or(token.len())).unwrap_or_default().split('-').rev();
        let mnemonic = parts.next().is_some_and(|part| part.len() >= 2);
        let severity = parts.next().is_some_and(|part| matches!(part.as_bytes(), [b'0'..=b'7']));
        mnemonic && severity && parts.next().is_some_and(|part| !part.is_empty())
    })
}

/// What of a line stands before a log message's own prefix: number, node, time, process.
fn before_log(head: &str) -> &str {
    // NX-OS: `2026 Nov 21 09:10:44 n9k-1 %$ VDC-1 %$ %…`.
    let mut rest = head.split("%$").next().unwrap_or(head).trim_end();
    rest = rest.strip_suffix(':').unwrap_or(rest).trim_end();
    if rest.ends_with(']')
        && let Some(at) = rest.rfind([' ', ':'])
    {
        rest = rest.get(..at).unwrap_or_default().trim_end().trim_end_matches(':');
    }
    // A zone name may stand after the time.
    let Some((before, time)) = last_word(rest) else { return if rest.is_empty() { "" } else { head } };
    let (before, time) = match clock_time(time) {
        Some(_) => (before, time),
        None => match last_word(before) {
            Some(split) => split,
            None => return head,
        },
    };
    if clock_time(time).is_none() {
        return head;
    }
    let Some((before, day)) = last_word(before) else { return head };
    let day_of_month = day.parse::<u8>().is_ok_and(|day| day <= 31);
    // The month stands at the end of a word: `*Nov`, `RP/0/RP0/CPU0:Jul`, `32:11*Nov`.
    let Some(start) = before.len().checked_sub(3) else { return head };
    if !day_of_month || before.get(start..).is_none_or(|word| month(word).is_none()) {
        return head;
    }
    let before = before.get(..start).unwrap_or_default();
    let before = match before.strip_suffix(['*', '.']) {
        Some(before) => before,
        None => without_year(before),
    };
    // `000123: ` and `RP/0/RP0/CPU0:` are prefixes too.
    let Some(named) = before.trim_end().strip_suffix(':') else { return before };
    let start = named.rfind(' ').map_or(0, |at| at + 1);
    let node = named.get(start..).unwrap_or_default();
    let is_node = node.contains("/CPU") || (!node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit()));
    if is_node { named.get(..start).unwrap_or_default() } else { before }
}

/// NX-OS has the year first: `2026 Nov 21 09:10:44`.
fn without_year(before: &str) -> &str {
    let Some(year) = before.strip_suffix(' ') else { return before };
    let Some((rest, year)) = year.len().checked_sub(4).and_then(|at| year.split_at_checked(at)) else { return before };
    if year.starts_with("20") && year.bytes().all(|byte| byte.is_ascii_digit()) { rest } else { before }
}

fn last_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_end();
    let at = text.rfind(' ')?;
    Some((text.get(..at)?.trim_end(), text.get(at + 1..)?))
}

/// Is `tail` what was left of the line that a log message cut after `head`?
fn is_rest(head: &Line<'_>, tail: &Line<'_>) -> bool {
    let finished = head.text.split_once(':').is_some_and(|(_, value)| !value.trim().is_empty());
    let at_the_margin = tail.indent == 0 && tail.number <= head.number + 1;
    at_the_margin && (!finished || head.indent > 0 && !tail.text.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let shown = |item: Item<'_>| match item {
            Item::Command(command) => format!("$ {command}"),
            Item::Line(line) => line.text.into_owned(),
        };
        session(text).items.into_iter().map(shown).collect()
    }

    #[test]
    fn only_output_and_commands_are_left() {
        let text = "edge-1#show license status\r\r\nLoad for five secs: 1%/0%; one minute: 0%; five minutes: 0%\r\n\
            Time source is NTP, 15:09:55.102 UTC Wed Nov 10 2021\n\nUtility:\r  Status: DISABLED\n --More-- \u{8}\u{8}\u{8}\
            \u{8}\u{8}\u{8}\u{8}\u{8}\u{8}        \u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\
            Policy:\n\u{1b}[7m--More--\u{1b}[27m\r   Policy in use\u{0}: x\nedge-1# ";
        assert_eq!(
            lines(text),
            ["$ show license status", "Utility:", "Status: DISABLED", "Policy:", "Policy in use: x", "$ "]
        );
        let session = session(text);
        assert_eq!((session.hostname.as_deref(), session.ios_xe, session.ios_xr), (Some("edge-1"), true, false));
        assert_eq!(session.clock.as_deref(), Some("15:09:55.102 UTC Wed Nov 10 2021"));
    }

    #[test]
    fn prompts_of_the_three_systems_tell_the_host() {
        let host = |line: &str| session(line).hostname;
        assert_eq!(host("RP/0/RP0/CPU0:xr-1#sh license platform summary").as_deref(), Some("xr-1"));
        assert_eq!(host("n9k-1(config)# end").as_deref(), Some("n9k-1"));
        assert_eq!(host("wlc-1-stby>enable").as_deref(), Some("wlc-1"));
        for none in ["No Purchase Information Available#", " edge-1#", "a b#show", "x#Some prose", "->", "#"] {
            assert_eq!(host(none), None, "{none}");
        }
        assert!(session("Sat Nov 21 09:15:02.118 UTC\n").ios_xr);
        assert_eq!(of_command("sh lic all"), Some(Subject::License));
        assert_eq!(of_command("admin show inventory"), Some(Subject::Inventory));
        assert_eq!(of_command("license smart save usage all"), None);
    }

    #[test]
    fn log_messages_are_taken_out_wherever_they_fall() {
        let log =
            "*Nov 19 14:54:45.907: %SMART_LIC-6-REPORTING_REQUIRED: A Usage report acknowledgement will be required in";
        for cut in [
            format!("  Next ACK dead{log}\nline: <none>\n  Next report push: <none>"),
            format!("  Next ACK {log}\ndeadline: <none>\n  Next report push: <none>"),
            format!("  Next ACK deadline: <none>{log}\n  Next report push: <none>"),
            format!("  Next ACK deadline: <none>\n{log} 4 days.\n  Next report push: <none>"),
            format!("  Next ACK deadline: <none>\n000123: {log}\n  Next report push: <none>"),
            "  Next ACK deadline: <none>\nRP/0/RP0/CPU0:Jul  1 11:53:58.601 UTC: smartlicserver[397]: \
                %LICENSE-SMART_LIC-3-COMM_FAILED : x\n  Next report push: <none>"
                .to_owned(),
            "  Next ACK deadline: <none>\n2026 Nov 21 09:10:44 n9k-1 %LICMGR-2-X: y\n  Next report push: <none>"
                .to_owned(),
        ] {
            let kept: Vec<String> = lines(&cut).into_iter().filter(|line| !line.contains("n9k-1")).collect();
            assert_eq!(kept, ["Next ACK deadline: <none>", "Next report push: <none>"], "{cut}");
        }
        assert_eq!(lines("Load: 50%-9 and 100% of it"), ["Load: 50%-9 and 100% of it"]);
    }
}
