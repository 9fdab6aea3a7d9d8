//! A program of the operator's that reads the message as JSON.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr};
use tokio::task::JoinSet;

use super::{Error, Sink, document};
use crate::domain::message::Message;
use crate::domain::problem::{excerpt, printable};

/// So much of its standard error is kept, in bytes.
const STDERR: usize = 4 << 10;

/// What it wrote last may come a moment after its end; a child of its own may keep the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

const REMEDY: &str = "run it by hand with a message on its standard input, as the user of the service";

#[derive(Debug)]
pub(super) struct Command {
    words: Vec<String>,
    collector: String,
    place: String,
}

impl Command {
    pub(super) fn new(place: String, words: &[String], collector: &str) -> Self {
        Command { words: words.to_vec(), collector: collector.to_owned(), place }
    }

    /// It is killed when this future is dropped, as the sink's time limit does it.
    fn start(&self) -> Result<Child, Error> {
        let (program, arguments) = self.words.split_first().ok_or_else(|| Error::Ours("no command".to_owned()))?;
        let child = tokio::process::Command::new(program)
            .args(arguments)
            // Nothing of ours, secrets' folders among it, is for others.
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.map_err(|error| Error::Ours(format!("{program} did not start: {error}")))
    }
}

impl Sink for Command {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        let json = document::json(&self.collector, message).map_err(|error| Error::Ours(error.to_string()))?;
        let mut child = self.start()?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        // Ends with this send: it need not read what it does not want.
        let mut feeding = JoinSet::new();
        if let Some(mut stdin) = stdin {
            feeding.spawn(async move { stdin.write_all(&json).await });
        }
        let mut said = Vec::new();
        let ended = {
            let listen = listen(stderr, &mut said);
            tokio::pin!(listen);
            tokio::select! {
                ended = child.wait() => {
                    drop(tokio::time::timeout(LAST_WORDS, listen).await);
                    ended
                }
                () = &mut listen => child.wait().await,
            }
        };
        let status = ended.map_err(|error| Error::Ours(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let answer = match said.as_str() {
            "" => status.to_string(),
            said => format!("{status}: {}", printable(&excerpt(said))),
        };
        Err(Error::Refused { place: self.place.clone(), answer, remedy: REMEDY })
    }
}

/// Keeps the beginning and reads the rest away, so that whoever writes much is not held up.
async fn listen(stderr: Option<ChildStderr>, said: &mut Vec<u8>) {
    let Some(mut stderr) = stderr else { return };
    let mut part = [0; 1024];
    while let Ok(read @ 1..) = stderr.read(&mut part).await {
        let room = STDERR.saturating_sub(said.len()).min(read);
        said.extend_from_slice(&part[..room]);
    }
}
