//! Killed at every step of making a bundle, taking answers in and delivering them: whoever starts again finishes the
//! work, once.
//!
//! Each kill waits for what it is to fall behind: a file of a bundle, a line of the journal, a request at a device. What
//! counts is not what was waited for but how far the work then proves to be.

mod now;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lab::account::Account;
use lab::{Operation, Portal, specs};
use slp_collector::domain::digest::Sha256;
use slp_collector::ledger;

use self::now::Now;
use super::portal::{Form, carry, children, inventory, portal_of};
use crate::daemon::Daemon;
use crate::fleet_loop::accesses::busy;
use crate::support::site::{LIMITS, Site, files};

const KILLS: usize = 200;
/// Each step is hit at least so often.
const EACH: usize = 5;
/// A run that was not stopped by then is stopped all the same.
const LONGEST: Duration = Duration::from_secs(5);

/// So long a step may last unseen.
const LOOKS: Duration = Duration::from_micros(100);

/// How far the work was when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    NothingWritten,
    HalfWritten,
    WrittenAndNotRecorded,
    MadeAndNotTold,
    NothingTaken,
    SomeTaken,
    AllTaken,
    NothingSent,
    BegunAndNotSent,
    InstalledAndNotRecorded,
    RecordedAndNotAll,
}

const CREATE: [Step; 4] = [Step::NothingWritten, Step::HalfWritten, Step::WrittenAndNotRecorded, Step::MadeAndNotTold];
const IMPORT: [Step; 3] = [Step::NothingTaken, Step::SomeTaken, Step::AllTaken];
const DELIVER: [Step; 4] =
    [Step::NothingSent, Step::BegunAndNotSent, Step::InstalledAndNotRecorded, Step::RecordedAndNotAll];

struct World {
    site: Site,
    portal: Portal,
    dice: fastrand::Rng,
    hits: BTreeMap<Step, usize>,
    /// Bundles that were read and found whole.
    whole: BTreeSet<PathBuf>,
}

#[test]
#[allow(clippy::print_stdout)]
fn killed_two_hundred_times_an_exchange_is_finished_once() {
    let seed = std::env::var("SLP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SLP_SEED={seed}");
    let specs = (0..6).map(|index| {
        let mut spec = busy(specs::switch(&format!("dev-{index}")));
        let account = || Account::new("Example Works", "example.com", ["Default", "Plant"][index % 2]);
        spec.account = (index != 5).then(account);
        spec
    });
    // One after the other, so that a kill falls between two.
    let poll = format!("{LIMITS}concurrency = 1\nspread = \"0s\"\nschedule = \"0 0 1 1 *\"\n");
    let site = Site::with(specs.collect(), &poll, |_| "deliver");
    inventory(&site, |_| None, |_| true);
    let portal = portal_of(&site);
    let dice = fastrand::Rng::with_seed(seed);
    let mut world = World { site, portal, dice, hits: BTreeMap::new(), whole: BTreeSet::new() };
    world.site.run(["poll", "--all"]).exits(0);
    for cycle in 0.. {
        world.exchange(cycle);
        let kills: usize = world.hits.values().sum();
        let every = CREATE.iter().chain(&IMPORT).chain(&DELIVER);
        if kills >= KILLS && every.clone().all(|step| world.hits.get(step) >= Some(&EACH)) {
            break;
        }
        assert!(cycle < 60, "after {kills} kills not every step was hit: {:?}", world.hits);
    }
    println!("{:?}", world.hits);
    let verified = ledger::verify(&world.site.ledger_dir()).unwrap();
    assert!(verified.is_sound(), "{:?}", verified.findings);
}

