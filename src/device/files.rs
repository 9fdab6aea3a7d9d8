//! Files off a device and onto it over SSH, by the first way that works.

use std::time::Duration;

use super::flash::FileLimits;
use super::own_file::{Folder, OwnFile};
use super::sftp::Sftp;
use super::ssh::{Ssh, SshTarget};
use super::{Error, Learned, scp};
use crate::domain::settings::FileWay;

const GET: &str = "get a file off the device";
const PUT: &str = "put a file onto the device";

/// How long a question for a file that is not there may take.
const PROBE: Duration = Duration::from_secs(20);

/// The way of files, with a connection that is made when it is first needed.
pub(super) struct Files {
    target: Option<SshTarget>,
    ssh: Option<Ssh>,
}

/// A way that files may go, and why it is shut.
#[derive(Debug)]
pub struct Way {
    pub way: FileWay,
    pub failure: Option<Error>,
}

impl Files {
    /// `None`: no SSH is configured, so nothing but what the command line prints gets off.
    pub(super) fn new(target: Option<SshTarget>) -> Self {
        Files { target, ssh: None }
    }

    /// The connection, made if need be. A refused login comes as it is: nothing else may be tried then.
    pub(super) async fn ssh(&mut self) -> Result<&Ssh, Error> {
        if self.ssh.is_none() {
            let Some(target) = &self.target else {
                let cause = "no login over SSH is configured".to_owned();
                return Err(Error::NotOffered { step: "connect over SSH", what: "SSH".to_owned(), cause });
            };
            self.ssh = Some(Ssh::connect(target).await?);
        }
        self.ssh.as_ref().ok_or(Error::Ours { step: "connect over SSH", cause: "it is gone at once".to_owned() })
    }

    /// The connection, if there is one.
    pub(super) fn connected(&self) -> Option<&Ssh> {
        self.ssh.as_ref()
    }

