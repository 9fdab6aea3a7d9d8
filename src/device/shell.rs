//! A conversation with a device's command line over a terminal.
//!
//! A command is sent only when the prompt is there, because devices lose what comes before it; its
//! answer ends where the prompt that was learnt at log-in stands again behind the echo. What the
//! terminal does to the text is undone in [`Reader`], which is pure.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::ssh::{Channel, Ending};
use super::{Complaint, Error, Refusal};

mod clean;
mod manner;
mod reader;

pub use manner::{IOS_XE, IOS_XR, Manner, NX_OS};
pub use reader::{Progress, Reader};

/// Is this line nothing that a command answers: a header or a log line?
pub(super) fn is_aside(line: &str) -> bool {
    clean::is_header(line) || clean::is_log_line(line)
}

const LOGIN: &str = "wait for the prompt";
const ENABLE: &str = "enable";
const RUN: &str = "run a command";

/// How a conversation begins and what it may take.
#[derive(Clone)]
pub struct Opening<'a> {
    /// `host:port`, for errors.
    pub address: &'a str,
    /// What is said first.
    pub setup: Setup<'a>,
    /// The password of `enable`, where the log-in alone gives too little.
    pub enable: Option<&'a str>,
    pub limits: ShellLimits,
}

impl std::fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let enable = self.enable.map(|_| "<secret>");
        f.debug_struct("Opening")
            .field("address", &self.address)
            .field("setup", &self.setup)
            .field("enable", &enable)
            .finish()
    }
}

/// The lines that a conversation begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup<'a> {
    /// What leads from a prompt that ends in `>`, which can do too little, to one that ends in `#`. `None`: where the
    /// system has no such thing.
    pub enable: Option<&'a str>,
    /// What makes a session quiet: for each need a ladder, of which the first that is taken is enough.
    /// A need that no rung meets is lived with.
    pub quieting: Vec<Vec<&'a str>>,
}

/// What a conversation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShellLimits {
    /// Until the first prompt.
    pub login: Duration,
    /// Until a command's answer is whole, unless the command has a limit of its own.
    pub command: Duration,
    /// Nothing may follow a prompt for so long, else it was output that looks like it.
    pub settle: Duration,
    /// The same where the prompt is in doubt: nothing was echoed, or text stands before it.
    pub doubt: Duration,
    /// The largest answer, in bytes.
    pub output: u64,
}

impl Default for ShellLimits {
    fn default() -> Self {
        ShellLimits {
            login: Duration::from_secs(30),
            command: Duration::from_secs(60),
            settle: Duration::from_millis(30),
            doubt: Duration::from_millis(1500),
            output: 64 << 20,
        }
    }
}

/// One command line.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    text: &'a str,
    limit: Option<Duration>,
    output: Option<u64>,
}

impl<'a> Command<'a> {
    pub fn new(text: &'a str) -> Self {
        Command { text, limit: None, output: None }
    }

    /// Its own time limit.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Its own limit of output, in bytes.
    pub fn at_most(mut self, output: u64) -> Self {
        self.output = Some(output);
        self
    }
}

impl<'a> From<&'a str> for Command<'a> {
    fn from(text: &'a str) -> Self {
        Command::new(text)
    }
}

/// What a command answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// LF ends, without headers and whole log lines; empty where the device said nothing.
    pub text: String,
    /// The bytes between echo and prompt, line ends as they came: for reads that a digest proves.
    pub raw: Vec<u8>,
}

