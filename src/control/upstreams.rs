//! Upstreams as a person sees them: what goes by them, and how it goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::event::Progress;
use crate::domain::fleet::Submission;
use crate::domain::submission;
use crate::flow::House;

/// One upstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpstreamLine {
    pub upstream: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Scheme, host and port.
    pub server: String,
    /// Are reports submitted to it, or is it only read?
    pub submit: bool,
    /// When what it knows was last read.
    pub last_read: Option<Timestamp>,
    /// Submissions to which no answer came yet.
    pub waiting: usize,
    /// When something was last submitted.
    pub last_submitted: Option<Timestamp>,
    /// What is wrong, in one sentence.
    pub trouble: Option<String>,
}

pub(super) fn lines(house: &House) -> Vec<UpstreamLine> {
    let lately = house.pacing().upstreams;
    let fleet = house.ledger.fleet();
    let line = |gate: &submission::Gate| {
        let upstream = house.config.upstreams.get(&gate.upstream)?;
        let own = || fleet.submissions.values().filter(|one| one.facts.upstream == gate.upstream);
        let waits = |one: &&Submission| matches!(one.progress, Some(Progress::Accepted { .. }));
        let held = submission::hold(&fleet, gate, house.settings.credential_hold_after);
        // What went wrong counts until something goes well.
        let last = own().max_by_key(|one| one.moved.unwrap_or(one.at)).and_then(|one| one.progress.as_ref());
        let failed = match last {
            Some(progress @ (Progress::Failed { .. } | Progress::Duplicate { .. })) => Some(progress.to_string()),
            Some(Progress::Accepted { .. } | Progress::Answered) | None => None,
        };
        Some(UpstreamLine {
            upstream: gate.upstream.clone(),
            kind: upstream.word().to_owned(),
            server: upstream.url.origin().to_owned(),
            submit: gate.submit,
            last_read: fleet.upstreams.get(&gate.upstream).map(|known| known.read),
            waiting: own().filter(waits).count(),
            last_submitted: own().map(|one| one.at).max(),
            trouble: held.or_else(|| lately.troubles.get(&gate.upstream).cloned()).or(failed),
        })
    };
    house.settings.gates.iter().filter_map(line).collect()
}
