//! Passwords and keys: where they are kept, and how they are read at the moment of use.
//!
//! The configuration never holds a password by value. A [`Credential`] says where one is; a
//! [`Secret`] is one, and prints `<secret>`.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest password that is taken, in bytes; what is longer is not a password.
const LONGEST: usize = 4096;

/// The longest private key, in bytes: RSA of 16384 bits as text has some 13,000.
const LONGEST_KEY: usize = 16 << 10;

/// How long a password command may take.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Something that must not be seen. Prints `<secret>`; [`expose`](Secret::expose) is the only way in.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a password is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A systemd credential: a file of this name under `$CREDENTIALS_DIRECTORY`.
    Systemd(String),
    /// A program and its arguments; the password is what it prints.
    Command(Vec<String>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Systemd(name) => write!(f, "systemd credential {name}"),
            Source::Command(words) => write!(f, "command {}", words.first().map_or("", String::as_str)),
        }
    }
}

/// A user name and where its secrets are kept, under a name of the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    pub name: String,
    pub username: String,
    pub password: Option<Source>,
    /// For SSH; where it is given, the password is not tried there.
    pub private_key: Option<Source>,
    /// The password of `enable`.
    pub enable: Option<Source>,
}

/// The secrets of a credential, as they were a moment ago.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub password: Option<Secret>,
    /// The text of a private key file.
    pub private_key: Option<Secret>,
    pub enable: Option<Secret>,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Password,
    PrivateKey,
    Enable,
}

impl Kind {
    fn longest(self) -> usize {
        match self {
            Kind::Password | Kind::Enable => LONGEST,
            Kind::PrivateKey => LONGEST_KEY,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Password => "password",
            Kind::PrivateKey => "private key",
            Kind::Enable => "enable password",
        })
    }
}

/// Why a password could not be had. Never holds any part of what was read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("credential {name}: {path}: {cause}", path = .path.display())]
    Unreadable {
        name: String,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "credential {name}: $CREDENTIALS_DIRECTORY is not set; \
         start by systemd with LoadCredential=, or use password_file"
    )]
    NoCredentialsDirectory { name: String },
    #[error("credential {name}: {program} did not start: {cause}")]
    NotStarted {
        name: String,
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("credential {name}: {program} ended with {status}")]
    CommandFailed { name: String, program: String, status: ExitStatus },
    #[error("credential {name}: {program} took longer than {}s", .limit.as_secs_f32())]
    TooSlow { name: String, program: String, limit: Duration },
    #[error("credential {name}: {from} holds no {kind}")]
    Empty { name: String, from: String, kind: Kind },
    #[error("credential {name}: {from} holds more than {} bytes, which is no {kind}", .kind.longest())]
    TooLong { name: String, from: String, kind: Kind },
    #[error("credential {name}: {from} does not hold one line of UTF-8 text")]
    NotText { name: String, from: String },
}

impl Credential {
    /// Reads the secrets, at use and each time anew, so that a changed one needs no restart.
    pub async fn resolve(&self) -> Result<Secrets, SecretError> {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        self.resolve_with(directory.as_deref(), COMMAND_LIMIT).await
    }

    /// As [`resolve`](Self::resolve), with the credentials directory and a command's time limit as arguments.
    pub async fn resolve_with(&self, directory: Option<&Path>, limit: Duration) -> Result<Secrets, SecretError> {
        let read = async |kind, source: &Option<Source>| match source {
            Some(source) => self.read(kind, source, directory, limit).await.map(Some),
            None => Ok(None),
        };
        Ok(Secrets {
            password: read(Kind::Password, &self.password).await?,
            private_key: read(Kind::PrivateKey, &self.private_key).await?,
            enable: read(Kind::Enable, &self.enable).await?,
        })
    }

