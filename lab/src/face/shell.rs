//! A terminal on the device: echo, lines, paging, line ends, and everything else that stands between a screen and the
//! command line.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::cli::{Cli, Said, Then};
use crate::face::station::Station;
use crate::face::subsystem::{Duplex, Line};
use crate::fault::Fault;
use crate::spec::LineEnds;
use crate::system::System;

/// Characters of a command line; more are not taken.
const LONGEST: usize = 4096;
/// The page of a session that pages whatever it was told.
const STUBBORN: usize = 24;
/// Between the halves of a line.
const HALF: Duration = Duration::from_millis(3);
/// What a standby of IOS XR says to every key of Enter; it has no prompt.
const LOCKED: &str = "This (D)RP Node is not ready or active for login /configuration\n";
/// Output shorter than this many lines stays free of the device's log.
const LOGGED: usize = 8;

/// How a channel's program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status.
    With(u32),
    /// Without a word.
    Dropped,
}

/// A session at a prompt, until it leaves.
pub async fn interactive(line: Line) -> Ended {
    let fault = line.station.faults.at_session(line.way);
    let mut shell = Shell::new(line, fault);
    shell.session().await.unwrap_or(Ended::Dropped)
}

/// One command and its output, with no prompt, echo or pager.
pub async fn single(line: Line, command: &str) -> Ended {
    let mut shell = Shell::new(line, None);
    (shell.cli.length, shell.cli.width) = (0, 0);
    if shell.locked {
        return shell.put(LOCKED).await.map_or(Ended::Dropped, |()| Ended::With(1));
    }
    match shell.command(command).await {
        Ok(Some(_)) => Ended::With(0),
        Ok(None) | Err(_) => Ended::Dropped,
    }
}

/// Reads and never answers, until the other side ends.
pub async fn silent(mut line: Line) {
    swallowed(&mut line.stream).await;
}

async fn swallowed(stream: &mut Box<dyn Duplex>) {
    let mut waste = [0; 1024];
    while matches!(stream.read(&mut waste).await, Ok(count) if count > 0) {}
}

struct Shell {
    line: Line,
    station: Arc<Station>,
    cli: Cli,
    fault: Option<Fault>,
    /// A standby that lets nobody in.
    locked: bool,
    /// Bytes typed and not yet looked at, the next one last.
    typed: Vec<u8>,
}

/// What a key came to.
enum Key {
    Byte(u8),
    /// Nobody is there any more.
    Gone,
}

impl Shell {
    fn new(line: Line, fault: Option<Fault>) -> Shell {
        let station = Arc::clone(&line.station);
        let standby = station.faults.is_set(&Fault::Standby);
        let cli = Cli::new(Arc::clone(&station.spec), standby);
        let locked = standby && station.spec.os == System::IosXr;
        Shell { line, station, cli, fault, locked, typed: Vec::new() }
    }

    async fn session(&mut self) -> io::Result<Ended> {
        self.wake().await;
        let station = Arc::clone(&self.station);
        if station.spec.terminal.asks_cursor {
            self.put("\x1b[6n").await?;
        }
        self.put("\n").await?;
        if self.locked {
            while self.typed_line(false).await?.is_some() {
                self.put(LOCKED).await?;
            }
            return Ok(Ended::Dropped);
        }
        let mut question: Option<(String, bool)> = None;
        loop {
            let (prompt, hidden) = match question.take() {
                Some(question) => question,
                None if self.fault == Some(Fault::WrongPrompt) => ("switch: ".to_string(), false),
                None => (self.cli.prompt(), false),
            };
            self.put(&prompt).await?;
            let Some(line) = self.typed_line(hidden).await? else { return Ok(Ended::Dropped) };
            if hidden {
                station.meter.enable_tried();
            }
            match self.command(&line).await? {
                None => return Ok(Ended::Dropped),
                Some(Then::Leave) => return Ok(Ended::With(0)),
                Some(Then::Prompt) => {}
                Some(Then::Ask { question: text, hidden }) => question = Some((text, hidden)),
            }
        }
    }

