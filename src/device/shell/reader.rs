//! What comes from a terminal, byte by byte: escapes and pagers are taken out, lines are kept.
//!
//! Pure: it is fed with bytes and says what to send back.

use super::super::ssh::{COLUMNS, ROWS};
use super::clean::is_log_line;
use super::manner::Manner;

/// The longest escape sequence that is understood; a longer one is dropped like any other.
const LONGEST_ESCAPE: usize = 64;

/// How much of an unfinished line is looked at, in bytes: a whole report may stand on one line.
const LONGEST_TAIL: usize = 1024;

/// How far into an answer the echo of its command is looked for, in bytes.
const ECHO_WITHIN: usize = 16 << 10;

/// Reads one answer.
pub struct Reader {
    manner: &'static Manner,
    /// What came, without escapes, pagers and what backspaces wiped out; line ends as they came.
    plain: Vec<u8>,
    /// Where the line that is not yet ended begins.
    line: usize,
    escape: Escape,
    /// What came since a pager was sent on, until something is printed.
    wiping: Option<Vec<u8>>,
    cursor: (u16, u16),
    /// Where the command's echo ends.
    echo: Option<usize>,
}

enum Escape {
    None,
    /// ESC came.
    Begun,
    /// `ESC [` and parameters.
    Control(Vec<u8>),
    /// `ESC ]` up to BEL or `ESC \`.
    System {
        escape: bool,
        length: usize,
    },
    /// `ESC (` and the like, one more byte to come.
    Set,
}

/// A prompt at the end of what came.
struct Prompt {
    at: usize,
    /// Nothing stands before it on its line.
    alone: bool,
    /// No log line stands behind it.
    last: bool,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Reading,
    /// The prompt stands alone on the last line.
    Prompt,
    /// It may be the prompt, if nothing follows: no echo was seen, or it does not stand alone.
    PerhapsPrompt,
    /// The last line waits for an answer, if nothing follows.
    Question,
}

impl Reader {
    pub fn new(manner: &'static Manner) -> Self {
        Reader { manner, plain: Vec::new(), line: 0, escape: Escape::None, wiping: None, cursor: (1, 1), echo: None }
    }

