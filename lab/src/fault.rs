//! Everything that can go wrong between a device and whoever asks it, in one place.
//!
//! A fault is set on a device at run time and may be limited to a way in, to a path or a command, and to the first few
//! times. It strikes at one of five points: before there is a connection, when one is accepted, when a terminal
//! session begins, at a request or a command, or in the device itself, whatever way the work came. What a request does
//! to the device is done even when its answer is then lost or damaged, as on a real network; only
//! [`Fault::RefuseLogin`], [`Fault::Forbidden`], [`Fault::Hang`], [`Fault::Status404`], [`Fault::Status500`],
//! [`Fault::NoCommand`] and those of the device itself strike before anything is done.

pub mod wire;

use std::sync::Mutex;
use std::time::Duration;

use crate::face::Way;
use crate::lock;
use crate::operation::{Operation, Refusal};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing listens, and connections that were open are cut. Paths and counts do not apply.
    RefuseConnection,
    /// A connection is accepted and reset before a byte of TLS or SSH.
    ResetOnAccept,
    /// A connection is accepted and its handshake never answered.
    HangHandshake,
    ExpiredCertificate,
    /// Another key and another certificate than the device had.
    ChangedCertificate,
    /// SSH: another host key than the device had.
    ChangedHostKey,
    /// SSH: only the algorithms of [`crate::spec::Algorithms::Legacy`].
    LegacyAlgorithms,
    /// A terminal session stands at a prompt that is none of a command line: a boot loader's.
    WrongPrompt,
    /// A terminal session pages, whatever length it was told.
    Pager,
    /// 401, whatever the password; on SSH every login fails.
    RefuseLogin,
    /// 403: the login is right and its privilege too low. On a terminal the command is not authorized.
    Forbidden,
    /// The request is read and never answered.
    Hang,
    /// The command is not known to the system.
    NoCommand,
    /// Every line of a command's output comes in two halves, a few milliseconds apart.
    HalfLines,
    /// The channel ends in the middle of a command's output; the connection stays.
    DropChannel,
    /// Nothing can be written to flash.
    FullFlash,
    /// This is the standby supervisor: its prompt says so and nothing of licensing is done here; IOS XR's has no prompt.
    Standby,
    /// Imports are refused with this number of Cisco's table of errors.
    RefuseImport(u16),
    /// The service that the path belongs to is not there.
    Status404,
    Status500,
    /// The body ends halfway, and its length says so.
    TruncatedJson,
    /// The right body under `text/html`.
    WrongContentType,
    /// A body of so many bytes, chunked, that begins like an answer. On a terminal, so many bytes of output more.
    HugeBody(u64),
    /// The connection ends without a word after so many bytes of the response: of HTTP with its headers, of SSH as they
    /// are on the wire.
    CutAfter(u64),
    /// So many bytes at a time.
    Drip {
        bytes: usize,
        every: Duration,
    },
    /// One bit of the response's byte at this offset, counted as for [`Fault::CutAfter`]. SSH notices by itself.
    Flip {
        at: u64,
    },
}

/// Where and how often a fault strikes; by default everywhere and always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this way in.
    pub way: Option<Way>,
    /// Only requests whose path begins so; on SSH the command line (`show license`), `scp -f PATH` or `subsystem sftp`;
    /// in the device itself `save`, `import` or `write`. A fault of a connection or a session has no path and never
    /// strikes with one.
    pub path: Option<String>,
    /// Only so many times. Faults of a connection count connections.
    pub first: Option<u32>,
    /// Not before it could have struck so many times.
    pub behind: u32,
}

impl Scope {
    pub fn path(path: impl Into<String>) -> Scope {
        Scope { path: Some(path.into()), ..Scope::default() }
    }

    pub fn first(times: u32) -> Scope {
        Scope { first: Some(times), ..Scope::default() }
    }

    pub fn way(way: Way) -> Scope {
        Scope { way: Some(way), ..Scope::default() }
    }

    pub fn and_first(self, times: u32) -> Scope {
        Scope { first: Some(times), ..self }
    }

    pub fn behind(self, times: u32) -> Scope {
        Scope { behind: times, ..self }
    }
}

/// The point at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Door,
    Accept,
    Session,
    Request,
    Work,
}

impl Fault {
    pub fn point(&self) -> Point {
        match self {
            Fault::RefuseConnection => Point::Door,
            Fault::ResetOnAccept
            | Fault::HangHandshake
            | Fault::ExpiredCertificate
            | Fault::ChangedCertificate
            | Fault::ChangedHostKey
            | Fault::LegacyAlgorithms => Point::Accept,
            Fault::WrongPrompt | Fault::Pager => Point::Session,
            Fault::RefuseLogin
            | Fault::Forbidden
            | Fault::Hang
            | Fault::NoCommand
            | Fault::HalfLines
            | Fault::DropChannel
            | Fault::Status404
            | Fault::Status500
            | Fault::TruncatedJson
            | Fault::WrongContentType
            | Fault::HugeBody(_)
            | Fault::CutAfter(_)
            | Fault::Drip { .. }
            | Fault::Flip { .. } => Point::Request,
            Fault::FullFlash | Fault::Standby | Fault::RefuseImport(_) => Point::Work,
        }
    }