    /// The time until the first prompt, and what becomes of input in it.
    async fn wake(&mut self) {
        let terminal = &self.station.spec.terminal;
        if terminal.loses_early_input {
            // Ends by the time limit, or because the other side has gone.
            let _ = timeout(terminal.wakes_after, swallowed(&mut self.line.stream)).await;
        } else {
            sleep(terminal.wakes_after).await;
        }
    }

    /// Does a line; `None` when the channel is to end without a word.
    async fn command(&mut self, line: &str) -> io::Result<Option<Then>> {
        let station = Arc::clone(&self.station);
        let mut fault = None;
        if self.cli.takes_command() && !line.trim().is_empty() {
            station.meter.request("SSH", line.trim());
            fault = station.faults.at_command(self.line.way, line.trim());
        }
        let _here = station.meter.in_flight.enter();
        let _fleet = station.fleet_in_flight.enter();
        self.line.tamper.begin(fault.clone());
        let mut work = |operation| station.apply(operation);
        let mut said = match fault {
            Some(Fault::Hang) => {
                swallowed(&mut self.line.stream).await;
                return Ok(None);
            }
            Some(Fault::NoCommand) => self.cli.unknown(line, &mut work),
            Some(Fault::Forbidden) => self.cli.forbidden(&mut work),
            _ => self.cli.obey(line, &mut work),
        };
        sleep(station.spec.terminal.pace * said.cost).await;
        if let Some(Fault::HugeBody(bytes)) = fault {
            let more = usize::try_from(bytes).unwrap_or(usize::MAX) / 64;
            said.text.push_str(&format!("{:-<63}\n", "").repeat(more));
        }
        self.log(&mut said);
        if fault == Some(Fault::DropChannel) {
            let half = said.text.char_indices().nth(said.text.chars().count() / 2).map_or(0, |(at, _)| at);
            self.put(&said.text[..half]).await?;
            return Ok(None);
        }
        let text = self.broken(&said.text);
        self.show(&text, fault == Some(Fault::HalfLines)).await?;
        Ok(Some(said.then))
    }

    /// A line of the device's log between two lines of a longer output.
    fn log(&self, said: &mut Said) {
        let lines = said.text.lines().count();
        if !self.station.spec.terminal.syslog || lines < LOGGED {
            return;
        }
        let notice = match self.station.spec.os {
            System::IosXe => "*Nov 19 14:54:45.907: %SMART_LIC-6-AGENT_ENABLED: Smart Agent for Licensing is enabled",
            System::IosXr => {
                "RP/0/RP0/CPU0:Nov 19 14:54:45.907 UTC: smartlicserver[390]: %LICENSE-SMART_LIC-6-AGENT_ENABLED : Smart \
                 Agent for Licensing is enabled"
            }
            System::NxOs => {
                "2026 Nov 19 14:54:45 switch %SMART_LIC-6-AGENT_ENABLED: Smart Agent for Licensing is enabled"
            }
        };
        let mut with = String::new();
        for (index, line) in said.text.lines().enumerate() {
            if index == lines / 2 {
                with.push_str(notice);
                with.push('\n');
            }
            with.push_str(line);
            with.push('\n');
        }
        said.text = with;
    }

    /// Lines no longer than the terminal is wide.
    fn broken(&self, text: &str) -> String {
        let width = self.cli.width;
        if width == 0 || text.lines().all(|line| line.chars().count() <= width) {
            return text.to_string();
        }
        let mut narrow = String::with_capacity(text.len() + text.len() / width);
        let mut column = 0;
        for character in text.chars() {
            if character == '\n' {
                column = 0;
            } else if column == width {
                narrow.push('\n');
                column = 1;
            } else {
                column += 1;
            }
            narrow.push(character);
        }
        narrow
    }

