//! The same mixed fleet of five hundred through Cisco's cloud API: what is routed there goes up as it was signed, once, and
//! every answer ends on its device or waits for the person who carries it there.

use std::collections::{BTreeMap, BTreeSet};

use lab::Handle;
use lab::account::Account;
use lab::cssm::{Cssm, Step, Trouble};
use lab::report::ReportState;
use lab::udi::Udi;
use serde::Deserialize;
use serde_json::Value;
use slp_collector::domain::fleet::AnswerStatus;
use slp_collector::domain::instance::DeviceName;
use slp_collector::domain::report::ReportType;

use super::fleet::{Part, World, finished, is_mixed, saved_by_hand};
use crate::daemon::Daemon;
use crate::support::site::{Ran, Site};
use crate::upstream::cssm::{SECRET, Signed, nowhere, started};

/// Two Smart Accounts as a whole, and of the third one Virtual Account.
const ROUTES: [&str; 3] = ["Example Works", "Example Islands", "Bücher & Söhne/Default"];

/// A report and what its device signed.
type Reports = BTreeMap<(Udi, u64), (String, String)>;

fn is_routed(device: &Handle) -> bool {
    let by_name = |account: &Account| account.smart != "Bücher & Söhne" || account.virtual_name == "Default";
    device.spec().account.as_ref().is_some_and(by_name)
}

/// Every account of the fleet, with the numbers that the API has for it.
fn accounts(site: &Site) -> Vec<Account> {
    let mut all: Vec<Account> = Vec::new();
    for account in site.fleet.devices().filter_map(|device| device.spec().account.as_ref()) {
        let same = |one: &&Account| one.smart == account.smart;
        let smart = all.iter().find(same).map_or_else(|| (all.len() + 11).to_string(), |one| one.smart_id.clone());
        if !all.iter().any(|one| one.virtual_path() == account.virtual_path()) {
            let virtual_id = (all.len() + 101).to_string();
            all.push(Account { smart_id: smart, virtual_id, ..account.clone() });
        }
    }
    all
}

/// What is to go up: the device's own words.
fn to_go(world: &World, went: &[Handle]) -> Reports {
    let mut all = Reports::new();
    for device in went {
        let bodies = world.site.bodies(device.name());
        for report in finished(device) {
            let signed: Signed<'_> = serde_json::from_str(&bodies[&report.id]).unwrap();
            let words = (signed.payload.to_string(), signed.signature.to_string());
            assert!(all.insert((report.udi, report.id), words).is_none());
        }
    }
    all
}

#[derive(Deserialize)]
struct Upload<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    reports: Vec<OfDevice<'a>>,
}

#[derive(Deserialize)]
struct OfDevice<'a> {
    sudi: Sudi<'a>,
    #[serde(borrow)]
    usage: Vec<Signed<'a>>,
}

#[derive(Deserialize)]
struct Sudi<'a> {
    udi_pid: &'a str,
    udi_serial_number: &'a str,
}

/// One offer: the numbers of its account, and by device what was signed.
struct Offer {
    account: (String, String),
    reports: Vec<(Udi, (String, String))>,
}

fn offers(cssm: &Cssm) -> Vec<Offer> {
    let asked = cssm.asked().into_iter().filter(|asked| asked.step == Step::Report);
    let offer = |asked: lab::cssm::Asked| {
        let upload: Upload<'_> = serde_json::from_slice(&asked.body).unwrap();
        let reports = upload.data.reports.into_iter().flat_map(|device| {
            let udi = Udi::new(device.sudi.udi_pid, device.sudi.udi_serial_number);
            let words = |signed: Signed<'_>| (signed.payload.to_string(), signed.signature.to_string());
            device.usage.into_iter().map(move |signed| (udi.clone(), words(signed)))
        });
        let header = |name: &str| asked.headers[name].clone();
        Offer {
            account: (header("x-csw-smart-account-id"), header("x-csw-virtual-account-id")),
            reports: reports.collect(),
        }
    };
    asked.map(offer).collect()
}