    async fn read(
        &self,
        kind: Kind,
        source: &Source,
        directory: Option<&Path>,
        limit: Duration,
    ) -> Result<Secret, SecretError> {
        let name = || self.name.clone();
        let bytes = match source {
            Source::File(path) => self.read_file(path, kind).await?,
            Source::Systemd(credential) => {
                let directory = directory.ok_or_else(|| SecretError::NoCredentialsDirectory { name: name() })?;
                self.read_file(&directory.join(credential), kind).await?
            }
            Source::Command(words) => self.run(words, kind, limit).await?,
        };
        let from = || source.to_string();
        if bytes.len() > kind.longest() {
            return Err(SecretError::TooLong { name: name(), from: from(), kind });
        }
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { name: name(), from: from() })?;
        if kind == Kind::PrivateKey {
            let empty = text.trim().is_empty();
            return if empty {
                Err(SecretError::Empty { name: name(), from: from(), kind })
            } else {
                Ok(Secret::new(text))
            };
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(SecretError::Empty { name: name(), from: from(), kind });
        }
        if line.contains(['\n', '\r', '\0']) {
            return Err(SecretError::NotText { name: name(), from: from() });
        }
        Ok(Secret::new(line))
    }

    async fn read_file(&self, path: &Path, kind: Kind) -> Result<Vec<u8>, SecretError> {
        let unreadable = |cause| SecretError::Unreadable { name: self.name.clone(), path: path.to_owned(), cause };
        let file = path.to_owned();
        // One trip to a blocking thread, not one for each call: every poll reads it.
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(file)?;
            io::Read::read_to_end(&mut io::Read::take(file, kind.longest() as u64 + 1), &mut bytes)?;
            Ok(bytes)
        });
        reading.await.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(unreadable)
    }

    async fn run(&self, words: &[String], kind: Kind, limit: Duration) -> Result<Vec<u8>, SecretError> {
        let name = || self.name.clone();
        let program = || words.first().cloned().unwrap_or_default();
        let not_started = |cause| SecretError::NotStarted { name: name(), program: program(), cause };
        let mut child = tokio::process::Command::new(program())
            .args(words.iter().skip(1))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it may well print the password there too
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let whole = async {
            let printed = match child.stdout.take() {
                Some(stdout) => read_bounded(stdout, kind.longest()).await?,
                None => Vec::new(),
            };
            let status = if printed.len() > kind.longest() { None } else { Some(child.wait().await?) };
            Ok((printed, status))
        };
        match tokio::time::timeout(limit, whole).await {
            Err(_) => Err(SecretError::TooSlow { name: name(), program: program(), limit }),
            Ok(Err(cause)) => Err(not_started(cause)),
            Ok(Ok((printed, None))) => Ok(printed),
            Ok(Ok((printed, Some(status)))) if status.success() => Ok(printed),
            Ok(Ok((_, Some(status)))) => Err(SecretError::CommandFailed { name: name(), program: program(), status }),
        }
    }

    /// Words of warning where everybody can read or change the file of a secret; reads no content.
    ///
    /// A group may read it: `root:slp-collector` with mode 0640 is how a service's secret is often kept.
    pub fn exposures(&self) -> Vec<String> {
        let sources = [&self.password, &self.private_key, &self.enable].into_iter().flatten();
        let exposed = sources.filter_map(|source| {
            let Source::File(path) = source else { return None };
            let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
            let path = path.display();
            (mode & 0o006 != 0).then(|| {
                format!("credential {}: everybody can get at {path} (mode {mode:04o}); run chmod o= {path}", self.name)
            })
        });
        exposed.collect()
    }
}

