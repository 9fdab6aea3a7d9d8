//! The fleet, what befalls it, and a collector that polls it weekly and collects about monthly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use lab::account::Account;
use lab::truth::Witnessed;
use lab::udi::Udi as LabUdi;
use lab::{Device, Operation, Portal, Spec, specs};
use slp_collector::config::Config;
use slp_collector::domain::event::{
    Blame, ContactLost, ContactRestored, DeviceIdentified, DeviceRetired, Fact, StateRead,
};
use slp_collector::domain::instance::{DeviceName, Member, Role, Site, Udi};
use slp_collector::domain::report::EntitlementTag;
use slp_collector::domain::rum_file;
use slp_collector::domain::shared::Shared;
use slp_collector::domain::state::{DeviceState, License, Model};
use slp_collector::flow::{Clock, House, brought, ledger_dir};
use slp_collector::ledger::{Ledger, Options, RegisterKind};

use super::history::{Stretch, joined};

pub const DAY: i64 = 86_400;
pub const DAYS: i64 = 400;
pub const T0: i64 = 1_750_032_000;
/// Controllers count twice as many access points on the days around it.
pub const TRUE_UP: i64 = T0 + 200 * DAY + DAY / 2;

/// What befalls a device.
enum Act {
    Born(Box<Spec>),
    Done(Operation),
    Move(&'static str),
    Silent(bool),
    Poll,
    Collect,
    Retired,
}

struct Life {
    name: String,
    witnessed: Option<Witnessed>,
    silent: bool,
    retired: bool,
    identified: Option<DeviceIdentified>,
    state: Option<DeviceState>,
    /// What polls saw, from the instant of the poll on.
    polls: Vec<(i64, DeviceState)>,
    collected: BTreeSet<u64>,
    /// All that its clock was ever wrong or moved by.
    most_wrong: i64,
}

pub struct World {
    pub house: House,
    lives: BTreeMap<String, Life>,
    truths: BTreeMap<(String, String), Vec<Stretch>>,
    _folder: tempfile::TempDir,
}

impl World {
    /// All of it, and what came of it in the ledger of a real house.
    pub fn lived(devices: usize, seed: u64) -> World {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut script: Vec<(i64, usize, Act)> = Vec::new();
        let mut names = Vec::new();
        for index in 0..devices {
            let name = format!("dev-{index:03}");
            let (life, left) = life(index, &name, &mut dice);
            script.extend(life.into_iter().map(|(at, act)| (at, names.len(), act)));
            names.push(name);
            for (spec, life) in left {
                script.extend(life.into_iter().map(|(at, act)| (at, names.len(), act)));
                names.push(spec);
            }
        }
        for week in 0..DAYS / 7 {
            // In the middle of a night, and of a second to which nothing else happens.
            script.extend((0..names.len()).map(|index| (T0 + week * 7 * DAY + 2 * 3600, index, Act::Poll)));
        }
        script.sort_by_key(|(at, index, _)| (*at, *index));

        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(T0));
        let clock = now.clone();
        let clock = Clock::of(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap());
        let config = config(&folder, &names);
        let options = Options { register: RegisterKind::Memory, segment_months: false, ..Options::default() };
        let ledger = Ledger::open(&ledger_dir(&config), options).unwrap();
        let house = House::new(config, ledger, clock);
        let fresh = |name: &String| Life {
            name: name.clone(),
            witnessed: None,
            silent: false,
            retired: false,
            identified: None,
            state: None,
            polls: Vec::new(),
            collected: BTreeSet::new(),
            most_wrong: 0,
        };
        let mut lives: Vec<Life> = names.iter().map(fresh).collect();
        let (mut facts, mut reports, mut last) = (Vec::new(), Vec::new(), T0);
        for (at, index, act) in script {
            if at != last {
                flush(&house, &now, last, &mut facts, &mut reports);
                last = at;
            }
            lives[index].befalls(&house, at, act, &mut dice, &mut facts, &mut reports);
        }
        flush(&house, &now, last, &mut facts, &mut reports);
        now.store(T0 + (DAYS + 1) * DAY, Ordering::SeqCst);
        let contact = |life: &Life| {
            let (at, _) = life.polls.last()?;
            Some((DeviceName::from(life.name.clone()), Timestamp::from_second(*at).unwrap()))
        };
        house.ledger.note_contacts(&lives.iter().filter_map(contact).collect::<Vec<_>>()).unwrap();
        let truths = lives.iter().flat_map(Life::truths).collect();
        let lives = lives.into_iter().map(|life| (life.name.clone(), life)).collect();
        World { house, lives, truths, _folder: folder }
    }