#[test]
fn the_same_fleet_goes_through_the_api_and_every_answer_comes_home_or_waits_for_its_person() {
    let world = World::new();
    let site = &world.site;
    is_mixed(&world);
    let (cssm, _runtime) = started(site, accounts(site), &ROUTES, "");
    let toml = std::fs::read_to_string(site.config_file()).unwrap();
    let toml = toml.replace("[poll]\n", "[poll]\nspread = \"0s\"\nschedule = \"0 0 1 1 *\"\n");
    std::fs::write(site.config_file(), toml).unwrap();
    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    saved_by_hand(&world);
    let went = world.devices(|device| world.part(device) != Part::Observed && is_routed(device));
    let homeless = world.devices(|device| world.part(device) != Part::Observed && device.spec().account.is_none());
    let reports = to_go(&world, &went);
    assert!(went.len() > 300 && reports.len() > went.len() && homeless.len() > 20);

    let mut log = String::new();
    let mut submit = |code: i32| -> Ran {
        let ran = site.run(["upstream", "submit", "cisco"]).exits(code);
        log += &format!("{}{}", ran.out, ran.err);
        ran
    };
    // The token ends under the first offer, and its second try comes at a bad time.
    cssm.trouble(Step::Report, Trouble::TokenExpired, 1);
    cssm.trouble(Step::Report, Trouble::Status(429), 1);
    assert!(submit(1).err.contains("HTTP 429"));
    assert_eq!(cssm.count(Step::Report), 2);
    let submitted = submit(2);
    let without: usize = homeless.iter().map(|device| finished(device).len()).sum();
    let told = format!("left out: {without} reports of devices whose Smart Account nobody knows");
    assert!(submitted.err.contains(&told), "{told} in {}", submitted.err);
    assert!(submitted.out.lines().skip(1).all(|line| line.contains("accepted under")), "{}", submitted.out);
    let offered = cssm.count(Step::Report);
    // For a while some answers are not ready, then the server is not.
    cssm.trouble(Step::Poll, Trouble::Working, 3);
    cssm.trouble(Step::Poll, Trouble::Status(503), 1);
    assert_eq!(submit(1).out.matches("its answer is not ready").count(), 3);
    cssm.trouble(Step::Poll, Trouble::Working, 2);
    cssm.trouble(Step::Poll, Trouble::TokenExpired, 1);
    assert_eq!(submit(2).out.matches("its answer is not ready").count(), 2);
    let last = submit(2);
    assert_eq!(last.out.lines().filter(|line| line.trim_end().ends_with("answered")).count(), 2, "{}", last.out);
    assert_eq!((cssm.troubles_left(), cssm.count(Step::Report)), (0, offered), "nothing is offered while it is there");
    let listed: Value = site.run(["upstream", "list", "--format", "json"]).exits(0).json();
    assert_eq!((&listed[0]["waiting"], &listed[0]["trouble"]), (&0.into(), &Value::Null), "{listed}");

    went_up_as_signed(&world, &cssm, &reports);
    log += &delivered(&world);
    assert_eq!(cssm.count(Step::Report), offered);
    every_answer_is_home(&world, &cssm);
    nowhere(site, &[SECRET, "lab-token"], &log);
    site.run(["ledger", "verify"]).exits(0);
}

