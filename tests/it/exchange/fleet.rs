//! A mixed fleet of five hundred in three Smart and nine Virtual Accounts, and some in none: everything owed goes out in
//! both forms, and every answer ends on its device or waits for the person who carries it there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use lab::account::Account;
use lab::operation::Saved;
use lab::portal::Answer;
use lab::report::ReportState;
use lab::spec::Faces;
use lab::state::Known;
use lab::{Fleet, Handle, Operation, Reply, Spec, System};
use serde_json::Value;
use slp_collector::domain::fleet::{AnswerStatus, Confirmation};
use slp_collector::domain::instance::{DeviceName, Udi};
use slp_collector::domain::report::{ReportId, ReportType};
use slp_collector::exchange::archive::Limits;
use slp_collector::exchange::bundle::{self, Manifest};
use slp_collector::ledger;

use super::portal::{Form, carry, children, inventory, owner, portal_of};
use crate::support::peer;
use crate::support::site::{LIMITS, Site, ran};

const DEVICES: usize = 500;

/// How a device takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Asked over HTTPS; the operator says which account it is in.
    Rest,
    /// All three systems by all other ways; those of IOS XR and NX-OS tell their account themselves.
    Other,
    /// Looked at and left alone.
    Observed,
    /// A person carries its reports and its answer.
    ByHand,
}

fn part(index: usize) -> Part {
    match index % 20 {
        0..13 => Part::Rest,
        13..18 => Part::Other,
        18 => Part::Observed,
        _ => Part::ByHand,
    }
}

/// Names of Virtual Accounts repeat from one Smart Account to the next.
fn account(index: usize) -> Option<Account> {
    const SMART: [(&str, &str); 3] =
        [("Example Works", "example.com"), ("Example Islands", "islands.example.com"), ("Bücher & Söhne", "b.example")];
    const VIRTUAL: [&str; 3] = ["Default", "Plant <North>", "Plant <North> & Laboratory"];
    let (smart, domain) = SMART[index % 3];
    (index % 11 != 10).then(|| Account::new(smart, domain, VIRTUAL[index / 3 % 3]))
}

fn specs() -> Vec<(Part, Spec)> {
    // The same seed makes the same names and serial numbers.
    let others = Fleet::mixed(DEVICES, 20_261_123);
    let specs = Fleet::spec(DEVICES, 20_261_123).into_iter().zip(others).enumerate();
    let spec = specs.map(|(index, (rest, other))| {
        let part = part(index);
        let mut spec = if part == Part::Other { other } else { rest };
        spec = crate::fleet_loop::accesses::busy(spec);
        spec.account = account(index);
        spec.uuid = spec.uuid.filter(|_| spec.account.is_some());
        (part, spec)
    });
    spec.collect()
}

pub(super) struct World {
    pub(super) site: Site,
    parts: BTreeMap<String, Part>,
}

impl World {
    pub(super) fn new() -> World {
        let specs = specs();
        let parts: BTreeMap<String, Part> = specs.iter().map(|(part, spec)| (spec.name.clone(), *part)).collect();
        let limits = format!("{LIMITS}concurrency = 32\n").replace("10s", "60s");
        let mode = |name: &str| if parts[name] == Part::Observed { "observe" } else { "deliver" };
        let site = Site::with(specs.into_iter().map(|(_, spec)| spec).collect(), &limits, mode);
        let world = World { site, parts };
        let by_hand = |device: &Handle| (world.part(device) == Part::ByHand).then_some("by-hand");
        // What IOS XR and NX-OS tell of their accounts themselves is believed; of the others the operator knows it.
        inventory(&world.site, by_hand, |device| device.spec().os == System::IosXe);
        world
    }

    pub(super) fn part(&self, device: &Handle) -> Part {
        self.parts[device.name()]
    }

    /// Is there a way to put a file onto it?
    pub(super) fn takes_files(&self, device: &Handle) -> bool {
        let faces = device.spec().faces;
        self.part(device) != Part::ByHand && (faces.smartlic || faces.scp || faces.sftp)
    }

    pub(super) fn devices(&self, holds: impl Fn(&Handle) -> bool) -> Vec<Handle> {
        self.site.fleet.devices().filter(|device| holds(device)).cloned().collect()
    }
}

/// What the device itself says of its finished reports with licence counts.
pub(super) fn finished(device: &Handle) -> Vec<Known> {
    let counts = |report: &Known| report.end.is_some() && report.licence != "TELEMETRY";
    device.state().reports.into_iter().filter(counts).collect()
}