    /// Whether it can happen on this way in: certificates and statuses belong to HTTPS, host keys and terminals to SSH.
    fn on(&self, way: Way) -> bool {
        match self {
            Fault::ExpiredCertificate | Fault::ChangedCertificate | Fault::WrongContentType => way == Way::Https,
            // In NETCONF an unknown operation, a failed one, half a reply.
            Fault::Status404 | Fault::Status500 | Fault::TruncatedJson => way != Way::Ssh,
            Fault::ChangedHostKey | Fault::LegacyAlgorithms => way != Way::Https,
            Fault::WrongPrompt | Fault::Pager | Fault::NoCommand | Fault::HalfLines | Fault::DropChannel => {
                way == Way::Ssh
            }
            Fault::RefuseConnection
            | Fault::ResetOnAccept
            | Fault::HangHandshake
            | Fault::RefuseLogin
            | Fault::Forbidden
            | Fault::Hang
            | Fault::FullFlash
            | Fault::Standby
            | Fault::RefuseImport(_)
            | Fault::HugeBody(_)
            | Fault::CutAfter(_)
            | Fault::Drip { .. }
            | Fault::Flip { .. } => true,
        }
    }

    /// A fault from a name such as `cut-after` and its number.
    pub fn named(name: &str, number: Option<u64>) -> Result<Fault, String> {
        let needed = || number.ok_or_else(|| format!("{name} needs a number"));
        Ok(match name {
            "refuse-connection" => Fault::RefuseConnection,
            "reset-on-accept" => Fault::ResetOnAccept,
            "hang-handshake" => Fault::HangHandshake,
            "expired-certificate" => Fault::ExpiredCertificate,
            "changed-certificate" => Fault::ChangedCertificate,
            "changed-host-key" => Fault::ChangedHostKey,
            "legacy-algorithms" => Fault::LegacyAlgorithms,
            "wrong-prompt" => Fault::WrongPrompt,
            "pager" => Fault::Pager,
            "no-command" => Fault::NoCommand,
            "half-lines" => Fault::HalfLines,
            "drop-channel" => Fault::DropChannel,
            "full-flash" => Fault::FullFlash,
            "standby" => Fault::Standby,
            "refuse-import" => Fault::RefuseImport(u16::try_from(needed()?).unwrap_or(u16::MAX)),
            "refuse-login" => Fault::RefuseLogin,
            "forbidden" => Fault::Forbidden,
            "hang" => Fault::Hang,
            "status-404" => Fault::Status404,
            "status-500" => Fault::Status500,
            "truncated-json" => Fault::TruncatedJson,
            "wrong-content-type" => Fault::WrongContentType,
            "huge-body" => Fault::HugeBody(needed()?),
            "cut-after" => Fault::CutAfter(needed()?),
            "drip" => Fault::Drip {
                bytes: usize::try_from(needed()?).unwrap_or(usize::MAX).max(1),
                every: Duration::from_millis(10),
            },
            "flip" => Fault::Flip { at: needed()? },
            other => return Err(format!("no fault {other}")),
        })
    }
}

/// The faults set on one device.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Armed>>);

#[derive(Debug)]
struct Armed {
    fault: Fault,
    scope: Scope,
    /// How often it could have struck and did not.
    spared: u32,
    left: Option<u32>,
}

impl Faults {
    pub fn add(&self, fault: Fault, scope: Scope) {
        let left = scope.first;
        lock(&self.0).push(Armed { fault, scope, spared: 0, left });
    }

    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    pub fn at_accept(&self, way: Way) -> Option<Fault> {
        self.strike(Some(way), None, |fault| fault.point() == Point::Accept)
    }

    /// At a login over SSH; on HTTPS every request is a login.
    pub fn at_login(&self, way: Way) -> bool {
        self.strike(Some(way), None, |fault| *fault == Fault::RefuseLogin).is_some()
    }

    pub fn at_session(&self, way: Way) -> Option<Fault> {
        self.strike(Some(way), None, |fault| fault.point() == Point::Session)
    }

    pub fn at_request(&self, path: &str) -> Option<Fault> {
        self.strike(Some(Way::Https), Some(path), |fault| fault.point() == Point::Request)
    }

    /// At a command line, a copy or a subsystem of an SSH session that is logged in.
    pub fn at_command(&self, way: Way, words: &str) -> Option<Fault> {
        let here = |fault: &Fault| fault.point() == Point::Request && *fault != Fault::RefuseLogin;
        self.strike(Some(way), Some(words), here)
    }