impl World {
    /// New reports go out and their answers come home, with kills on the whole way.
    fn exchange(&mut self, cycle: usize) {
        self.site.advance(3600);
        self.site.fleet.devices().for_each(|device| drop(device.apply(Operation::Close)));
        self.site.run(["poll", "--all"]).exits(0);

        let mut now = self.now(&BTreeSet::new());
        for _ in 0..8 {
            now = self.killed_while_making(now);
        }
        let folder = self.site.bundle();
        let exchange = self.site.path("exchange");
        let hidden = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
        assert!(!children(&exchange).iter().any(hidden), "what was half written is still there");
        self.reports_are_there_once(&folder);

        self.site.advance(60);
        // The same portal for all: it refuses what comes a second time.
        let answers = carry(&self.site, &mut self.portal, &folder, Form::Archives);
        let objects: BTreeSet<Sha256> =
            answers.iter().flat_map(|answer| answer.files()).map(|file| Sha256::of(&file.bytes)).collect();
        assert_eq!(objects.len(), 6);
        let aside = self.site.path(&format!("answers-{cycle}"));
        fs::create_dir(&aside).unwrap();
        let brought: Vec<PathBuf> = answers.iter().map(|answer| aside.join(&answer.name)).collect();
        brought.iter().zip(&answers).for_each(|(path, answer)| fs::write(path, &answer.bytes).unwrap());

        let mut now = self.now(&objects);
        for _ in 0..8 {
            now = self.killed_while_taking(now, &brought, &objects);
        }
        self.site.import(&brought, &["--no-deliver"]).exits(0);
        let mut now = self.now(&objects);
        assert!(now.taken == objects, "an answer is lost");

        let by_daemon = cycle % 2 == 1;
        let sent_before = now.arrived.clone();
        let mut cut_short: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..8 {
            now = self.killed_while_delivering(now, by_daemon, &brought, &objects, &mut cut_short);
        }
        let outstanding = objects.len() - now.confirmed.len();
        if by_daemon {
            let mut daemon = Daemon::start(&self.site, None);
            (0..outstanding).for_each(|_| drop(daemon.logs("answer delivered")));
            assert_eq!(daemon.stop().0, Some(0));
        } else {
            self.site.import(&brought, &[]).exits(0);
        }
        let now = self.now(&objects);
        assert_eq!(now.confirmed, objects, "an answer is not confirmed");
        assert_eq!(now.installed.len(), 6);
        for (name, arrived) in &now.arrived {
            let allowed = 1 + cut_short.get(name).copied().unwrap_or(0);
            let sent = arrived - sent_before[name];
            assert!((1..=allowed).contains(&sent), "{name} was sent its answer {sent} times where {allowed} may be");
        }
        self.each_is_confirmed_once(&objects);
    }

    /// Which of these steps was hit least so far.
    fn rarest(&self, steps: &[Step]) -> Step {
        *steps.iter().min_by_key(|step| self.hits.get(step)).unwrap()
    }

    fn hit(&mut self, step: Step) {
        *self.hits.entry(step).or_default() += 1;
    }

    fn killed_while_making(&mut self, before: Now) -> Now {
        let exchange = self.site.path("exchange");
        let aim = self.rarest(&CREATE);
        let count = self.dice.usize(..16);
        let grown = self.journal();
        let killed = self.killed(&["bundle", "create"], &[], aim == Step::NothingWritten, |world| {
            let there = children(&exchange);
            let partial = there.iter().find(|path| path.extension().is_some_and(|end| end == "partial"));
            match aim {
                Step::HalfWritten => partial.is_some_and(|partial| files(partial).len() >= count),
                Step::WrittenAndNotRecorded => partial.is_none() && there.len() > before.folders,
                _ => world.journal() > grown,
            }
        });
        let now = self.now(&BTreeSet::new());
        assert!(now.bundles <= before.bundles + 1 && now.bundles >= before.bundles);
        if killed {
            self.hit(match () {
                () if now.bundles > before.bundles => Step::MadeAndNotTold,
                () if now.folders > before.folders => Step::WrittenAndNotRecorded,
                () if now.partial => Step::HalfWritten,
                () => Step::NothingWritten,
            });
        }
        now
    }