    /// What a device used of a licence, as far as reports that were collected cover it.
    pub fn truth(&self, name: &str, tag: &str) -> Vec<Stretch> {
        self.truths.get(&(name.to_owned(), tag.to_owned())).cloned().unwrap_or_default()
    }

    /// The devices and tags of which collected reports measure something in between, of those whose clock was right.
    pub fn measured_within(&self, from: i64, to: i64) -> impl Iterator<Item = (&str, &str)> {
        let own = move |truth: &&Vec<Stretch>| truth.iter().any(|one| one.start < to && from < one.end);
        let own = self.truths.iter().filter(move |(_, truth)| own(truth)).map(|((name, tag), _)| (&**name, &**tag));
        own.filter(|(name, _)| self.most_wrong(name) == 0)
    }

    pub fn most_wrong(&self, name: &str) -> i64 {
        self.lives.get(name).map_or(0, |life| life.most_wrong)
    }

    fn poll(&self, name: &str, at: i64) -> Option<&DeviceState> {
        let polls = &self.lives.get(name)?.polls;
        let place = polls.partition_point(|(polled, _)| *polled <= at);
        Some(&polls.get(place.checked_sub(1)?)?.1)
    }

    /// The account that the device stated at the last poll.
    pub fn account_at(&self, name: &str, at: i64) -> Option<&str> {
        self.poll(name, at)?.virtual_account.as_deref()
    }

    /// The count that the last poll saw.
    pub fn polled(&self, name: &str, tag: &str, at: i64) -> Option<u64> {
        let same = |license: &&Shared<License>| license.entitlement_tag.as_ref().is_some_and(|own| *own.0 == *tag);
        self.poll(name, at)?.licenses.iter().find(same)?.count
    }
}

fn flush(house: &House, now: &AtomicI64, at: i64, facts: &mut Vec<Fact>, reports: &mut Vec<String>) {
    now.store(at, Ordering::SeqCst);
    if !facts.is_empty() {
        house.ledger.append(Timestamp::from_second(at).unwrap(), std::mem::take(facts), Vec::new()).unwrap();
    }
    if !reports.is_empty() {
        let file = rum_file::compose(std::mem::take(reports));
        for brought in brought::import(house, "usage.xml", &file, None).unwrap() {
            assert!(brought.problems.is_empty() && brought.conflicts.is_empty(), "{brought:?}");
        }
    }
}

/// What befalls a device, and those that come out of its stack: their names and what befalls them.
type Told = Vec<(i64, Act)>;

