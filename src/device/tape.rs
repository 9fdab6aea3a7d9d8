//! What was said to a device and what came back, noted while a session runs, or played to one instead of a device.
//!
//! Off unless somebody records. The notes hold everything as it was: they are scrubbed before they go anywhere. No
//! header of HTTP is noted, so no login is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::{Complaint, Error};

/// One thing said and its answer. **stored** as a line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub over: Over,
    /// A command line; `GET /path`, with a body on the lines below; an RPC.
    pub sent: String,
    pub got: String,
    /// Of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the device had against the command line; `got` are its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Complaint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    Cli,
    Http,
    Netconf,
}

/// Where exchanges are noted, or come from. Clones are the same tape.
#[derive(Clone, Default)]
pub struct Tape(Option<Arc<Mutex<State>>>);

enum State {
    Recording(Vec<Exchange>),
    Playing(VecDeque<Exchange>),
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tape(on)" } else { "Tape(off)" })
    }
}

impl Tape {
    pub fn recording() -> Tape {
        Tape(Some(Arc::new(Mutex::new(State::Recording(Vec::new())))))
    }

    pub fn playing(exchanges: impl IntoIterator<Item = Exchange>) -> Tape {
        Tape(Some(Arc::new(Mutex::new(State::Playing(exchanges.into_iter().collect())))))
    }

    /// What was noted so far.
    pub fn noted(&self) -> Vec<Exchange> {
        self.with(|state| match state {
            State::Recording(noted) => Some(noted.clone()),
            State::Playing(_) => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn note(&self, exchange: impl FnOnce() -> Exchange) {
        self.with(|state| match state {
            State::Recording(noted) => {
                noted.push(exchange());
                Some(())
            }
            State::Playing(_) => None,
        });
    }

    /// The next answer to this; `None`: ask the device. What a played tape lacks is an error of ours.
    pub(super) fn play(&self, over: Over, sent: &str) -> Option<Result<Exchange, Error>> {
        self.with(|state| match state {
            State::Recording(_) => None,
            State::Playing(left) => {
                let at = left.iter().position(|one| one.over == over && one.sent == sent);
                let found = at.and_then(|at| left.remove(at));
                let cause = || format!("the recording has no answer to {sent:?}");
                Some(found.ok_or_else(|| Error::Ours { step: "play a recording", cause: cause() }))
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> Option<T>) -> Option<T> {
        act(&mut self.0.as_ref()?.lock().expect("no panic while it is held"))
    }
}
