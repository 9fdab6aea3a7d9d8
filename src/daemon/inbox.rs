//! The import folder: one look into it at a time, away from the async threads.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};

use crate::flow::inbox::{Inbox, Looked};
use crate::flow::{Error, House};

/// What a look came to.
pub(super) type Look = Result<(Inbox, Result<Looked, Error>), JoinError>;

/// The look under way, and what is remembered of those before.
pub(super) struct TakingIn {
    /// Away while somebody looks into the folder.
    inbox: Option<Inbox>,
    running: JoinSet<(Inbox, Result<Looked, Error>)>,
    /// Why it could not be looked into; said once.
    trouble: Option<String>,
}

impl Default for TakingIn {
    fn default() -> Self {
        TakingIn { inbox: Some(Inbox::default()), running: JoinSet::new(), trouble: None }
    }
}

impl TakingIn {
    /// May a look begin?
    pub fn rests(&self) -> bool {
        self.inbox.is_some()
    }

    /// Takes in what was put into the folder, if there is one.
    pub fn look(&mut self, house: &Arc<House>) {
        if house.config.exchange.import.is_none() {
            return;
        }
        let Some(mut inbox) = self.inbox.take() else { return };
        let house = house.clone();
        self.running.spawn_blocking(move || {
            let looked = inbox.look(&house, std::time::Instant::now());
            (inbox, looked)
        });
    }

    /// Waits for the end of a look; `None`: there is none.
    pub async fn ended(&mut self) -> Option<Look> {
        self.running.join_next().await
    }

    /// Takes note of how it ended: was anything taken in?
    pub fn note(&mut self, look: Look) -> Result<bool, Error> {
        let looked = match look {
            Ok((inbox, looked)) => {
                self.inbox = Some(inbox);
                looked
            }
            Err(panic) => {
                self.inbox = Some(Inbox::default());
                Err(Error::Internal(format!("ended abnormally: {panic}")))
            }
        };
        match looked {
            Ok(looked) => {
                self.trouble = None;
                Ok(looked.taken > 0)
            }
            Err(Error::Ledger(error)) if error.ends_writing() => Err(error.into()),
            Err(error) => {
                let cause = error.to_string();
                if self.trouble.as_ref() != Some(&cause) {
                    tracing::error!(%error, "the import folder is not taken in; tried again every few seconds");
                }
                self.trouble = Some(cause);
                Ok(false)
            }
        }
    }
}