fn life(index: usize, name: &str, dice: &mut fastrand::Rng) -> (Told, Vec<(String, Told)>) {
    let kind = index % 6;
    let mut spec = match kind {
        0 => specs::switch(name),
        1 => specs::router(name),
        2 => specs::wlc(name),
        3 => specs::branch(name),
        4 => specs::pair(name),
        _ => specs::stack(name, 3),
    };
    spec.seed = dice.u64(..);
    spec.account = [None, Some("Production"), Some("Laboratory")][dice.usize(..3)]
        .map(|account| Account::new("Example Works", "example.com", account));
    let lossy = index % 10 == 3;
    if lossy {
        spec.knobs.storage = spec.licences.len();
    }
    let late = index % 17 == 5;
    let wrong_clock = index % 9 == 7;
    if wrong_clock && dice.u32(..3) == 0 {
        // It woke up long ago, and asks somebody for the time.
        spec.clock_offset = -dice.i64(1..400) * DAY;
    }
    let grows = dice.u32(..3) == 0;
    let born = T0 + if grows { dice.i64(DAY..300 * DAY) } else { dice.i64(60..DAY) };
    let ends = (index % 12 == 8).then(|| born.max(T0 + 120 * DAY) + dice.i64(10 * DAY..90 * DAY));
    let until = ends.unwrap_or(T0 + DAYS * DAY).min(T0 + DAYS * DAY);
    let (licences, members) = (spec.licences.clone(), spec.members.clone());
    let offset = spec.clock_offset;
    let mut told: Told = vec![(born, Act::Born(Box::new(spec))), (born, Act::Poll)];
    let does = |at: i64, operation: Operation| (at, Act::Done(operation));
    let set = |licence: usize, count: u32| Operation::SetCount { licence: licences[licence].tag.clone(), count };
    if kind != 5 {
        for licence in 0..licences.len() {
            for _ in 0..dice.usize(..9) {
                let count = if kind == 2 { dice.u32(10..60) } else { dice.u32(..5) };
                told.push(does(dice.i64(born..until), set(licence, count)));
            }
        }
    }
    if kind == 2 && born < TRUE_UP - 20 * DAY && until > TRUE_UP + 10 * DAY {
        // On the stroke of nothing: each at its own second, for some days around.
        told.retain(|(at, act)| !matches!(act, Act::Done(_)) || !(TRUE_UP - 9 * DAY..TRUE_UP + 9 * DAY).contains(at));
        for licence in 0..licences.len() {
            told.push(does(TRUE_UP - 2 * DAY + dice.i64(0..DAY), set(licence, 150 + dice.u32(..20))));
            told.push(does(TRUE_UP + DAY + dice.i64(0..DAY), set(licence, dice.u32(10..60))));
        }
    }
    if kind == 4 {
        for _ in 0..dice.usize(1..4) {
            let at = dice.i64(born..until);
            if dice.bool() {
                told.push(does(at, Operation::Reload));
            }
            told.push(does(at, Operation::SwitchOver));
        }
    }
    let mut left = Vec::new();
    if kind == 5 && until - born > 60 * DAY {
        let step = (until - born) / 4;
        let joins = born + dice.i64(DAY..step);
        told.push(does(joins, Operation::Join(LabUdi::new("C9300-48U", format!("LABJOIN{index:04}")))));
        told.extend((0..licences.len()).map(|licence| does(joins, set(licence, 4))));
        let leaves = born + step + dice.i64(DAY..step);
        // The active one too: it signed for all of them.
        let leaver = members[dice.usize(..members.len())].udi.clone();
        told.push(does(leaves - 40, Operation::Close));
        told.push(does(leaves, Operation::Leave(leaver.clone())));
        told.extend((0..licences.len()).map(|licence| does(leaves + 40, set(licence, 3))));
        let own = format!("{name}-left");
        let mut spec = specs::switch(&own);
        spec.members[0].udi = leaver;
        let begins = leaves + 3600;
        let mut told: Told = vec![(begins, Act::Born(Box::new(spec))), (begins, Act::Poll)];
        exchange(&mut told, begins, T0 + DAYS * DAY, false, false, dice);
        left.push((own, told));
    }
    if wrong_clock {
        if offset != 0 {
            told.push(does(born + dice.i64(60..3 * DAY), Operation::ClockStep(-offset)));
        }
        for _ in 0..dice.usize(1..4) {
            let at = dice.i64(born + 4 * DAY..until.max(born + 5 * DAY));
            let by = [120, 3433, 7200, DAY, 5 * DAY][dice.usize(..5)] * [1, -1][dice.usize(..2)];
            let back = at + [dice.i64(60..7200), dice.i64(DAY..9 * DAY), dice.i64(20 * DAY..50 * DAY)][dice.usize(..3)];
            told.push(does(at, Operation::ClockStep(by)));
            told.push(does(back, Operation::ClockStep(-by)));
        }
    }
    if index % 13 == 4 {
        told.push((dice.i64(born + 60..until), Act::Move("Branches")));
        told.push((dice.i64(born + 60..until), Act::Move("Production")));
    }
    if index % 20 == 11 {
        let since = dice.i64(born..until);
        told.extend([(since, Act::Silent(true)), (since + dice.i64(20 * DAY..60 * DAY), Act::Silent(false))]);
    }
    exchange(&mut told, born, until, lossy, late, dice);
    if let Some(ends) = ends {
        // Half of them are asked a last time.
        if dice.bool() {
            told.extend([does(ends, Operation::Close), (ends, Act::Silent(false)), (ends, Act::Collect)]);
        }
        told.push((ends + 60, Act::Retired));
        told.retain(|(at, _)| *at <= ends + 60);
    }
    told.retain(|(at, _)| *at < T0 + DAYS * DAY);
    (told, left)
}

