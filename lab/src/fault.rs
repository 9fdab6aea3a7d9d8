//! Everything that can go wrong between a device and whoever asks it, in one place.
//!
//! A fault is set on a device at run time and may be limited to a path and to the first few times. It strikes at one
//! of three points: before there is a connection, when one is accepted, or at a request. What a request does to the
//! device is done even when its answer is then lost or damaged, as on a real network; only [`Fault::RefuseLogin`],
//! [`Fault::Forbidden`], [`Fault::Hang`], [`Fault::Status404`] and [`Fault::Status500`] strike before anything is done.

pub mod wire;

use std::sync::Mutex;
use std::time::Duration;

use crate::lock;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing listens, and connections that were open are cut. Paths and counts do not apply.
    RefuseConnection,
    /// A connection is accepted and reset before a byte of TLS.
    ResetOnAccept,
    /// A connection is accepted and its TLS handshake never answered.
    HangHandshake,
    ExpiredCertificate,
    /// Another key and another certificate than the device had.
    ChangedCertificate,
    /// 401, whatever the password.
    RefuseLogin,
    /// 403: the login is right and its privilege too low.
    Forbidden,
    /// The request is read and never answered.
    Hang,
    /// The service that the path belongs to is not there.
    Status404,
    Status500,
    /// The body ends halfway, and its length says so.
    TruncatedJson,
    /// The right body under `text/html`.
    WrongContentType,
    /// A body of so many bytes, chunked, that begins like an answer.
    HugeBody(u64),
    /// The connection ends without a word after so many bytes of the response, headers included.
    CutAfter(u64),
    /// So many bytes at a time.
    Drip {
        bytes: usize,
        every: Duration,
    },
    /// One bit of the response's byte at this offset, headers included.
    Flip {
        at: u64,
    },
}

/// Where and how often a fault strikes; by default everywhere and always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only requests whose path begins so. A fault of a connection has no path and never strikes with one.
    pub path: Option<String>,
    /// Only so many times. Faults of a connection count connections.
    pub first: Option<u32>,
}

impl Scope {
    pub fn path(path: impl Into<String>) -> Scope {
        Scope { path: Some(path.into()), first: None }
    }

    pub fn first(times: u32) -> Scope {
        Scope { path: None, first: Some(times) }
    }

    pub fn and_first(self, times: u32) -> Scope {
        Scope { first: Some(times), ..self }
    }
}

/// The point at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Door,
    Accept,
    Request,
}

impl Fault {
    pub fn point(&self) -> Point {
        match self {
            Fault::RefuseConnection => Point::Door,
            Fault::ResetOnAccept | Fault::HangHandshake | Fault::ExpiredCertificate | Fault::ChangedCertificate => {
                Point::Accept
            }
            Fault::RefuseLogin
            | Fault::Forbidden
            | Fault::Hang
            | Fault::Status404
            | Fault::Status500
            | Fault::TruncatedJson
            | Fault::WrongContentType
            | Fault::HugeBody(_)
            | Fault::CutAfter(_)
            | Fault::Drip { .. }
            | Fault::Flip { .. } => Point::Request,
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
    path: Option<String>,
    left: Option<u32>,
}

impl Faults {
    pub fn add(&self, fault: Fault, scope: Scope) {
        lock(&self.0).push(Armed { fault, path: scope.path, left: scope.first });
    }

    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    pub fn at_accept(&self) -> Option<Fault> {
        self.strike(Point::Accept, None)
    }

    pub fn at_request(&self, path: &str) -> Option<Fault> {
        self.strike(Point::Request, Some(path))
    }

    /// The first fault that applies here, counted down.
    fn strike(&self, point: Point, path: Option<&str>) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let armed = faults.iter_mut().find(|armed| {
            let here = match (&armed.path, path) {
                (Some(prefix), Some(path)) => path.starts_with(prefix.as_str()),
                (Some(_), None) => false,
                (None, _) => true,
            };
            armed.fault.point() == point && armed.left != Some(0) && here
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
        assert_eq!(faults.at_request("/smartlic-service/list"), Some(Fault::Status500));
        assert_eq!(faults.at_request("/smartlic-service/list"), None);
        assert_eq!(faults.at_accept(), Some(Fault::HangHandshake));
        assert_eq!(faults.at_accept(), None);
    }

    #[test]
    fn names_lead_to_faults() {
        assert_eq!(Fault::named("cut-after", Some(9)), Ok(Fault::CutAfter(9)));
        assert!(Fault::named("cut-after", None).is_err());
        assert!(Fault::named("flood", None).is_err());
    }
}
