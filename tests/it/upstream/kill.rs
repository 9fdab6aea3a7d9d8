//! Killed at every step of submitting: between the note of it, the request, the number of the answer and the answer itself.
//! Whoever starts again finishes the work: every report is acknowledged once, and none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::account::Account;
use lab::cssm::{Cssm, Step as Request};
use lab::report::ReportState;
use lab::{Operation, specs};
use slp_collector::domain::event::Progress;
use slp_collector::ledger;
use tokio::runtime::Runtime;

use super::cssm::started;
use crate::exchange::portal::inventory;
use crate::fleet_loop::accesses::busy;
use crate::support::site::{LIMITS, Site, files};

/// Each step is hit at least so often.
const EACH: usize = 4;
/// A run that was not stopped by then is stopped all the same.
const LONGEST: Duration = Duration::from_secs(5);

/// How far the work was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    NothingNoted,
    NotedAndNotArrived,
    ArrivedAndNotAccepted,
    AcceptedAndNotAsked,
    TakenAndNotAnswered,
}

const STEPS: [Step; 5] = [
    Step::NothingNoted,
    Step::NotedAndNotArrived,
    Step::ArrivedAndNotAccepted,
    Step::AcceptedAndNotAsked,
    Step::TakenAndNotAnswered,
];

struct World {
    site: Site,
    cssm: Cssm,
    _runtime: Runtime,
    dice: fastrand::Rng,
    hits: BTreeMap<Step, usize>,
}

/// What the journal says.
#[derive(Debug, Default, PartialEq)]
struct Now {
    submissions: usize,
    /// Of which nothing more is known.
    silent: usize,
    accepted: usize,
    /// Accepted, and answers to it are at home already.
    half: usize,
    /// Reports in answers that were taken home.
    taken: usize,
}

