//! What is offered to an upstream's API, and which answers are asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::bundle::{self, Selection};
use super::delivery::wait;
use super::event::Progress;
use super::fleet::{Fleet, OwedReport, Submission};
use super::instance::{Account, Udi};
use super::pacing::Setback;
use super::plan::{Settings, Watched};
use super::report::ReportId;

/// A Smart Account whose reports go by an upstream, or one Virtual Account of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// By name or domain, as devices or the inventory have it.
    pub smart_account: String,
    /// `None`: all of them.
    pub virtual_account: Option<String>,
}

/// The text names no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a Smart Account, or Smart Account/Virtual Account")]
pub struct NoRoute;

impl FromStr for Route {
    type Err = NoRoute;

    fn from_str(text: &str) -> Result<Self, NoRoute> {
        let (smart, virtual_) = match text.split_once('/') {
            Some((smart, virtual_)) => (smart.trim(), Some(virtual_.trim())),
            None => (text.trim(), None),
        };
        if smart.is_empty() || virtual_.is_some_and(str::is_empty) {
            return Err(NoRoute);
        }
        Ok(Route { smart_account: smart.to_owned(), virtual_account: virtual_.map(str::to_owned) })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.virtual_account {
            Some(virtual_) => write!(f, "{}/{virtual_}", self.smart_account),
            None => f.write_str(&self.smart_account),
        }
    }
}

impl Route {
    pub fn takes(&self, account: &Account) -> bool {
        let smart = account.smart_account.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&self.smart_account));
        smart && self.takes_virtual(account.virtual_account.as_deref())
    }

    pub fn takes_virtual(&self, name: Option<&str>) -> bool {
        match &self.virtual_account {
            None => true,
            Some(wanted) => name.is_some_and(|own| own.eq_ignore_ascii_case(wanted)),
        }
    }
}

/// An upstream, as far as decisions need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    pub upstream: String,
    pub routes: Vec<Route>,
    /// May anything be offered to it?
    pub submit: bool,
    pub credentials: Vec<String>,
}

/// How upstreams went lately. Kept in memory only; a restart may forget it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lately {
    /// Those that could not be talked to the last time.
    pub setbacks: BTreeMap<String, Setback>,
    /// What was wrong then.
    pub troubles: BTreeMap<String, String>,
    /// When the answer to a submission may be asked for again.
    pub asked: BTreeMap<String, Timestamp>,
    /// Reports that cannot be offered, their account being unknown, and when to look again.
    pub put_off: BTreeMap<(Udi, ReportId), Timestamp>,
}

/// What is to be done at an upstream now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due<'a> {
    /// Submissions whose answer may be there.
    pub ask: Vec<&'a Submission>,
    /// Reports that are owed and that it does not have, by account.
    pub offer: BTreeMap<Account, Vec<&'a OwedReport>>,
    /// Reports that are owed and go by no upstream, for nobody knows their Smart Account.
    pub homeless: usize,
    /// Look again then.
    pub wake: Option<Timestamp>,
}

impl Due<'_> {
    pub fn is_empty(&self) -> bool {
        self.ask.is_empty() && self.offer.is_empty()
    }
}

/// Why nothing is sent to an upstream, in one sentence: one of its credentials was refused.
pub fn hold(fleet: &Fleet, gate: &Gate, hold_after: usize) -> Option<String> {
    gate.credentials.iter().find_map(|name| {
        let known = fleet.credentials.get(name)?;
        if let Some(by) = known.refused_by_upstreams.first() {
            return Some(format!(
                "upstream '{by}' refused credential '{name}'; `credential release {name}` lets it be tried again"
            ));
        }
        (known.refused_by.len() >= hold_after)
            .then(|| format!("credential '{name}' is held; `credential release {name}` ends that"))
    })
}