#[test]
fn of_five_hundred_devices_every_answer_comes_home_or_waits_for_its_person() {
    let world = World::new();
    let site = &world.site;
    is_mixed(&world);

    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    saved_by_hand(&world);
    let folder = site.bundle();
    everything_owed_is_in(&world, &folder);
    foreign_tools_read(&folder);

    // Two people at two portals: each takes everything in one of the forms.
    let (mut archives, mut singles) = (portal_of(site), portal_of(site));
    let by_archive = carry(site, &mut archives, &folder, Form::Archives);
    let by_single = carry(site, &mut singles, &folder, Form::Singles);
    for device in world.devices(|device| world.part(device) != Part::Observed) {
        let ids: BTreeSet<u64> = finished(&device).iter().map(|report| report.id).collect();
        let took = |portal: &lab::Portal| -> BTreeSet<u64> {
            device.spec().members.iter().flat_map(|member| portal.acknowledged(&member.udi)).collect()
        };
        assert!(!ids.is_empty() && took(&archives) == ids && took(&singles) == ids, "{}", device.name());
    }

    // One account's answers come as archives, the other two as single files.
    site.advance(86_400);
    let (first, _) = by_archive.split_first().unwrap();
    let in_first: BTreeSet<Vec<u8>> = first.files().into_iter().map(|file| file.bytes).collect();
    let rest: Vec<Answer> = by_single.iter().filter(|answer| !in_first.contains(&answer.bytes)).cloned().collect();
    assert_eq!(rest.len() + in_first.len(), by_single.len(), "both forms answer the same");
    let mut files = site.download(std::slice::from_ref(first));
    files.extend(site.download(&rest));
    site.import(&files, &[]).exits(2);
    every_answer_is_where_it_belongs(&world);

    // The same answers in the other form are nothing new, and nobody is written to again.
    let imports = imports(site);
    let takes = |answer: &&Answer| world.takes_files(&owner(site, Path::new(&answer.name)));
    let again: Vec<Answer> = by_single.iter().filter(takes).cloned().collect();
    let again = site.import(&site.download(&again), &[]).exits(0);
    let came_before = again.out.lines().filter(|line| line.contains("the same bytes came before")).count();
    assert_eq!(came_before, again.out.lines().count(), "{}", again.out);
    assert_eq!(self::imports(site), imports);
    every_answer_is_where_it_belongs(&world);
    brought_by_hand(&world);
    let verified = ledger::verify(&site.ledger_dir()).unwrap();
    assert!(verified.is_sound() && verified.findings.is_empty(), "{:?}", verified.findings);
}

pub(super) fn is_mixed(world: &World) {
    let many = |least: usize, holds: &dyn Fn(&Handle) -> bool| {
        let count = world.devices(holds).len();
        assert!(count >= least, "only {count}");
    };
    many(DEVICES, &|_| true);
    for os in System::ALL {
        many(30, &|device| device.spec().os == os);
    }
    many(20, &|device| world.part(device) == Part::Observed);
    many(20, &|device| world.part(device) == Part::ByHand);
    many(20, &|device| world.part(device) == Part::Other && !world.takes_files(device));
    many(10, &|device| device.spec().faces == Faces { nxapi: true, ..Faces::none() });
    many(20, &|device| device.spec().account.is_none());
    many(20, &|device| device.spec().members.len() > 1);
    let accounts = world.site.fleet.devices().filter_map(|device| device.spec().account.as_ref());
    let accounts: BTreeSet<(&str, &str)> =
        accounts.map(|account| (account.smart.as_str(), account.virtual_name.as_str())).collect();
    let smart: BTreeSet<&str> = accounts.iter().map(|(smart, _)| *smart).collect();
    assert_eq!((smart.len(), accounts.len()), (3, 9));
}

/// On devices that nobody reaches a person saves the usage to a file, and brings it.
pub(super) fn saved_by_hand(world: &World) {
    let folder = world.site.path("saved");
    fs::create_dir(&folder).unwrap();
    let mut files = Vec::new();
    for device in world.devices(|device| world.part(device) == Part::ByHand) {
        let name = format!("{}-usage.txt", device.name());
        device.apply(Operation::SaveUsage { which: Saved::All, name: name.clone() });
        let Reply::File(bytes) = device.apply(Operation::ReadFile(name.clone())) else {
            panic!("{} saved nothing", device.name())
        };
        files.push(folder.join(name));
        fs::write(files.last().unwrap(), bytes).unwrap();
        assert_eq!(device.counters().connections, 0, "{} is out of reach", device.name());
    }
    let mut command = world.site.command(["report", "import"]);
    ran(command.args(&files)).exits(0);
}