    fn killed_while_taking(&mut self, now: Now, brought: &[PathBuf], objects: &BTreeSet<Sha256>) -> Now {
        let before = now.taken.len();
        if before == objects.len() {
            return now;
        }
        let aim = self.rarest(&IMPORT);
        let start = self.journal();
        // All that is brought together is kept together: some of it is there when it was brought in two goes.
        let together = if aim == Step::SomeTaken { &brought[..1] } else { brought };
        let killed = self.killed(&["ack", "import", "--no-deliver"], together, aim == Step::NothingTaken, |world| {
            world.journal() > start
        });
        let now = self.now(objects);
        let taken = now.taken.len();
        assert!(taken >= before, "an answer is lost");
        if killed {
            self.hit(match taken {
                taken if taken == objects.len() => Step::AllTaken,
                taken if taken == before => Step::NothingTaken,
                _ => Step::SomeTaken,
            });
        }
        now
    }

    fn killed_while_delivering(
        &mut self,
        before: Now,
        by_daemon: bool,
        brought: &[PathBuf],
        objects: &BTreeSet<Sha256>,
        cut_short: &mut BTreeMap<String, u64>,
    ) -> Now {
        if before.confirmed.len() == objects.len() {
            return before;
        }
        let aim = self.rarest(&DELIVER);
        let (start, arrived) = (self.journal(), before.arrived.values().sum::<u64>());
        let mut last = (start, false);
        let (args, brought): (&[&str], &[PathBuf]) =
            if by_daemon { (&["run"], &[]) } else { (&["ack", "import"], brought) };
        let killed = self.killed(args, brought, aim == Step::NothingSent, |world| match aim {
            Step::BegunAndNotSent => world.journal() > start,
            Step::InstalledAndNotRecorded => world.arrived().values().sum::<u64>() > arrived,
            // Something more is recorded after something was sent.
            _ => {
                let size = world.journal();
                let done = last.1 && size > last.0;
                last = (size, last.1 || world.arrived().values().sum::<u64>() > arrived);
                done
            }
        });
        let now = self.now(objects);
        assert!(now.confirmed.is_superset(&before.confirmed), "what was confirmed is not any more");
        for (name, count) in &now.arrived {
            let sent = count - before.arrived[name];
            // Reading first is the promise: a device that shows the reports acknowledged is not sent them again.
            assert!(sent == 0 || !before.installed.contains(name), "{name} had its answer and was sent it again");
            if sent > 0 && !now.installed.contains(name) {
                *cut_short.entry(name.clone()).or_default() += sent;
            }
        }
        if killed {
            self.hit(match () {
                () if now.installed.len() > now.confirmed.len() => Step::InstalledAndNotRecorded,
                () if now.begun > before.begun && now.installed.len() == before.installed.len() => {
                    Step::BegunAndNotSent
                }
                () if now.confirmed.len() > before.confirmed.len() => Step::RecordedAndNotAll,
                () => Step::NothingSent,
            });
        }
        now
    }

    /// Starts the program and kills it when `until` says so, or at any moment of its start. Was it killed before its end?
    fn killed(
        &mut self,
        args: &[&str],
        brought: &[PathBuf],
        at_once: bool,
        mut until: impl FnMut(&World) -> bool,
    ) -> bool {
        let some_time = Duration::from_micros(self.dice.u64(..if at_once { 40_000 } else { 300 }));
        let begun = Instant::now();
        let mut command = self.site.command(args);
        let mut child: Child = command.args(brought).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, ended) = channel();
        let mut stdout = child.stdout.take().unwrap();
        // Its output ends when it does.
        std::thread::spawn(move || drop((io::copy(&mut stdout, &mut io::sink()), tell.send(()))));
        let mut fell = at_once.then_some(begun);
        while ended.recv_timeout(LOOKS).is_err() {
            if fell.is_none() && (begun.elapsed() > LONGEST || until(self)) {
                fell = Some(Instant::now());
            }
            if fell.is_some_and(|fell| fell.elapsed() >= some_time) {
                child.kill().unwrap();
                break;
            }
        }
        let code = child.wait().unwrap().code();
        assert!(code.is_none() || code == Some(0), "{args:?} ended with {code:?}");
        code.is_none()
    }
}