    /// Takes what came; pushes what must be sent back.
    pub fn feed(&mut self, bytes: &[u8], reply: &mut Vec<u8>) {
        for byte in bytes {
            self.byte(*byte, reply);
        }
        if self.plain.len() - self.line > LONGEST_TAIL {
            return;
        }
        let tail = self.tail();
        let pager = self.manner.pagers.iter().find(|(sign, _)| tail.trim_start().starts_with(sign));
        if let Some((_, key)) = pager {
            reply.extend_from_slice(key.as_bytes());
            self.plain.truncate(self.line);
            self.wiping = Some(Vec::new());
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.plain.len()
    }

    /// Forgets everything so far, for the next command.
    pub fn clear(&mut self) {
        *self = Reader::new(self.manner);
    }

    /// The line that is not yet ended, of a long one its end.
    pub fn tail(&self) -> String {
        let from = self.line.max(self.plain.len().saturating_sub(LONGEST_TAIL));
        let tail = self.plain.get(from..).unwrap_or_default();
        // A prompt that was drawn anew stands behind a carriage return.
        let tail = tail.rsplit(|byte| *byte == b'\r').find(|part| !part.is_empty()).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Everything so far, for those who look for a greeting.
    pub fn whole(&self) -> String {
        String::from_utf8_lossy(&self.plain).into_owned()
    }

    /// How far the answer to `command` is, where `prompt` ends it.
    pub fn progress(&mut self, command: &str, prompt: &str) -> Progress {
        let echoed = self.echo_end(command).is_some();
        match self.prompt_at(prompt) {
            Some(Prompt { alone: true, last: true, .. }) if echoed => Progress::Prompt,
            Some(_) => Progress::PerhapsPrompt,
            None if echoed && self.manner.is_question(&self.tail()) => Progress::Question,
            None => Progress::Reading,
        }
    }

    /// The answer without the command's echo and without the prompt behind it.
    pub fn answer(&mut self, command: &str, prompt: &str) -> &[u8] {
        let from = self.echo_end(command).unwrap_or(0);
        let to = self.prompt_at(prompt).map_or(self.plain.len(), |prompt| prompt.at);
        self.plain.get(from..to).unwrap_or_default()
    }

    /// The prompt at the end; log lines may have landed behind it.
    fn prompt_at(&self, prompt: &str) -> Option<Prompt> {
        const MOST_LINES: usize = 8;
        let (mut start, mut end) = (self.line, self.plain.len());
        let mut last = true;
        for _ in 0..MOST_LINES {
            let from = start.max(end.saturating_sub(LONGEST_TAIL));
            let line = self.plain.get(from..end)?.trim_ascii_end();
            if let Some(before) = line.strip_suffix(prompt.as_bytes()) {
                let alone = before.is_empty() || before.ends_with(b"\r");
                return Some(Prompt { at: from + before.len(), alone: alone && from == start, last });
            }
            // A log message begins a line of its own. An empty line alone says nothing.
            if !line.is_empty() {
                if !is_log_line(&String::from_utf8_lossy(line)) {
                    return None;
                }
                last = false;
            }
            end = start.checked_sub(1)?;
            let before = self.plain.get(..end)?;
            start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // Nothing but an empty line stands behind that one, unless it is a log line.
            if last && !self.plain.get(start..end)?.contains(&b'%') {
                return None;
            }
        }
        None
    }

    /// Where the line ends on which the command was echoed.
    fn echo_end(&mut self, command: &str) -> Option<usize> {
        if self.echo.is_none() {
            let within = self.plain.get(..self.plain.len().min(ECHO_WITHIN)).unwrap_or_default();
            self.echo = echo_end(within, command.as_bytes());
        }
        self.echo
    }

    fn byte(&mut self, byte: u8, reply: &mut Vec<u8>) {
        match std::mem::replace(&mut self.escape, Escape::None) {
            Escape::None => self.printed(byte),
            Escape::Begun => {
                self.escape = match byte {
                    b'[' => Escape::Control(Vec::new()),
                    b']' | b'P' | b'^' | b'_' => Escape::System { escape: false, length: 0 },
                    b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ' => Escape::Set,
                    0x1b => Escape::Begun,
                    _ => Escape::None,
                }
            }
            Escape::Control(mut parameters) => match byte {
                0x40..=0x7e => self.control(byte, &parameters, reply),
                0x20..=0x3f if parameters.len() < LONGEST_ESCAPE => {
                    parameters.push(byte);
                    self.escape = Escape::Control(parameters);
                }
                0x1b => self.escape = Escape::Begun,
                // No escape after all; what it looked like is lost, what follows is not.
                _ => self.printed(byte),
            },
            Escape::System { escape, length } => {
                let over = byte == 0x07 || (escape && byte == b'\\') || length > 8 * LONGEST_ESCAPE;
                if !over {
                    self.escape = Escape::System { escape: byte == 0x1b, length: length + 1 };
                }
            }
            Escape::Set => {}
        }
    }

    fn control(&mut self, end: u8, parameters: &[u8], reply: &mut Vec<u8>) {
        match (end, parameters) {
            // Where is the cursor? Asked to learn the terminal's size, after sending it far off.
            (b'n', b"6") => {
                let (row, column) = self.cursor;
                reply.extend_from_slice(format!("\x1b[{row};{column}R").as_bytes());
            }
            (b'n', b"5") => reply.extend_from_slice(b"\x1b[0n"),
            (b'H' | b'f', _) => {
                let mut numbers = parameters.split(|byte| *byte == b';').map(|number| {
                    std::str::from_utf8(number).ok().and_then(|number| number.parse::<u16>().ok()).unwrap_or(1)
                });
                let (row, column) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
                self.cursor = (row.clamp(1, ROWS), column.clamp(1, COLUMNS));
            }
            // Right, by so many columns.
            (b'C', _) => {
                let far = std::str::from_utf8(parameters).ok().and_then(|number| number.parse::<u16>().ok());
                self.cursor.1 = self.cursor.1.saturating_add(far.unwrap_or(1)).min(COLUMNS);
            }
            _ => {}
        }
    }

    fn printed(&mut self, byte: u8) {
        if byte == 0x1b {
            self.escape = Escape::Begun;
            return;
        }
        if let Some(wiped) = &mut self.wiping {
            match byte {
                0x08 | 0x7f | b' ' | b'\r' if wiped.len() < 4096 => {
                    wiped.push(byte);
                    return;
                }
                _ => {
                    // Backspaces and carriage returns took the pager's sign away; blanks behind the last of
                    // them belong to the next line.
                    let kept = wiped.iter().rev().take_while(|byte| **byte == b' ').count();
                    self.plain.extend(std::iter::repeat_n(b' ', kept));
                    self.wiping = None;
                }
            }
        }
        match byte {
            0x08 | 0x7f => {
                if self.plain.len() > self.line {
                    self.plain.pop();
                }
            }
            // Padding and bells.
            0x00 | 0x07 => {}
            b'\n' => {
                self.plain.push(byte);
                self.line = self.plain.len();
                self.cursor = (self.cursor.0, 1);
            }
            _ => self.plain.push(byte),
        }
    }
}

fn echo_end(plain: &[u8], command: &[u8]) -> Option<usize> {
    if command.is_empty() {
        return plain.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    }
    let mut from = 0;
    while let Some(at) = plain.get(from..)?.windows(command.len()).position(|window| window == command) {
        let behind = from + at + command.len();
        let rest = plain.get(behind..)?;
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\r')).count();
        if rest.get(blank) == Some(&b'\n') {
            return Some(behind + blank + 1);
        }
        from = behind;
    }
    None
}