/// Each finished report of everybody but the observed is in the bundle, once, under its account.
fn everything_owed_is_in(world: &World, folder: &Path) {
    let verified = bundle::open(folder, &Limits::own()).unwrap().verify(None).unwrap();
    let manifest: &Manifest = &verified.manifest;
    let told: BTreeSet<(Udi, u64)> =
        manifest.reports.iter().map(|report| (report.udi.clone(), report.report_id.0)).collect();
    assert_eq!(told.len(), manifest.reports.len(), "a report is in the bundle twice");
    let mut owed = BTreeSet::new();
    for device in world.devices(|device| world.part(device) != Part::Observed) {
        for report in finished(&device) {
            owed.insert((Udi::new(&report.udi.pid, &report.udi.sn), report.id));
        }
    }
    assert!(owed.len() > DEVICES && told == owed, "{} owed, {} told", owed.len(), told.len());
    let complete = manifest.accounts.iter().filter(|account| account.virtual_account.is_some()).count();
    assert_eq!(complete, 9, "{:?}", manifest.accounts);
    let placed = |device: &Handle| world.part(device) != Part::Observed && device.spec().account.is_some();
    let homeless = |device: &Handle| world.part(device) != Part::Observed && device.spec().account.is_none();
    assert_eq!(children(&folder.join("single")).len(), world.devices(placed).len());
    assert_eq!(children(&folder.join("unassigned")).len(), world.devices(homeless).len());
}

/// OpenSSL with the command of READ-ME.txt, tar and xmllint, all of them strangers to us.
fn foreign_tools_read(folder: &Path) {
    let aside = tempfile::tempdir().unwrap();
    if let Some(mut openssl) = peer("openssl", &["version"]) {
        let read_me = fs::read_to_string(folder.join("READ-ME.txt")).unwrap();
        let command = read_me.lines().map(str::trim).find(|line| line.starts_with("openssl pkeyutl")).unwrap();
        let told = ran(openssl.args(command.split_whitespace().skip(1)).current_dir(folder)).exits(0);
        assert!(told.out.contains("Signature Verified Successfully"), "{told:?}");
    }
    let mut unpacked: Vec<PathBuf> = Vec::new();
    if peer("tar", &["--version"]).is_some() {
        let unpack = |archive: &Path, into: &Path| {
            fs::create_dir(into).unwrap();
            ran(std::process::Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into)).exits(0);
            children(into)
        };
        for archive in children(folder).iter().filter(|path| path.extension().is_some_and(|end| end == "gz")) {
            let smart = aside.path().join(archive.file_stem().unwrap());
            for inner in unpack(archive, &smart).iter().filter(|path| path.extension().is_some_and(|end| end == "gz")) {
                unpacked.extend(unpack(inner, &inner.with_extension("")));
            }
        }
        assert_eq!(unpacked.len(), children(&folder.join("single")).len());
    }
    if let Some(mut xmllint) = peer("xmllint", &["--version"]) {
        let files = unpacked.iter().cloned().chain(children(&folder.join("single")));
        let files: Vec<PathBuf> = files.chain(children(&folder.join("unassigned"))).collect();
        assert!(files.len() > DEVICES / 2);
        ran(xmllint.args(["--noout", "--nonet"]).args(&files)).exits(0);
    }
}

fn every_answer_is_where_it_belongs(world: &World) {
    let listed: Vec<Value> = world.site.run(["ack", "list", "--format", "json"]).exits(0).json();
    let ledger = world.site.ledger();
    let fleet = ledger.fleet();
    assert_eq!(fleet.answers.len(), DEVICES - world.devices(|device| world.part(device) == Part::Observed).len());
    for device in world.site.fleet.devices() {
        let name = device.name();
        let instance = fleet.of_device(&DeviceName::from(name)).unwrap_or_else(|| panic!("{name} is not known"));
        let of_device = |udi: &Udi| fleet.resolve(udi).is_some_and(|of| of.udi == instance.udi);
        let mut answers = fleet.answers.values().filter(|answer| answer.udi.as_ref().is_some_and(of_device));
        let reports = finished(device);
        if world.part(device) == Part::Observed {
            assert!(answers.next().is_none() && instance.collected.is_empty(), "{name}");
            assert!(device.counters().of("/smartlic-service/all-reports") == 0, "{name} was only to be looked at");
            continue;
        }
        let answer = answers.next().unwrap_or_else(|| panic!("{name} got no answer"));
        assert_eq!(answers.count(), 0, "{name} got two answers");
        let ids: BTreeSet<ReportId> = reports.iter().map(|report| ReportId(report.id)).collect();
        assert_eq!(answer.reports.iter().copied().collect::<BTreeSet<_>>(), ids, "{name}");
        let owed = instance.owed.iter().filter(|owed| owed.report_type == ReportType::Entitlement).count();
        if world.takes_files(device) {
            assert!(matches!(answer.status, AnswerStatus::Confirmed(_)), "{name}: {answer:?}");
            assert!(reports.iter().all(|report| report.state == ReportState::Acknowledged), "{name}");
            assert_eq!(owed, 0, "{name}");
        } else {
            let unreached = world.part(device) == Part::ByHand && answer.status == AnswerStatus::AwaitingDelivery;
            assert!(unreached || answer.status == AnswerStatus::AwaitingHandImport, "{name}: {answer:?}");
            let line = listed.iter().find(|line| line["device"] == name).unwrap();
            assert!(line["waits_for"].as_str().is_some_and(|told| told.ends_with("by hand")), "{name}: {line}");
            assert!(reports.iter().all(|report| report.state != ReportState::Acknowledged), "{name}");
            assert_eq!(owed, reports.len(), "{name}");
        }
    }
}