/// A command line that waits at its prompt.
pub struct Shell<S> {
    stream: S,
    manner: &'static Manner,
    reader: Reader,
    prompt: String,
    address: String,
    limits: ShellLimits,
    /// It stands somewhere unknown; nothing may be sent any more.
    lost: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shell<S> {
    /// Waits for the prompt and learns it, enables where that is needed, turns paging off.
    pub async fn open(stream: S, manner: &'static Manner, opening: Opening<'_>) -> Result<Self, Error> {
        let mut shell = Shell {
            stream,
            manner,
            reader: Reader::new(manner),
            prompt: String::new(),
            address: opening.address.to_owned(),
            limits: opening.limits,
            lost: false,
        };
        let deadline = Instant::now() + opening.limits.login;
        shell.learn_prompt(deadline).await?;
        if let Some(line) = opening.setup.enable.filter(|_| shell.prompt.ends_with('>')) {
            shell.enable(line, opening.enable, deadline).await?;
        }
        for ladder in opening.setup.quieting {
            for command in ladder {
                match shell.run(command).await {
                    Ok(_) => break,
                    Err(Error::CommandRefused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(shell)
    }

    /// The prompt as it was learnt, such as `RP/0/RP0/CPU0:edge1#`.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// Runs one command and reads its answer. A complaint of the device is an error.
    pub async fn run<'a>(&mut self, command: impl Into<Command<'a>>) -> Result<Output, Error> {
        let command = command.into();
        let raw = self.converse(&command).await?;
        let output = Output { text: clean::text(&raw), raw };
        match self.manner.complaint(&output.text) {
            Some((complaint, said)) => Err(Error::CommandRefused { command: command.text.to_owned(), said, complaint }),
            None => Ok(output),
        }
    }

    /// The bytes that a command printed, whatever they say: a file may hold any text.
    pub async fn run_raw<'a>(&mut self, command: impl Into<Command<'a>>) -> Result<Vec<u8>, Error> {
        self.converse(&command.into()).await
    }

    /// Does it stand somewhere unknown, so that nothing more can be said?
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    async fn converse(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Error> {
        let text = command.text;
        if self.lost {
            let cause = format!("{text:?} is not sent: it is not known where the conversation stands");
            return Err(Error::Ours { step: RUN, cause });
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            let cause = format!("{text:?} is not one command line");
            return Err(Error::Ours { step: RUN, cause });
        }
        // Until the prompt is back nobody knows.
        self.lost = true;
        self.reader.clear();
        let deadline = Instant::now() + command.limit.unwrap_or(self.limits.command);
        let limit = command.output.unwrap_or(self.limits.output);
        self.send(&[text.as_bytes(), b"\n"].concat()).await?;
        let prompt = self.prompt.clone();
        loop {
            let progress = self.reader.progress(text, &prompt);
            let patience = match progress {
                Progress::Reading => None,
                Progress::Prompt => Some(self.limits.settle),
                // What asks has not done what it was told; nobody answers.
                Progress::PerhapsPrompt | Progress::Question => Some(self.limits.doubt),
            };
            let more = self.more(deadline, patience, text).await?;
            if self.reader.held() as u64 > limit {
                return Err(Error::TooLarge { step: RUN, limit });
            }
            if more {
                continue;
            }
            if progress == Progress::Question {
                let (command, said) = (command.text.to_owned(), self.reader.tail());
                return Err(Error::CommandRefused { command, said, complaint: Complaint::Failed });
            }
            break;
        }
        let raw = self.reader.answer(text, &prompt).to_vec();
        self.lost = false;
        Ok(raw)
    }

    /// The first prompt may be a line of the greeting that looks like one. A bare line end brings the
    /// real one again.
    async fn learn_prompt(&mut self, deadline: Instant) -> Result<(), Error> {
        const MOST_TRIES: usize = 4;
        let mut seen = String::new();
        for _ in 0..MOST_TRIES {
            let found = self.first_prompt(deadline).await?;
            if found == seen {
                self.prompt = found;
                return Ok(());
            }
            seen = found;
            self.reader.clear();
            self.send(b"\n").await?;
        }
        Err(Error::NoPrompt { step: LOGIN, got: seen })
    }

    async fn first_prompt(&mut self, deadline: Instant) -> Result<String, Error> {
        const MOST_GREETING: usize = 1 << 20;
        let mut nudged = false;
        loop {
            let tail = self.reader.tail();
            let line = tail.trim_end();
            let whole = self.reader.whole();
            if let Some(said) = whole.lines().chain([line]).rev().find(|line| self.manner.is_standby(line)) {
                return Err(Error::Standby { step: LOGIN, said: short(said.trim()) });
            }
            let found = self.manner.is_prompt(line);
            // A log line may have landed behind the prompt, and a bare line end brings it again.
            let hidden = line.is_empty() && self.reader.held() > 0 && !nudged;
            let patience = match (found, hidden) {
                (true, _) => Some(self.limits.settle.saturating_mul(4)),
                (false, true) => Some(self.limits.doubt.saturating_mul(2)),
                (false, false) => None,
            };
            match self.more(deadline, patience, "the greeting").await {
                Ok(true) => {}
                Ok(false) if found => return Ok(line.to_owned()),
                Ok(false) => {
                    nudged = true;
                    self.send(b"\n").await?;
                }
                Err(Error::Unreachable { .. }) if !line.is_empty() => {
                    return Err(Error::NoPrompt { step: LOGIN, got: short(line) });
                }
                Err(error) => return Err(error),
            }
            if self.reader.held() > MOST_GREETING {
                return Err(Error::TooLarge { step: LOGIN, limit: MOST_GREETING as u64 });
            }
        }
    }

    /// From `>` to `#`. The password is sent once.
    async fn enable(&mut self, line: &str, password: Option<&str>, deadline: Instant) -> Result<(), Error> {
        let privileged = self.prompt.replace('>', "#");
        self.reader.clear();
        self.send(&[line.as_bytes(), b"\n"].concat()).await?;
        let mut sent = false;
        loop {
            let tail = self.reader.tail();
            let line = tail.trim_end();
            let mut patience = None;
            if line == privileged {
                patience = Some(self.limits.settle);
            } else if line == self.prompt && self.reader.whole().contains('\n') {
                patience = Some(self.limits.doubt);
            } else if line.to_ascii_lowercase().ends_with("password:") {
                if sent {
                    return Err(Error::LoginRefused { step: ENABLE, refusal: Refusal::Enable });
                }
                let Some(password) = password else {
                    let cause = "it asks for an enable password, and none is configured".to_owned();
                    return Err(Error::NoLogin { step: ENABLE, cause });
                };
                self.reader.clear();
                self.send(&[password.as_bytes(), b"\n"].concat()).await?;
                sent = true;
            }
            let there = line == privileged;
            if self.more(deadline, patience, ENABLE).await? {
                continue;
            }
            if there {
                self.prompt = privileged;
                return Ok(());
            }
            return Err(if sent {
                Error::LoginRefused { step: ENABLE, refusal: Refusal::Enable }
            } else {
                Error::NoLogin { step: ENABLE, cause: "the device does not let this user enable".to_owned() }
            });
        }
    }

    /// Reads some more. `false` when nothing came for `patience`.
    async fn more(&mut self, deadline: Instant, patience: Option<Duration>, what: &str) -> Result<bool, Error> {
        let mut bytes = [0; 16 << 10];
        let until = patience.map_or(deadline, |patience| deadline.min(Instant::now() + patience));
        let read = match timeout_at(until, self.stream.read(&mut bytes)).await {
            Ok(read) => read.map_err(|error| self.unreachable(what, &error.to_string()))?,
            Err(_) if Instant::now() < deadline => return Ok(false),
            Err(_) => return Err(self.unreachable(what, "the time for it is over")),
        };
        if read == 0 {
            return Err(self.unreachable(what, "the device closed the channel"));
        }
        let mut reply = Vec::new();
        self.reader.feed(bytes.get(..read).unwrap_or_default(), &mut reply);
        if !reply.is_empty() {
            self.send(&reply).await?;
        }
        Ok(true)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.limits.command, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.unreachable("sending", &error.to_string())),
            Err(_) => Err(self.unreachable("sending", "the device takes nothing")),
        }
    }

    fn unreachable(&self, what: &str, cause: &str) -> Error {
        Error::Unreachable { step: RUN, address: self.address.clone(), cause: format!("{what}: {cause}") }
    }
}

impl Shell<Channel> {
    /// Closes the channel, wherever the conversation stands.
    pub async fn close(self) -> Ending {
        self.stream.close().await
    }
}

/// Foreign text, short enough for one line of a log.
fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests;