/// Reports are closed about monthly and collected some days later; where there is little room, only every other one is
/// still there.
fn exchange(told: &mut Told, from: i64, to: i64, lossy: bool, late: bool, dice: &mut fastrand::Rng) {
    let mut at = from;
    loop {
        at += dice.i64(25 * DAY..35 * DAY) / if lossy { 2 } else { 1 };
        if at >= to {
            break;
        }
        told.push((at, Act::Done(Operation::Close)));
        if !lossy || dice.bool() {
            // Everybody's at the same hour, so that many come in one file.
            let wait = if late { dice.i64(60..120) } else { dice.i64(1..9) };
            told.push((T0 + ((at - T0) / DAY + wait) * DAY + 4 * 3600, Act::Collect));
        }
    }
}

impl Life {
    fn befalls(
        &mut self,
        house: &House,
        at: i64,
        act: Act,
        dice: &mut fastrand::Rng,
        facts: &mut Vec<Fact>,
        reports: &mut Vec<String>,
    ) {
        let device = DeviceName::from(self.name.clone());
        let witnessed = match (act, &mut self.witnessed) {
            (Act::Born(spec), witnessed) => {
                self.most_wrong = spec.clock_offset.abs();
                *witnessed = Some(Witnessed::new(Device::new(Arc::new(*spec), at), at));
                return;
            }
            (_, None) => return,
            (Act::Poll, Some(_)) if !self.silent && !self.retired => return self.polled(house, at, facts),
            (Act::Collect, Some(_)) if !self.silent => return self.collected(at, dice, reports),
            (Act::Poll | Act::Collect, Some(_)) => return,
            (Act::Silent(silent), Some(_)) => {
                if std::mem::replace(&mut self.silent, silent) != silent {
                    facts.push(match silent {
                        true => {
                            let cause = "no answer".to_owned();
                            Fact::ContactLost(ContactLost { device, blame: Blame::Unreachable, cause })
                        }
                        false => Fact::ContactRestored(ContactRestored { device }),
                    });
                    if !silent {
                        self.polled(house, at, facts);
                    }
                }
                return;
            }
            (Act::Retired, Some(_)) => {
                self.retired = true;
                let udi = self.identified.as_ref().map(|known| known.udi.clone());
                facts.push(Fact::DeviceRetired(DeviceRetired { device: Some(device), udi, note: "gone".to_owned() }));
                return;
            }
            (Act::Done(operation), Some(witnessed)) => {
                if let Operation::ClockStep(by) = operation {
                    self.most_wrong += by.abs();
                }
                witnessed.apply(at, operation);
                return;
            }
            (Act::Move(account), Some(witnessed)) => {
                let bodies = witnessed.apply(at, Operation::AllReports).into_reports();
                if bodies.is_empty() || self.silent {
                    return;
                }
                // The account comes with the answer to what is owed.
                let account = Account::new("Example Works", "example.com", account);
                let file = rum_file::compose(bodies.iter().map(|one| &one.json));
                let answer = Portal::new().with_account(account).upload(at, &self.name, &file).unwrap();
                (witnessed, bodies, answer)
            }
        };
        let (witnessed, bodies, answer) = witnessed;
        witnessed.apply(at, Operation::Import(answer.bytes));
        for body in bodies {
            if self.collected.insert(body.report_id) {
                reports.push(body.json);
            }
        }
        self.polled(house, at, facts);
    }