/// How often an answer was sent to each device, over HTTPS or on its command line.
fn imports(site: &Site) -> BTreeMap<String, u64> {
    let imports = |device: &Handle| {
        let counters = device.counters();
        let import =
            |request: &&String| request.contains("/smartlic-service/import") || request.contains("smart import");
        counters.requests.iter().filter(|(request, _)| import(request)).map(|(_, count)| count).sum()
    };
    site.fleet.devices().map(|device| (device.name().to_owned(), imports(device))).collect()
}

/// Each folder that `ack export` makes holds one file for each device that waits, which takes it from a person's hand;
/// the next poll sees it, and where there is none the person's word is taken.
fn brought_by_hand(world: &World) {
    let site = &world.site;
    let waiting = world.devices(|device| world.part(device) != Part::Observed && !world.takes_files(device));
    let sites: BTreeSet<&str> = waiting.iter().map(|device| device.spec().site.as_str()).collect();
    let mut carried = BTreeSet::new();
    for name in &sites {
        let exported: Value = site.run(["ack", "export", "--site", name, "--format", "json"]).exits(0).json();
        let folder = PathBuf::from(exported["path"].as_str().unwrap());
        let sheet = fs::read_to_string(folder.join("COMMANDS.txt")).unwrap();
        let files = exported["files"].as_array().unwrap();
        assert_eq!(children(&folder).len(), files.len() + 1, "one file a device, and the sheet");
        for line in files {
            let (file, device) = (line["file"].as_str().unwrap(), site.device(line["device"].as_str().unwrap()));
            assert_eq!(device.spec().site, *name);
            let command = line["commands"][0].as_str().unwrap();
            assert!(command.starts_with("license smart import ") && command.ends_with(file), "{line}");
            assert!(sheet.contains(command) && sheet.contains(device.name()), "{line}");
            let reply = device.apply(Operation::Import(fs::read(folder.join(file)).unwrap()));
            assert_eq!(reply.refusal(), None, "{}", device.name());
            assert!(carried.insert(device.name().to_owned()), "{} has two files", device.name());
        }
    }
    let names: BTreeSet<String> = waiting.iter().map(|device| device.name().to_owned()).collect();
    assert!(names.len() > 40 && carried == names);
    for device in &waiting {
        assert!(finished(device).iter().all(|report| report.state == ReportState::Acknowledged), "{}", device.name());
    }
    site.advance(3600);
    site.run(["poll", "--all"]).exits(0);
    // What a poll saw needs no word: 64 where nothing at the site waits any more.
    for name in &sites {
        let told = site.run(["ack", "confirm", "--site", name, "--note", "typed in on the spot"]);
        let here = |device: &Handle| world.part(device) == Part::ByHand && device.spec().site == *name;
        let words = world.devices(here).len();
        assert_eq!((told.code, told.out.lines().count()), (if words > 0 { 0 } else { 64 }, words), "{told:?}");
    }
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    for device in world.devices(|device| world.part(device) != Part::Observed) {
        let instance = fleet.of_device(&DeviceName::from(device.name())).unwrap();
        assert_eq!(instance.waiting().count(), 0, "{}", device.name());
    }
    let how = |how: Confirmation| {
        fleet.answers.values().filter(|answer| answer.status == AnswerStatus::Confirmed(how)).count()
    };
    let by_hand = world.devices(|device| world.part(device) == Part::ByHand).len();
    assert_eq!(how(Confirmation::ByPerson), by_hand);
    assert_eq!(how(Confirmation::ById) + how(Confirmation::ByTime) + by_hand, fleet.answers.len());
}