    /// In the device itself: why it does not do this.
    pub fn at_work(&self, operation: &Operation) -> Option<Refusal> {
        let work = match operation {
            Operation::SaveUsage { .. } => "save",
            Operation::Import(_) | Operation::ImportFile(_) => "import",
            Operation::WriteFile { .. } => "write",
            Operation::Advance
            | Operation::SetCount { .. }
            | Operation::Close
            | Operation::List
            | Operation::AllReports
            | Operation::Days(_)
            | Operation::State
            | Operation::Reload
            | Operation::ClockStep(_)
            | Operation::Purge
            | Operation::SwitchOver
            | Operation::Join(_)
            | Operation::Leave(_)
            | Operation::ReadFile(_)
            | Operation::DeleteFile(_) => return None,
        };
        let concerns = |fault: &Fault| {
            (*fault == Fault::FullFlash && work != "import")
                || (*fault == Fault::Standby && work != "write")
                || (matches!(fault, Fault::RefuseImport(_)) && work == "import")
        };
        let fault = self.strike(None, Some(work), concerns)?;
        Some(match fault {
            Fault::RefuseImport(code) => Refusal::numbered(code),
            Fault::Standby => Refusal::numbered(52),
            _ => Refusal::storage("no space left on flash"),
        })
    }

    /// Whether this fault is set, wherever and however often.
    pub fn is_set(&self, fault: &Fault) -> bool {
        lock(&self.0).iter().any(|armed| armed.fault == *fault && armed.left != Some(0))
    }

    /// The first fault that applies here, counted down.
    fn strike(&self, way: Option<Way>, path: Option<&str>, here: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let applies = |armed: &Armed| {
            let along = match (&armed.scope.path, path) {
                (Some(prefix), Some(path)) => path.starts_with(prefix.as_str()),
                (Some(_), None) => false,
                (None, _) => true,
            };
            let by = way.is_none_or(|way| armed.fault.on(way) && armed.scope.way.is_none_or(|only| only == way));
            armed.left != Some(0) && along && by && here(&armed.fault)
        };
        let armed = faults.iter_mut().filter(|armed| applies(armed)).find_map(|armed| {
            let spared = armed.spared < armed.scope.behind;
            armed.spared += u32::from(spared);
            (!spared).then_some(armed)
        })?;
        if let Some(left) = &mut armed.left {
            *left -= 1;
        }
        Some(armed.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_limits_path_and_times() {
        let faults = Faults::default();
        faults.add(Fault::Status500, Scope::path("/smartlic-service/list").and_first(1));
        faults.add(Fault::HangHandshake, Scope::first(1));
        assert_eq!(faults.at_request("/smartlic-service/days"), None);
        faults.add(Fault::Hang, Scope::path("/restconf").behind(2).and_first(1));
        let hangs: Vec<bool> = (0..4).map(|_| faults.at_request("/restconf/data").is_some()).collect();
        assert_eq!(hangs, [false, false, true, false]);
        assert_eq!(faults.at_request("/smartlic-service/list"), Some(Fault::Status500));
        assert_eq!(faults.at_request("/smartlic-service/list"), None);
        assert_eq!(faults.at_accept(Way::Https), Some(Fault::HangHandshake));
        assert_eq!(faults.at_accept(Way::Https), None);
    }

    #[test]
    fn a_fault_keeps_to_its_way() {
        let faults = Faults::default();
        faults.add(Fault::ChangedCertificate, Scope::default());
        faults.add(Fault::ChangedHostKey, Scope::first(1));
        faults.add(Fault::Hang, Scope { path: Some("show license".to_string()), ..Scope::way(Way::Ssh) });
        assert_eq!(faults.at_accept(Way::Ssh), Some(Fault::ChangedHostKey));
        assert_eq!(faults.at_accept(Way::Https), Some(Fault::ChangedCertificate));
        assert_eq!(faults.at_request("show license all"), None);
        assert_eq!(faults.at_command(Way::Ssh, "show version"), None);
        assert_eq!(faults.at_command(Way::Ssh, "show license all"), Some(Fault::Hang));
    }

    #[test]
    fn the_device_itself_refuses() {
        let faults = Faults::default();
        faults.add(Fault::RefuseImport(45), Scope::first(1));
        faults.add(Fault::FullFlash, Scope::default());
        let import = Operation::ImportFile("a".to_string());
        assert_eq!(faults.at_work(&import).map(|refusal| refusal.code), Some(45));
        assert_eq!(faults.at_work(&import), None);
        let write = Operation::WriteFile { name: "a".to_string(), bytes: Vec::new() };
        assert_eq!(faults.at_work(&write).map(|refusal| refusal.code), Some(25));
        assert_eq!(faults.at_work(&Operation::State), None);
    }

    #[test]
    fn names_lead_to_faults() {
        assert_eq!(Fault::named("cut-after", Some(9)), Ok(Fault::CutAfter(9)));
        assert!(Fault::named("cut-after", None).is_err());
        assert!(Fault::named("flood", None).is_err());
    }
}
