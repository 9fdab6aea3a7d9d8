//! What upstreams answered, as the log has it.

use crate::domain::advisory::Concern;
use crate::flow::check::Checked;
use crate::flow::submit::Passed;

pub(super) fn tell_pass(passed: &Passed) {
    let upstream = &passed.upstream;
    for line in &passed.submissions {
        let (submission, outcome) = (line.submission.as_deref().unwrap_or_default(), &line.outcome);
        tracing::info!(upstream, submission, reports = line.reports, outcome, "submission");
    }
    for left_out in &passed.left_out {
        tracing::warn!(upstream, left_out, "not submitted, or not taken home");
    }
    if let Some(failure) = &passed.failure {
        tracing::warn!(upstream, failure, "the upstream could not be talked to; the plan says when it is tried again");
    }
}

pub(super) fn tell_check(checked: &Checked) {
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