    /// Gets a file of ours by SCP or SFTP. `Ok(None)` where neither is offered; why not is added to `tried`.
    pub(super) async fn get(
        &mut self,
        folder: &Folder,
        file: &OwnFile,
        limits: FileLimits,
        learned: &mut Learned,
        tried: &mut Vec<String>,
    ) -> Result<Option<Vec<u8>>, Error> {
        for way in ways(learned.get) {
            let got = match self.ssh().await {
                Err(error) => Err(error),
                Ok(ssh) => match way {
                    FileWay::Scp => scp::get(ssh, folder, file, limits).await,
                    FileWay::Sftp | FileWay::Inline => match Sftp::open(ssh, limits).await {
                        Err(error) => Err(error),
                        Ok(sftp) => {
                            let got = sftp.get(folder, file).await;
                            sftp.close().await;
                            got
                        }
                    },
                },
            };
            match got {
                Ok(bytes) => {
                    learned.get = Some(way);
                    return Ok(Some(bytes));
                }
                Err(error) if self.ssh.is_none() => return no_ssh(error, tried),
                Err(error) if is_of_the_way(&error) => tried.push(format!("{way}: {error}")),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts a file of ours by SCP or SFTP.
    pub(super) async fn put(
        &mut self,
        folder: &Folder,
        file: &OwnFile,
        bytes: &[u8],
        limits: FileLimits,
        learned: &mut Learned,
    ) -> Result<(), Error> {
        let mut tried = Vec::new();
        // A way that is there and fails is no missing way: the device says what is wrong, or it can be tried again.
        let mut failed = None;
        for way in ways(learned.put) {
            let put = match self.ssh().await {
                Err(error) => Err(error),
                Ok(ssh) => match way {
                    FileWay::Scp => scp::put(ssh, folder, file, bytes, limits).await,
                    FileWay::Sftp | FileWay::Inline => match Sftp::open(ssh, limits).await {
                        Err(error) => Err(error),
                        Ok(sftp) => {
                            let put = sftp.put(folder, file, bytes).await;
                            sftp.close().await;
                            put
                        }
                    },
                },
            };
            match put {
                Ok(()) => {
                    learned.put = Some(way);
                    return Ok(());
                }
                Err(error) if self.ssh.is_none() => {
                    no_ssh::<()>(error, &mut tried)?;
                    break;
                }
                Err(error @ Error::NotOffered { .. }) => tried.push(format!("{way}: {error}")),
                Err(error) if is_of_the_way(&error) => failed = failed.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::NoWayForFiles { step: PUT, tried: tried.join("; ") }))
    }

    /// Asks each way over SSH for a file that is not there.
    pub(super) async fn ways(&mut self, folder: &Folder, file: &OwnFile) -> Vec<Way> {
        let limits = FileLimits { size: 1 << 20, time: PROBE };
        let mut ways = Vec::new();
        for way in [FileWay::Scp, FileWay::Sftp] {
            let asked = match self.ssh().await {
                Err(error) => Err(error),
                Ok(ssh) if way == FileWay::Scp => scp::get(ssh, folder, file, limits).await.map(drop),
                Ok(ssh) => match Sftp::open(ssh, limits).await {
                    Err(error) => Err(error),
                    Ok(sftp) => {
                        let asked = sftp.size(folder, file).await.map(drop);
                        sftp.close().await;
                        asked
                    }
                },
            };
            ways.push(Way { way, failure: asked.err().filter(|error| !is_only_missing(error)) });
        }
        ways
    }

    pub(super) async fn close(self) {
        if let Some(ssh) = self.ssh {
            ssh.close().await;
        }
    }
}

/// Was the way open, and just no such file there? The words of devices are their own; whoever names the service or
/// the user's rights has shut it.
fn is_only_missing(error: &Error) -> bool {
    let holds = |said: &str, words: &[&str]| words.iter().any(|word| said.to_ascii_lowercase().contains(word));
    match error {
        Error::FileRefused { said, .. } => {
            !holds(said, &["disabled", "not enabled", "denied", "privilege", "authoriz", "permission"])
        }
        Error::NotOffered { what, cause, .. } => {
            what == "SCP" && holds(cause, &["no such file", "not found", "does not exist"])
        }
        _ => false,
    }
}

/// A file that is put, for the record.
pub(super) fn about_copy(path: &str, file: &[u8]) -> String {
    format!("{} bytes to {path} over SSH", file.len())
}

/// What got no file off, by way.
pub(super) fn no_way_off(tried: &[String]) -> Error {
    Error::NoWayForFiles { step: GET, tried: tried.join("; ") }
}

/// What worked first, then SCP, then SFTP.
fn ways(learned: Option<FileWay>) -> Vec<FileWay> {
    match learned {
        Some(FileWay::Sftp) => vec![FileWay::Sftp, FileWay::Scp],
        Some(FileWay::Scp | FileWay::Inline) | None => vec![FileWay::Scp, FileWay::Sftp],
    }
}

/// The door for files is shut; a login that was refused, or a key that changed, stops everything.
fn no_ssh<T: Default>(error: Error, tried: &mut Vec<String>) -> Result<T, Error> {
    match error {
        Error::Unreachable { .. }
        | Error::NotOffered { .. }
        | Error::NoLogin { .. }
        | Error::NoCommonAlgorithm { .. } => {
            tried.push(error.to_string());
            Ok(T::default())
        }
        other => Err(other),
    }
}

/// May another way do better?
fn is_of_the_way(error: &Error) -> bool {
    match error {
        Error::NotOffered { .. } | Error::FileRefused { .. } | Error::Misbehaved { .. } | Error::Unreachable { .. } => {
            true
        }
        Error::LoginRefused { .. }
        | Error::NoLogin { .. }
        | Error::ChangedCertificate { .. }
        | Error::ChangedHostKey { .. }
        | Error::Untrusted { .. }
        | Error::NoCommonAlgorithm { .. }
        | Error::TooLarge { .. }
        | Error::Unsupported { .. }
        | Error::Declined { .. }
        | Error::Failed { .. }
        | Error::CommandRefused { .. }
        | Error::Standby { .. }
        | Error::NoPrompt { .. }
        | Error::NoSpace { .. }
        | Error::NoAccess { .. }
        | Error::NoWayForFiles { .. }
        | Error::NoLeave { .. }
        | Error::Ours { .. } => false,
    }
}
