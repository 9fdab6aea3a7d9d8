//! Files over SFTP, in a subsystem of an SSH connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::{Config, SftpSession};
use russh_sftp::protocol::OpenFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Error;
use super::flash::FileLimits;
use super::own_file::{Folder, OwnFile};
use super::ssh::{Channel, Ssh};

const OPEN: &str = "begin SFTP";
const GET: &str = "get a file over SFTP";
const PUT: &str = "put a file over SFTP";
const STAT: &str = "look at a file over SFTP";
const REMOVE: &str = "delete our own file over SFTP";

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A running SFTP session. Its channel closes when it is dropped.
pub struct Sftp {
    session: SftpSession,
    /// Fires when the session has let go of its channel.
    ended: watch::Receiver<()>,
    address: String,
    limits: FileLimits,
}

impl Sftp {
    /// Begins the subsystem. A device that has none answers [`Error::NotOffered`].
    pub async fn open(ssh: &Ssh, limits: FileLimits) -> Result<Sftp, Error> {
        let channel = ssh.subsystem("sftp").await?;
        let config = Config {
            max_concurrent_reads: 4,
            max_concurrent_writes: 4,
            request_timeout_secs: ANSWER.as_secs(),
            ..Config::default()
        };
        let address = ssh.address().to_owned();
        let (alive, ended) = watch::channel(());
        let beginning = SftpSession::new_with_config(Held { channel, _alive: alive }, config);
        let begun = tokio::select! {
            biased;
            begun = timeout(ANSWER, beginning) => begun,
            () = gone(&ended) => return Err(closed(&address, OPEN)),
        };
        match begun {
            Ok(Ok(session)) => Ok(Sftp { session, ended, address, limits }),
            Ok(Err(error)) => Err(failed(&address, OPEN, "", &error)),
            Err(_) => Err(late(&address, OPEN, ANSWER)),
        }
    }

    /// The size of a file of ours in bytes; `None` where there is no such file.
    pub async fn size(&self, folder: &Folder, file: &OwnFile) -> Result<Option<u64>, Error> {
        let path = file.within(folder);
        self.within(STAT, async {
            match self.session.metadata(path.as_str()).await {
                Ok(about) => Ok(about.size),
                Err(SftpError::Status(status)) if is_missing(&status) => Ok(None),
                Err(error) => Err(failed(&self.address, STAT, &path, &error)),
            }
        })
        .await
    }

    /// Reads a whole file of ours.
    pub async fn get(&self, folder: &Folder, file: &OwnFile) -> Result<Vec<u8>, Error> {
        let (path, most) = (file.within(folder), self.limits.size);
        self.within(GET, async {
            let failed = |error: SftpError| failed(&self.address, GET, &path, &error);
            let mut file = self.session.open(path.as_str()).await.map_err(failed)?;
            let mut bytes = Vec::new();
            let read = (&mut file).take(most.saturating_add(1)).read_to_end(&mut bytes).await;
            drop(file.close().await);
            read.map_err(|error| self.broken(GET, &error))?;
            if bytes.len() as u64 > most { Err(Error::TooLarge { step: GET, limit: most }) } else { Ok(bytes) }
        })
        .await
    }

    /// Writes a file of ours.
    pub async fn put(&self, folder: &Folder, file: &OwnFile, bytes: &[u8]) -> Result<(), Error> {
        let path = file.within(folder);
        self.within(PUT, async {
            let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
            let opened = self.session.open_with_flags(path.as_str(), flags).await;
            let mut file = opened.map_err(|error| failed(&self.address, PUT, &path, &error))?;
            let written = async {
                file.write_all(bytes).await?;
                file.flush().await
            };
            let written = written.await;
            let closed = file.close().await;
            written.and(closed).map_err(|error| Error::FileRefused {
                step: PUT,
                path: path.clone(),
                said: error.to_string(),
            })
        })
        .await
    }

    /// Deletes a file of ours. That it is gone already is no error.
    pub async fn remove(&self, folder: &Folder, file: &OwnFile) -> Result<(), Error> {
        let path = file.within(folder);
        self.within(REMOVE, async {
            match self.session.remove_file(path.as_str()).await {
                Ok(()) => Ok(()),
                Err(SftpError::Status(status)) if is_missing(&status) => Ok(()),
                Err(error) => Err(failed(&self.address, REMOVE, &path, &error)),
            }
        })
        .await
    }

    /// Ends the session and with it the channel.
    pub async fn close(self) {
        drop(self.session.close().await);
    }

    async fn within<T>(&self, step: &'static str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            outcome = timeout(self.limits.time, work) => match outcome {
                Ok(outcome) => outcome,
                Err(_) => Err(late(&self.address, step, self.limits.time)),
            },
            () = gone(&self.ended) => Err(closed(&self.address, step)),
        }
    }

    fn broken(&self, step: &'static str, error: &std::io::Error) -> Error {
        Error::Unreachable { step, address: self.address.clone(), cause: error.to_string() }
    }
}

/// The channel, and who notices that the session has let go of it: without that each question would wait for its
/// time limit once the device has closed.
struct Held {
    channel: Channel,
    _alive: watch::Sender<()>,
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}

async fn gone(ended: &watch::Receiver<()>) {
    // Nothing is ever sent: it ends when the sender is dropped.
    drop(ended.clone().changed().await);
}

fn closed(address: &str, step: &'static str) -> Error {
    let cause = "the device closed the channel".to_owned();
    Error::Unreachable { step, address: address.to_owned(), cause }
}

fn is_missing(status: &russh_sftp::protocol::Status) -> bool {
    status.status_code == russh_sftp::protocol::StatusCode::NoSuchFile
}

fn late(address: &str, step: &'static str, limit: Duration) -> Error {
    Error::Unreachable { step, address: address.to_owned(), cause: format!("not done within {limit:?}") }
}

fn failed(address: &str, step: &'static str, path: &str, error: &SftpError) -> Error {
    match error {
        SftpError::Status(status) => {
            let said = format!("{}: {}", status.status_code, status.error_message).chars().take(200).collect();
            Error::FileRefused { step, path: path.to_owned(), said }
        }
        SftpError::IO(_) | SftpError::Timeout => {
            Error::Unreachable { step, address: address.to_owned(), cause: error.to_string() }
        }
        SftpError::Limited(_) | SftpError::UnexpectedPacket | SftpError::UnexpectedBehavior(_) => {
            Error::Misbehaved { step, expected: "an SFTP answer", got: error.to_string().chars().take(200).collect() }
        }
    }
}