    /// What a poll keeps: only what is news.
    fn polled(&mut self, house: &House, at: i64, facts: &mut Vec<Fact>) {
        let Some(witnessed) = &mut self.witnessed else { return };
        let (ahead, told) = (witnessed.ahead_at(at), witnessed.state(at));
        let udi = |udi: &LabUdi| Udi::new(&*udi.pid, &*udi.sn);
        let role = |role| match role {
            lab::udi::Role::Active => Role::Active,
            lab::udi::Role::Standby => Role::Standby,
            lab::udi::Role::Member => Role::Member,
        };
        let member = |member: &lab::udi::Member| Member { role: role(member.role), udi: udi(&member.udi) };
        let members: Vec<Member> =
            if told.members.len() > 1 { told.members.iter().map(member).collect() } else { Vec::new() };
        let known = self.identified.as_ref().and_then(|known| known.clock_skew_seconds);
        let skew = Some(ahead).filter(|ahead| known.is_none_or(|known| known.abs_diff(*ahead) > 60)).or(known);
        let identified = DeviceIdentified {
            device: DeviceName::from(self.name.clone()),
            site: Site::default(),
            udi: udi(&told.udi),
            uuid: told.uuid.clone(),
            members: members.clone(),
            os: "ios-xe".to_owned(),
            software: Some(told.software.clone()),
            hostname: Some(told.name.clone()),
            clock_skew_seconds: skew,
        };
        let used = told.licences.iter().filter(|licence| licence.count > 0).map(|licence| License {
            name: Some(licence.name.clone()),
            entitlement_tag: Some(EntitlementTag::from(licence.tag.clone())),
            count: Some(licence.count.into()),
            status: Some("IN USE".to_owned()),
            ..License::default()
        });
        let state = DeviceState {
            model: Model::Slp,
            smart_account: told.account.as_ref().map(|account| account.smart.as_str().into()),
            virtual_account: told.account.as_ref().map(|account| account.virtual_name.as_str().into()),
            udi: Some(udi(&told.udi)),
            members,
            licenses: used.map(Into::into).collect(),
            ..DeviceState::default()
        };
        self.polls.push((at, state.clone()));
        // As the real poll does: where the name is another's by now, it is news again.
        let taken = house.ledger.fleet().of_device(&identified.device).is_none();
        if self.identified.as_ref() != Some(&identified) || taken {
            facts.push(Fact::DeviceIdentified(identified.clone()));
            self.identified = Some(identified);
        }
        if self.state.as_ref() != Some(&state) {
            facts.push(Fact::StateRead(StateRead { udi: udi(&told.udi), state: Box::new(state.clone()) }));
            self.state = Some(state);
        }
    }

    fn collected(&mut self, at: i64, dice: &mut fastrand::Rng, reports: &mut Vec<String>) {
        let Some(witnessed) = &mut self.witnessed else { return };
        // Now and then everything is brought once more.
        let again = dice.u32(..30) == 0;
        for body in witnessed.apply(at, Operation::AllReports).into_reports() {
            if self.collected.insert(body.report_id) || again {
                reports.push(body.json);
            }
        }
    }

    fn truths(&self) -> Vec<((String, String), Vec<Stretch>)> {
        let Some(witnessed) = &self.witnessed else { return Vec::new() };
        let of = |(tag, used): (&String, &lab::truth::Used)| {
            let counts = used.counts();
            let ends = counts.iter().skip(1).map(|(since, _)| *since).chain([i64::MAX]);
            let counts: Vec<Stretch> = counts
                .iter()
                .zip(ends)
                .map(|((since, count), end)| Stretch::new(*since, end, (*count).into()))
                .collect();
            let kept = used.reports().iter().filter(|(id, _)| self.collected.contains(id));
            let cut = |span: &std::ops::Range<i64>| super::history::within(&counts, span.start, span.end);
            let own = joined(kept.flat_map(|(_, span)| cut(span)).collect());
            ((self.name.clone(), tag.clone()), own)
        };
        witnessed.used().iter().map(of).collect()
    }
}

fn config(folder: &tempfile::TempDir, names: &[String]) -> Config {
    let at = |name: &str| folder.path().join(name);
    let rows: String = names.iter().zip(1000..).map(|(name, port)| format!("{name},127.0.0.1,{port}\n")).collect();
    fs::write(at("devices.csv"), format!("name,address,port\n{rows}")).unwrap();
    let secret = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(at("password")).unwrap();
    std::io::Write::write_all(&mut { secret }, b"none").unwrap();
    let text = "[collector]\nname = \"truth\"\nstate_dir = \"state\"\nsocket = \"control.sock\"\n\
        [deadline]\nstale_after = \"10d\"\n[exchange]\nsigner = \"signer\"\n[defaults]\ncredential = \"routers\"\n\
        [credentials.routers]\nusername = \"slp\"\npassword_file = \"password\"\n";
    fs::write(at("slp-collector.toml"), text).unwrap();
    Config::load(&at("slp-collector.toml")).unwrap()
}