/// Decides. A report is offered once; again only after it failed, by growing waits, or when the answer left it out. With
/// `insist` a person asks: waits are passed over, and what was refused for good is offered again.
pub fn due<'a>(
    fleet: &'a Fleet,
    watched: &'a [Watched],
    gate: &Gate,
    lately: &Lately,
    settings: &Settings,
    insist: bool,
    now: Timestamp,
) -> Due<'a> {
    let retry_after = settings.retry_after;
    let mut due = Due::default();
    let mut wake = |at: Timestamp| due.wake = Some(due.wake.map_or(at, |known: Timestamp| known.min(at)));
    let setback = lately.setbacks.get(&gate.upstream).map(|setback| setback.next_try(retry_after / 2, 0.0));
    let before = setback.filter(|at| *at > now && !insist);

    let mut there: HashSet<(&Udi, ReportId)> = HashSet::new();
    let mut failed: HashMap<(&Udi, ReportId), (u32, Timestamp)> = HashMap::new();
    for submission in fleet.submissions.values() {
        let reports = || submission.facts.reports.iter().map(|report| (&report.udi, report.report_id));
        match &submission.progress {
            Some(Progress::Accepted { ask, .. }) => {
                there.extend(reports());
                if submission.facts.upstream == gate.upstream {
                    let later = lately.asked.get(&submission.facts.submission).max(Some(ask)).max(before.as_ref());
                    match later.filter(|at| **at > now && !insist) {
                        Some(at) => wake(*at),
                        None => due.ask.push(submission),
                    }
                }
            }
            Some(Progress::Failed { again: false, .. }) if !insist => there.extend(reports()),
            Some(Progress::Failed { .. }) => {
                let at = submission.moved.unwrap_or(submission.at);
                for report in reports() {
                    let known = failed.entry(report).or_insert((0, at));
                    *known = (known.0.saturating_add(1), known.1.max(at));
                }
            }
            // Whether they are there is not known: a second offer tells.
            None => {}
            Some(Progress::Answered | Progress::Duplicate { .. }) => {}
        }
    }
    if !gate.submit {
        return due;
    }
    for contribution in bundle::owed(fleet, watched, settings, &Selection::default(), now) {
        let homeless = contribution.account.smart_account.is_none();
        if !homeless && !gate.routes.iter().any(|route| route.takes(&contribution.account)) {
            continue;
        }
        for owed in contribution.reports {
            let key = (&owed.udi, owed.report_id);
            if there.contains(&key) || settled(fleet, owed, insist) {
                continue;
            }
            if homeless {
                due.homeless += 1;
                continue;
            }
            let after = |(times, last): &(u32, Timestamp)| last.checked_add(wait(retry_after, *times)).ok();
            let left_out = left_out_since(fleet, owed).map(|at| (1, at));
            let put_off = lately.put_off.get(&(owed.udi.clone(), owed.report_id)).copied();
            let later = failed.get(&key).copied().max(left_out).as_ref().and_then(after).max(before).max(put_off);
            match later.filter(|at| *at > now && !insist) {
                Some(at) => wake(at),
                None => due.offer.entry(contribution.account.clone()).or_default().push(owed),
            }
        }
    }
    due
}

/// Is it in somebody's hands, so that no second offer helps?
fn settled(fleet: &Fleet, owed: &OwedReport, insist: bool) -> bool {
    let Some(id) = &owed.bundle else { return false };
    if let Some(submission) = fleet.submissions.get(id) {
        return match &submission.progress {
            Some(Progress::Duplicate { .. }) => true,
            Some(Progress::Answered) => submission.answers(owed),
            Some(Progress::Accepted { .. } | Progress::Failed { .. }) | None => false,
        };
    }
    // A person is carrying it.
    !insist && fleet.bundles.get(id).is_some_and(|bundle| bundle.handed_over.is_some())
}

/// When an answer came to the submission that it was in, and not to it.
fn left_out_since(fleet: &Fleet, owed: &OwedReport) -> Option<Timestamp> {
    let submission = fleet.submissions.get(owed.bundle.as_ref()?)?;
    let answered = submission.progress == Some(Progress::Answered) && !submission.answers(owed);
    answered.then_some(submission.moved).flatten()
}