    /// Output, page by page.
    async fn show(&mut self, text: &str, halves: bool) -> io::Result<()> {
        let page = match self.fault {
            Some(Fault::Pager) => STUBBORN,
            _ => self.cli.length,
        };
        if page == 0 && !halves {
            return self.put(text).await;
        }
        let mut shown = 0;
        for line in text.split_inclusive('\n') {
            if page > 0 && shown + 1 >= page {
                match self.more().await? {
                    b' ' => shown = 0,
                    b'\r' | b'\n' => shown = page - 2,
                    _ => return Ok(()),
                }
            }
            if halves {
                let middle = line.char_indices().nth(line.chars().count() / 2).map_or(0, |(at, _)| at);
                self.put(&line[..middle]).await?;
                sleep(HALF).await;
                self.put(&line[middle..]).await?;
            } else {
                self.put(line).await?;
            }
            shown += 1;
        }
        Ok(())
    }

    /// The pager's question, and the key that answers it.
    async fn more(&mut self) -> io::Result<u8> {
        let (question, gone) = match self.station.spec.os {
            System::IosXe | System::IosXr => (" --More-- ", format!("{0}{1}{0}", "\x08".repeat(9), " ".repeat(8))),
            System::NxOs => ("\x1b[7m--More--\x1b[27m", "\r\x1b[K".to_string()),
        };
        self.put(question).await?;
        match self.key().await? {
            Key::Byte(byte) => {
                self.line.stream.write_all(gone.as_bytes()).await?;
                Ok(byte)
            }
            Key::Gone => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A line as it is typed, echoed unless it is hidden; `None` when nobody types any more.
    async fn typed_line(&mut self, hidden: bool) -> io::Result<Option<String>> {
        let mut line: Vec<u8> = Vec::new();
        loop {
            let Key::Byte(byte) = self.key().await? else { return Ok(None) };
            match byte {
                b'\r' | b'\n' => {
                    self.put("\n").await?;
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                // Ctrl-C and Ctrl-U take the line back.
                0x03 | 0x15 => {
                    line.clear();
                    self.put("\n").await?;
                    self.put(&self.cli.prompt()).await?;
                }
                0x04 if line.is_empty() => return Ok(None),
                0x08 | 0x7f => {
                    let erased = line.pop();
                    if erased.is_some() && !hidden {
                        self.put("\x08 \x08").await?;
                    }
                }
                0x1b => self.escape().await?,
                byte if byte >= 0x20 && line.len() < LONGEST => {
                    line.push(byte);
                    if !hidden {
                        self.line.stream.write_all(&[byte]).await?;
                    }
                }
                _ => {}
            }
        }
    }

    /// The rest of an escape sequence, such as the answer where the cursor is.
    async fn escape(&mut self) -> io::Result<()> {
        let Key::Byte(b'[') = self.key().await? else { return Ok(()) };
        while let Key::Byte(byte) = self.key().await? {
            if byte.is_ascii_alphabetic() {
                break;
            }
        }
        Ok(())
    }

    async fn key(&mut self) -> io::Result<Key> {
        if self.typed.is_empty() {
            let mut some = [0; 1024];
            let count = self.line.stream.read(&mut some).await?;
            // A line feed right behind a carriage return belongs to it.
            let mut after = false;
            for byte in &some[..count] {
                if !(after && *byte == b'\n') {
                    self.typed.push(*byte);
                }
                after = *byte == b'\r';
            }
            self.typed.reverse();
        }
        Ok(self.typed.pop().map_or(Key::Gone, Key::Byte))
    }

    /// Text with the device's line ends.
    async fn put(&mut self, text: &str) -> io::Result<()> {
        let end = match self.station.spec.terminal.line_ends {
            LineEnds::CrLf => "\r\n",
            LineEnds::CrCrLf => "\r\r\n",
        };
        self.line.stream.write_all(text.replace('\n', end).as_bytes()).await?;
        self.line.stream.flush().await
    }
}
