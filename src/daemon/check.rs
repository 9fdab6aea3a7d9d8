//! What upstreams know, compared with what is known here: each asked once at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};

use crate::domain::advisory::Concern;
use crate::domain::submission::{self, Gate};
use crate::flow::check::{self, Checked};
use crate::flow::{Error, House};

/// How asking the upstream of that name ended.
pub(super) type Check = Result<(String, Result<Checked, Error>), JoinError>;

/// Comparisons under way.
#[derive(Default)]
pub(super) struct Checking {
    /// The upstreams that are asked.
    of: BTreeSet<String>,
    running: JoinSet<(String, Result<Checked, Error>)>,
}

impl Checking {
    /// Asks those of which it is due, and whose credential is not held.
    pub fn begin(&mut self, house: &Arc<House>, now: Timestamp) {
        let held = |gate: &Gate| {
            let fleet = house.ledger.fleet();
            submission::hold(&fleet, gate, house.settings.credential_hold_after).is_some()
        };
        for gate in house.settings.gates.iter().filter(|gate| !held(gate)) {
            let name = gate.upstream.clone();
            let due = check::next(house, &name).is_some_and(|next| next <= now);
            if due && self.of.insert(name.clone()) {
                let house = house.clone();
                self.running.spawn(async move {
                    let checked = check::check(&house, &name).await;
                    (name, checked)
                });
            }
        }
    }

    /// Waits for what an upstream knows; `None`: none is asked.
    pub async fn ended(&mut self) -> Option<Check> {
        self.running.join_next().await
    }

    /// Takes note of how it ended; what is news is on record, and told here once.
    pub fn note(&mut self, check: Check) -> Result<(), Error> {
        match check {
            Ok((name, checked)) => {
                self.of.remove(&name);
                match checked {
                    Ok(checked) => tell(&checked),
                    Err(Error::Ledger(error)) if error.ends_writing() => return Err(error.into()),
                    Err(error) => tracing::warn!(upstream = %name, %error, "not compared; tried again"),
                }
            }
            Err(panic) => {
                tracing::error!(%panic, "a comparison ended abnormally; it is tried again");
                self.of.clear();
            }
        }
        Ok(())
    }
}

/// What it said, as the log has it.
fn tell(checked: &Checked) {
    let upstream = &checked.upstream;
    if let Some(failure) = &checked.failure {
        tracing::warn!(upstream, failure, "the upstream was not asked what it knows; tried again");
        return;
    }
    let (devices, differences) = (checked.devices, checked.counts.total());
    tracing::info!(upstream, devices, differences, "compared with what the upstream knows");
    for problem in &checked.problems {
        tracing::warn!(upstream, problem, "not read; the rest of what it said counts");
    }
    if checked.certificate_ends_soon {
        let until = checked.certificates.iter().map(|certificate| certificate.until).min();
        tracing::warn!(upstream, until = ?until.map(|until| until.to_string()), "its certificate ends soon, or has ended");
    }
    for advisory in checked.advisories.iter().filter(|one| one.concern == Concern::Affected) {
        let (cve, fixed) = (&advisory.cve, &advisory.fixed);
        tracing::warn!(upstream, %cve, ?fixed, "its release is one that this advisory names");
    }
}