/// Every report that was offered to this upstream without an answer, so that it may have it. What it then calls a duplicate
/// is one of these, or was brought by somebody else.
pub fn unanswered<'a>(fleet: &'a Fleet, upstream: &str) -> HashSet<(&'a Udi, ReportId)> {
    let lost = |submission: &&Submission| {
        let silent = match &submission.progress {
            None => true,
            Some(Progress::Failed { unanswered, .. }) => *unanswered,
            Some(Progress::Accepted { .. } | Progress::Answered | Progress::Duplicate { .. }) => false,
        };
        silent && submission.facts.upstream == upstream
    };
    let lost = fleet.submissions.values().filter(lost).flat_map(|submission| &submission.facts.reports);
    lost.map(|report| (&report.udi, report.report_id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Sha256;
    use crate::domain::event::{
        BundledReport, Event, Fact, ReportCollected, ReportsSubmitted, Source, SubmissionMoved,
    };
    use crate::domain::plan::tests::settings;
    use crate::domain::report::made;
    use crate::domain::state::DeviceState;

    use jiff::SignedDuration;
    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn gate() -> Gate {
        let (upstream, routes) = ("cisco".to_owned(), vec!["example.com".parse().unwrap()]);
        Gate { upstream, routes, submit: true, credentials: vec!["client".to_owned()] }
    }

    fn collected(id: u64) -> Fact {
        let report = made::report(Udi::new("C9300", "LAB1"), id, None, Vec::new());
        let (object, source) = (Sha256::of(&id.to_be_bytes()), Source::Rest);
        let collected = ReportCollected {
            device: None,
            report,
            object,
            source,
            parser: 1,
            presumed_acknowledged: false,
            feature: None,
        };
        Fact::ReportCollected(collected)
    }

    fn submitted(id: &str, reports: &[u64]) -> Fact {
        let udi = Udi::new("C9300", "LAB1");
        let report = |id: &u64| BundledReport {
            udi: udi.clone(),
            report_id: ReportId(*id),
            payload_sha256: Sha256::of(b"payload"),
        };
        Fact::ReportsSubmitted(Box::new(ReportsSubmitted {
            submission: id.to_owned(),
            upstream: "cisco".to_owned(),
            account: Account::default(),
            nonce: "n".to_owned(),
            reports: reports.iter().map(report).collect(),
        }))
    }

    fn moved(id: &str, progress: Progress) -> Fact {
        Fact::SubmissionMoved(SubmissionMoved { submission: id.to_owned(), progress })
    }

    /// A fold in which the one instance is of `example.com`.
    fn fold(facts: Vec<Fact>) -> Fleet {
        let mut fleet = Fleet::default();
        for fact in facts {
            fleet.apply(&Event { at: start(), by: None, fact });
        }
        for instance in fleet.instances.values_mut() {
            let smart_account = Some("Example.com".to_owned());
            instance.state =
                Some(DeviceState { smart_account: smart_account.map(Into::into), ..DeviceState::default() });
        }
        fleet
    }

    fn offered(fleet: &Fleet, lately: &Lately, insist: bool, now: Timestamp) -> (Vec<u64>, usize, Option<Timestamp>) {
        let settings = Settings { retry_after: HOUR, ..settings() };
        let due = due(fleet, &[], &gate(), lately, &settings, insist, now);
        let offer = due.offer.values().flatten().map(|owed| owed.report_id.0).collect();
        (offer, due.ask.len(), due.wake)
    }

    #[test]
    fn a_report_is_offered_once_and_again_only_for_a_reason() {
        let nothing = Lately::default();
        let later = |hours: i64| start() + HOUR * i32::try_from(hours).unwrap();
        let at = |fleet: &Fleet, hours| offered(fleet, &nothing, false, later(hours));
        let base = || vec![collected(1), collected(2)];
        let with = |more: Vec<Fact>| fold(base().into_iter().chain(more).collect());
        assert_eq!(at(&with(vec![]), 0), (vec![1, 2], 0, None));
        // Sent and never heard of: it tells by a second offer.
        assert_eq!(at(&with(vec![submitted("s", &[1])]), 0), (vec![1, 2], 0, None));
        let accepted = || Progress::Accepted { poll_id: 7, ask: later(1) };
        let there = with(vec![submitted("s", &[1]), moved("s", accepted())]);
        assert_eq!(at(&there, 0), (vec![2], 0, Some(later(1))));
        assert_eq!(at(&there, 1), (vec![2], 1, None));
        assert_eq!(offered(&there, &nothing, true, later(0)), (vec![2], 1, None));
        let failed = |again| Progress::Failed { cause: "x".to_owned(), again, unanswered: false };
        let once = with(vec![submitted("s", &[1]), moved("s", failed(true))]);
        assert_eq!((at(&once, 0), at(&once, 1)), ((vec![2], 0, Some(later(1))), (vec![1, 2], 0, None)));
        let twice =
            with(vec![submitted("s", &[1]), moved("s", failed(true)), submitted("t", &[1]), moved("t", failed(true))]);
        assert_eq!((at(&twice, 1), at(&twice, 2)), ((vec![2], 0, Some(later(2))), (vec![1, 2], 0, None)));
        let refused = with(vec![submitted("s", &[1]), moved("s", failed(false))]);
        assert_eq!((at(&refused, 99).0, offered(&refused, &nothing, true, later(0)).0), (vec![2], vec![1, 2]));
        let duplicate = moved("s", Progress::Duplicate { said: "x".to_owned() });
        assert_eq!(at(&with(vec![submitted("s", &[1]), duplicate]), 99).0, [2]);
        // Answered, and not for it.
        let left_out = with(vec![submitted("s", &[1]), moved("s", accepted()), moved("s", Progress::Answered)]);
        assert_eq!((at(&left_out, 0), at(&left_out, 1).0), ((vec![2], 0, Some(later(1))), vec![1, 2]));
    }

    #[test]
    fn a_report_of_no_account_is_counted_and_offered_to_nobody() {
        let mut fleet = fold(vec![collected(1), collected(2)]);
        let told = |fleet: &Fleet| {
            let due = due(fleet, &[], &gate(), &Lately::default(), &settings(), true, start());
            (due.offer.len(), due.homeless, due.is_empty())
        };
        assert_eq!(told(&fleet), (1, 0, false));
        fleet.instances.values_mut().for_each(|instance| instance.state = None);
        assert_eq!(told(&fleet), (0, 2, true));
        let elsewhere = Some("example.net".to_owned());
        for instance in fleet.instances.values_mut() {
            instance.state =
                Some(DeviceState { smart_account: elsewhere.clone().map(Into::into), ..DeviceState::default() });
        }
        assert_eq!(told(&fleet), (0, 0, true), "another upstream's");
    }

    #[test]
    fn an_upstream_that_fails_is_left_alone_by_growing_waits() {
        let fleet = fold(vec![collected(1)]);
        let after = |failures| {
            let setback = Setback { failures, last: start() };
            let lately = Lately { setbacks: [("cisco".to_owned(), setback)].into(), ..Lately::default() };
            offered(&fleet, &lately, false, start())
        };
        assert_eq!(after(1), (vec![], 0, Some(start() + HOUR)));
        assert_eq!(after(3), (vec![], 0, Some(start() + HOUR * 4)));
        assert_eq!(after(30), (vec![], 0, Some(start() + HOUR * 24)));
    }

    #[test]
    fn routes_name_a_smart_account_or_one_virtual_account() {
        let takes = |route: &str, virtual_: Option<&str>| {
            let account = Account {
                smart_account: Some("example.com".into()),
                virtual_account: virtual_.map(str::to_owned).map(Into::into),
            };
            route.parse::<Route>().unwrap().takes(&account)
        };
        assert!(takes("Example.com", None) && takes("example.com", Some("Branch")));
        assert!(takes("example.com/branch", Some("Branch")));
        assert!(!takes("example.com/Branch", None) && !takes("example.com/Branch", Some("Lab")));
        assert!(!takes("example.net", Some("Branch")));
        for text in ["", "/x", "x/", " / "] {
            assert_eq!(text.parse::<Route>(), Err(NoRoute), "{text:?}");
        }
    }
}