/// At most one byte more than a password may have, so that too long is seen and no more is read.
async fn read_bounded(from: impl AsyncRead + Unpin, longest: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(longest as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn credential(source: Source) -> Credential {
        Credential {
            name: "routers".to_owned(),
            username: "slpcol".to_owned(),
            password: Some(source),
            ..Credential::default()
        }
    }

    fn command(words: &[&str]) -> Credential {
        credential(Source::Command(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    async fn resolve(credential: &Credential, directory: Option<&Path>) -> Result<String, SecretError> {
        let secrets = credential.resolve_with(directory, COMMAND_LIMIT).await?;
        Ok(secrets.password.unwrap().expose().to_owned())
    }

    #[test]
    fn a_secret_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "<secret> <secret> Some(<secret>)");
    }

    #[tokio::test]
    async fn files_lose_one_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routers");
        for (content, password) in
            [("pass word", "pass word"), ("p\n", "p"), ("p\r\n", "p"), (" p \n", " p "), ("pä", "pä")]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(resolve(&credential(Source::File(path.clone())), None).await.unwrap(), password);
            let systemd = credential(Source::Systemd("routers".to_owned()));
            assert_eq!(resolve(&systemd, Some(folder.path())).await.unwrap(), password);
        }
    }

    #[tokio::test]
    async fn what_is_no_password_is_told_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routers");
        let long = "hunter2".repeat(1000);
        for (content, reason) in [
            ("", "holds no password"),
            ("\n", "holds no password"),
            ("hunter2\nhunter2\n", "one line of UTF-8"),
            (long.as_str(), "more than 4096 bytes"),
        ] {
            fs::write(&path, content).unwrap();
            let error = resolve(&credential(Source::File(path.clone())), None).await.unwrap_err();
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(shown.contains(reason) && shown.contains("routers"), "{shown}");
            assert!(!shown.contains("hunter2") && !debug.contains("hunter2"), "{debug}");
        }
        fs::write(&path, b"hunter2\xff").unwrap();
        let error = resolve(&credential(Source::File(path.clone())), None).await.unwrap_err();
        assert!(matches!(error, SecretError::NotText { .. }) && !format!("{error:?}").contains("hunter2"));
        fs::remove_file(&path).unwrap();
        let error = resolve(&credential(Source::File(path)), None).await.unwrap_err();
        assert!(matches!(&error, SecretError::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn a_private_key_keeps_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = Credential { private_key: Some(Source::File(path.clone())), ..Credential::default() };
        fs::write(&path, "line\nline\n").unwrap();
        let secrets = key.resolve_with(None, COMMAND_LIMIT).await.unwrap();
        assert_eq!(secrets.private_key.unwrap().expose(), "line\nline\n");
        assert!(secrets.password.is_none() && secrets.enable.is_none());
        fs::write(&path, "a".repeat(LONGEST_KEY + 1)).unwrap();
        let error = key.resolve_with(None, COMMAND_LIMIT).await.unwrap_err();
        assert!(error.to_string().ends_with("which is no private key"), "{error}");
    }

    #[tokio::test]
    async fn systemd_credentials_need_systemd() {
        let error = resolve(&credential(Source::Systemd("routers".to_owned())), None).await.unwrap_err();
        assert!(matches!(error, SecretError::NoCredentialsDirectory { .. }), "{error}");
    }

    #[tokio::test]
    async fn commands_print_passwords_and_their_failures_print_nothing() {
        assert_eq!(resolve(&command(&["/bin/echo", "pass word"]), None).await.unwrap(), "pass word");
        let failed = command(&["/bin/sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"]);
        let error = resolve(&failed, None).await.unwrap_err();
        assert_eq!(error.to_string(), "credential routers: /bin/sh ended with exit status: 3");
        let error = resolve(&command(&["/nonexistent/ask"]), None).await.unwrap_err();
        assert!(matches!(error, SecretError::NotStarted { .. }), "{error}");
        // Endless output is cut off, and the command is killed.
        let error = resolve(&command(&["/bin/sh", "-c", "while :; do echo hunter2; done"]), None).await.unwrap_err();
        assert!(matches!(error, SecretError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_given_up() {
        let endless = command(&["/usr/bin/tail", "-f", "/dev/null"]);
        let error = endless.resolve_with(None, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.to_string(), "credential routers: /usr/bin/tail took longer than 0.05s");
    }

    #[test]
    fn a_password_file_for_everybody_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routers");
        fs::write(&path, "p").unwrap();
        for (mode, warned) in [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let warnings = credential(Source::File(path.clone())).exposures();
            assert_eq!(!warnings.is_empty(), warned, "{mode:o}: {warnings:?}");
        }
        assert!(command(&["/bin/true"]).exposures().is_empty());
    }
}