#[test]
#[allow(clippy::print_stdout)]
fn killed_while_submitting_every_report_is_acknowledged_once() {
    let seed = std::env::var("SLP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SLP_SEED={seed}");
    let account = |of: usize| {
        let mut account = Account::new("Example Works", "example.com", ["Default", "Plant"][of]);
        (account.smart_id, account.virtual_id) = ("11".to_owned(), format!("{}", 21 + of));
        account
    };
    let specs = (0..4).map(|index| {
        let mut spec = busy(specs::switch(&format!("dev-{index}")));
        spec.account = Some(account(index % 2));
        spec
    });
    let poll = format!("{LIMITS}spread = \"0s\"\nschedule = \"0 0 1 1 *\"\n");
    let site = Site::with(specs.collect(), &poll, |_| "deliver");
    inventory(&site, |_| None, |_| true);
    let (cssm, runtime) = started(&site, vec![account(0), account(1)], &["Example Works"], "");
    let dice = fastrand::Rng::with_seed(seed);
    let mut world = World { site, cssm, _runtime: runtime, dice, hits: BTreeMap::new() };
    world.site.run(["poll", "--all"]).exits(0);
    for cycle in 0.. {
        world.cycle();
        if STEPS.iter().all(|step| world.hits.get(step) >= Some(&EACH)) {
            break;
        }
        assert!(cycle < 30, "not every step was hit: {:?}", world.hits);
    }
    println!("{:?}", world.hits);
    let verified = ledger::verify(&world.site.ledger_dir()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

impl World {
    /// New reports go up and their answers come home, with kills on the whole way.
    fn cycle(&mut self) {
        self.site.advance(3600);
        self.site.fleet.devices().for_each(|device| drop(device.apply(Operation::Close)));
        self.site.run(["poll", "--all"]).exits(0);
        for _ in 0..6 {
            self.killed();
        }
        // A person insists until nothing moves any more.
        for _ in 0..3 {
            self.site.run(["upstream", "submit", "cisco"]).exits(0);
        }
        self.site.advance(60);
        // Where the upstream's word was lost it is fetched at the portal; the others are known.
        let aside = self.site.path("fetched");
        fs::create_dir_all(&aside).unwrap();
        let fetched = self.cssm.acknowledgements().into_iter().enumerate().map(|(at, (udi, bytes))| {
            let path = aside.join(format!("{at}-{}.txt", udi.sn));
            fs::write(&path, bytes).unwrap();
            path
        });
        self.site.import(&fetched.collect::<Vec<_>>(), &[]).exits(0);
        self.everything_is_acknowledged_once();
    }

    fn everything_is_acknowledged_once(&self) {
        let ledger = self.site.ledger();
        let fleet = ledger.fleet();
        let mut answered: BTreeMap<(String, u64), usize> = BTreeMap::new();
        for answer in fleet.answers.values() {
            let sn = answer.udi.as_ref().unwrap().sn.to_string();
            answer.reports.iter().for_each(|id| *answered.entry((sn.clone(), id.0)).or_default() += 1);
        }
        for device in self.site.fleet.devices() {
            let name = device.name();
            let finished: Vec<_> = device.state().reports.into_iter().filter(|report| report.end.is_some()).collect();
            let counted = finished.iter().filter(|report| report.licence != "TELEMETRY");
            let ids: BTreeSet<u64> = counted.clone().map(|report| report.id).collect();
            assert!(counted.clone().all(|report| report.state == ReportState::Acknowledged), "{name}");
            let udi = device.spec().udi();
            assert_eq!(self.cssm.portal(|portal| portal.acknowledged(udi)), ids, "{name}");
            for id in ids {
                assert_eq!(answered.get(&(udi.sn.to_string(), id)), Some(&1), "{name}: report {id}");
            }
        }
        let waits = |progress: &Option<Progress>| matches!(progress, Some(Progress::Accepted { .. }));
        assert!(!fleet.submissions.values().any(|one| waits(&one.progress)), "an answer was never asked for");
    }

    fn now(&self) -> Now {
        let ledger = self.site.ledger();
        let fleet = ledger.fleet();
        let mut now = Now { submissions: fleet.submissions.len(), ..Now::default() };
        for submission in fleet.submissions.values() {
            match submission.progress {
                None => now.silent += 1,
                Some(Progress::Accepted { .. }) => {
                    now.accepted += 1;
                    now.half += usize::from(!submission.answered.is_empty());
                }
                Some(Progress::Answered | Progress::Duplicate { .. } | Progress::Failed { .. }) => {}
            }
        }
        now.taken = fleet.answers.values().map(|answer| answer.reports.len()).sum();
        now
    }

    /// Bytes of the journal, whichever segment they are in.
    fn journal(&self) -> u64 {
        let events = files(&self.site.ledger_dir().join("segments")).into_iter();
        let events = events.filter(|path| path.file_name().is_some_and(|name| name == "events.log"));
        events.map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
    }

    /// One run of `upstream submit` that dies somewhere, at best where it did least often so far.
    fn killed(&mut self) {
        let before = self.now();
        // There is an answer to take only when something was accepted before.
        let possible = STEPS.iter().filter(|step| before.accepted > 0 || **step != Step::TakenAndNotAnswered);
        let aim = *possible.min_by_key(|step| self.hits.get(step)).unwrap();
        let (reports, polls) = (self.cssm.count(Request::Report), self.cssm.count(Request::Poll));
        let (start, turn) = (self.journal(), self.dice.usize(..2));
        // The journal as it was when the request came.
        let mut came = None;
        let mut until = |world: &World| {
            let asked = match aim {
                Step::NothingNoted => return true,
                Step::NotedAndNotArrived => return world.journal() > start,
                Step::ArrivedAndNotAccepted => return world.cssm.count(Request::Report) > reports + turn,
                Step::AcceptedAndNotAsked => world.cssm.count(Request::Report) > reports + turn,
                Step::TakenAndNotAnswered => world.cssm.count(Request::Poll) > polls + turn.min(before.accepted - 1),
            };
            if came.is_none() && asked {
                came = Some(world.journal());
            }
            came.is_some_and(|came| world.journal() > came)
        };
        let longest = if aim == Step::NothingNoted { 40_000 } else { 300 };
        let some_time = Duration::from_micros(self.dice.u64(..longest));
        let mut command = self.site.command(["upstream", "submit", "cisco"]);
        let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let mut fell = None;
        let killed = loop {
            if child.try_wait().unwrap().is_some() {
                break false;
            }
            if fell.is_none() && (begun.elapsed() > LONGEST || until(self)) {
                fell = Some(Instant::now());
            }
            if fell.is_some_and(|fell| fell.elapsed() >= some_time) {
                child.kill().unwrap();
                break true;
            }
            std::thread::yield_now();
        };
        let code = child.wait().unwrap().code();
        assert!(code.is_none() || code == Some(0), "submit ended with {code:?}");
        let now = self.now();
        assert!(now.submissions >= before.submissions && now.taken >= before.taken, "{before:?} {now:?}");
        if !killed || code.is_some() {
            return;
        }
        let arrived = self.cssm.count(Request::Report) > reports;
        let step = match () {
            () if now.half > 0 => Step::TakenAndNotAnswered,
            () if now.accepted > before.accepted => Step::AcceptedAndNotAsked,
            () if now.silent > before.silent && arrived => Step::ArrivedAndNotAccepted,
            () if now.silent > before.silent => Step::NotedAndNotArrived,
            () => Step::NothingNoted,
        };
        *self.hits.entry(step).or_default() += 1;
    }
}
