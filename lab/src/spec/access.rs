//! The ways into a device: which of them it serves, how its SSH server behaves, and what a terminal on it is like.

use std::time::Duration;

/// Which accesses a device serves. What is off is refused as such a device refuses it: a port that does not listen, a
/// path that is not there, a subsystem or a command that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faces {
    /// Cisco's licensing service over HTTPS. Only IOS XE has it.
    pub smartlic: bool,
    /// RESTCONF over HTTPS.
    pub restconf: bool,
    /// NX-API over HTTPS. Only NX-OS has it.
    pub nxapi: bool,
    /// The command line over SSH.
    pub ssh: bool,
    /// The old copy protocol over that SSH (`ip scp server enable`, `feature scp-server`).
    pub scp: bool,
    /// The SFTP subsystem of that SSH.
    pub sftp: bool,
    /// NETCONF, on an SSH port of its own.
    pub netconf: bool,
}

impl Faces {
    /// Nothing; for `..Faces::none()`.
    pub const fn none() -> Faces {
        Faces { smartlic: false, restconf: false, nxapi: false, ssh: false, scp: false, sftp: false, netconf: false }
    }

    /// The licensing service and RESTCONF: what IOS XE needs to be asked over HTTPS.
    pub const fn rest() -> Faces {
        Faces { smartlic: true, restconf: true, ..Faces::none() }
    }

    /// The command line and SCP beside it.
    pub const fn ssh_and_scp() -> Faces {
        Faces { ssh: true, scp: true, ..Faces::none() }
    }

    /// The command line and SFTP beside it.
    pub const fn ssh_and_sftp() -> Faces {
        Faces { ssh: true, sftp: true, ..Faces::none() }
    }

    /// The command line alone: files can only be read on the terminal.
    pub const fn inline_only() -> Faces {
        Faces { ssh: true, ..Faces::none() }
    }

    /// The names of what is served, as fields are called here.
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            ("smartlic", self.smartlic),
            ("restconf", self.restconf),
            ("nxapi", self.nxapi),
            ("ssh", self.ssh),
            ("scp", self.scp),
            ("sftp", self.sftp),
            ("netconf", self.netconf),
        ];
        all.into_iter().filter(|(_, served)| *served).map(|(name, _)| name).collect()
    }

    /// Whether anything is served over HTTPS.
    pub const fn https(self) -> bool {
        self.smartlic || self.restconf || self.nxapi
    }
}

/// The device's SSH server.
#[derive(Debug, Clone)]
pub struct Ssh {
    pub password: bool,
    /// The same password, asked by the server. NX-OS and many AAA set-ups know only this one.
    pub keyboard_interactive: bool,
    /// The one key that may log in, as a line of `authorized_keys`.
    pub public_key: Option<String>,
    pub algorithms: Algorithms,
    pub host_key: HostKey,
    /// Connections at once; one more is closed before a word. The five of `line vty 0 4`.
    pub vtys: usize,
    /// Wrong logins a connection may try.
    pub tries: usize,
    /// A single command without a terminal (`ssh host show clock`) is answered.
    pub exec: bool,
    /// A connection with no byte moving for so long ends (`exec-timeout 10`).
    pub idle: Duration,
}

/// What the server offers in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithms {
    /// As a 17.12 lists them: NIST curves and groups 14 and 16, counter modes, SHA-2 and SHA-1.
    Cisco,
    /// As an image of ten years ago: group 14 with SHA-1, `ssh-rsa`, CBC, HMAC with SHA-1; nothing else. The host key
    /// is an RSA key, whatever kind is set.
    Legacy,
    /// Older still: group 1 and triple DES, with the rest as above.
    Ancient,
}

/// The kind of host key. RSA keys are four fixtures that devices share; an Ed25519 key is the device's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKey {
    Rsa,
    Ed25519,
}

impl Default for Ssh {
    fn default() -> Ssh {
        Ssh {
            password: true,
            keyboard_interactive: true,
            public_key: None,
            algorithms: Algorithms::Cisco,
            host_key: HostKey::Rsa,
            vtys: 5,
            tries: 3,
            exec: true,
            idle: Duration::from_secs(600),
        }
    }
}

/// What a terminal session looks like, and the command line's disputed points.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// IOS XE: the login arrives at `>` and `enable` asks for this. `None`: it arrives at `#`.
    pub enable: Option<String>,
    /// Lines before the pager stops, until `terminal length` says otherwise.
    pub length: usize,
    /// Characters before a line is broken, until `terminal width` says otherwise.
    pub width: usize,
    /// The session begins with `ESC[6n`, the question where the cursor is.
    pub asks_cursor: bool,
    /// IOS XE: two lines of load and time before every output (`exec prompt timestamp`). IOS XR has its line always.
    pub timestamps: bool,
    pub line_ends: LineEnds,
    /// A line of the device's log falls into the middle of every longer output, as `terminal monitor` brings it.
    pub syslog: bool,
    /// What is typed before the first prompt is lost.
    pub loses_early_input: bool,
    /// Between the request for a shell and the first prompt.
    pub wakes_after: Duration,
    /// Real time for each second that a command takes on the device. Zero: nothing takes time.
    pub pace: Duration,
    pub save_form: SaveForm,
    /// `show license rum` is known. Unconfirmed on IOS XR and NX-OS.
    pub has_rum: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    CrLf,
    /// NX-OS doubles the carriage return.
    CrCrLf,
}

/// How `license smart save usage … PATH` is written. IOS XE wants the word `file` before the path; whether IOS XR and
/// NX-OS do is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveForm {
    WithFile,
    Bare,
    Either,
}

impl Default for Terminal {
    fn default() -> Terminal {
        Terminal {
            enable: None,
            length: 24,
            width: 80,
            asks_cursor: false,
            timestamps: false,
            line_ends: LineEnds::CrLf,
            syslog: false,
            loses_early_input: true,
            wakes_after: Duration::from_millis(5),
            pace: Duration::ZERO,
            save_form: SaveForm::WithFile,
            has_rum: true,
        }
    }
}