/// Byte for byte, under the right account, and but for the two offers that were turned away no report twice.
fn went_up_as_signed(world: &World, cssm: &Cssm, reports: &Reports) {
    let place: BTreeMap<Udi, (String, String)> = {
        let all = accounts(&world.site);
        let numbers = |of: &Account| {
            let known = all.iter().find(|one| one.virtual_path() == of.virtual_path()).unwrap();
            (known.smart_id.clone(), known.virtual_id.clone())
        };
        let devices = world.site.fleet.devices().filter_map(|device| Some((device, device.spec().account.as_ref()?)));
        let each = devices.flat_map(|(device, account)| {
            let numbers = numbers(account);
            device.spec().members.iter().map(move |member| (member.udi.clone(), numbers.clone()))
        });
        each.collect()
    };
    let offers = offers(cssm);
    let (turned_away, taken) = offers.split_at(2);
    assert!(taken.len() >= 7, "seven accounts are routed");
    let mut expected: BTreeSet<(&Udi, &(String, String))> =
        reports.iter().map(|((udi, _), words)| (udi, words)).collect();
    assert_eq!(expected.len(), reports.len());
    for offer in taken {
        for (udi, words) in &offer.reports {
            assert_eq!(place[udi], offer.account, "{udi:?}");
            assert!(expected.remove(&(udi, words)), "not as it was signed, or offered twice: {udi:?}");
        }
    }
    assert_eq!(expected, BTreeSet::new(), "not offered");
    assert!(turned_away.iter().all(|offer| offer.account == taken[0].account && !offer.reports.is_empty()));
}

/// The daemon brings every answer that it can to its device; what it logged.
fn delivered(world: &World) -> String {
    let by_hand = |name: &DeviceName| world.part(&world.site.device(&name.0)) == Part::ByHand;
    let due = {
        let ledger = world.site.ledger();
        let fleet = ledger.fleet();
        let device =
            |answer: &slp_collector::domain::fleet::Answer| fleet.resolve(answer.udi.as_ref()?)?.device.clone();
        fleet.answers.values().filter(|answer| !by_hand(&device(answer).unwrap())).count()
    };
    let mut daemon = Daemon::start(&world.site, None);
    (0..due).for_each(|_| drop(daemon.logs("answer delivered")));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0));
    log
}

fn every_answer_is_home(world: &World, cssm: &Cssm) {
    let ledger = world.site.ledger();
    let fleet = ledger.fleet();
    for device in world.site.fleet.devices() {
        let name = device.name();
        let instance = fleet.of_device(&DeviceName::from(name)).unwrap();
        let reports = finished(device);
        let ids: BTreeSet<u64> = reports.iter().map(|report| report.id).collect();
        let chassis = device.spec().members.iter();
        let booked: Vec<u64> = cssm.portal(|portal| chassis.flat_map(|one| portal.acknowledged(&one.udi)).collect());
        let of_device = |udi: &_| fleet.resolve(udi).is_some_and(|of| of.udi == instance.udi);
        let answers = fleet.answers.values().filter(|answer| answer.udi.as_ref().is_some_and(of_device));
        let answers: Vec<_> = answers.collect();
        let owed = instance.owed.iter().filter(|owed| owed.report_type == ReportType::Entitlement).count();
        if world.part(device) == Part::Observed || !is_routed(device) {
            assert!(answers.is_empty() && booked.is_empty(), "{name} was not to go there");
            assert_eq!(owed, if world.part(device) == Part::Observed { 0 } else { ids.len() }, "{name}");
            continue;
        }
        assert_eq!((booked.len(), BTreeSet::from_iter(booked)), (ids.len(), ids.clone()), "{name}");
        let answered: Vec<u64> = answers.iter().flat_map(|answer| answer.reports.iter().map(|id| id.0)).collect();
        assert_eq!((answered.len(), BTreeSet::from_iter(answered)), (ids.len(), ids), "{name}");
        for answer in answers {
            let unreached = world.part(device) == Part::ByHand && answer.status == AnswerStatus::AwaitingDelivery;
            let fits = match world.takes_files(device) {
                true => matches!(answer.status, AnswerStatus::Confirmed(_)),
                false => unreached || answer.status == AnswerStatus::AwaitingHandImport,
            };
            assert!(fits, "{name}: {answer:?}");
        }
        let acknowledged = reports.iter().filter(|report| report.state == ReportState::Acknowledged).count();
        let expected = if world.takes_files(device) { (reports.len(), 0) } else { (0, reports.len()) };
        assert_eq!((acknowledged, owed), expected, "{name}");
    }
}
