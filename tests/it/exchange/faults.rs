//! What may become of an answer, and of a bundle, between the house and the portal: each is refused, waits for a person,
//! or is taken as right, and whatever it is, nothing that is owed is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use lab::account::Account;
use lab::portal::{Answer, Wrong};
use lab::report::ReportState;
use lab::{Device, Portal, Spec, specs};
use serde_json::{Value, json};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::Event;
use slp_collector::domain::fleet::{AnswerStatus, Confirmation, Fleet};
use slp_collector::domain::instance::{DeviceName, Udi};
use slp_collector::ledger;

use super::portal::{Form, carry, inventory, portal_of};
use crate::fleet_loop::accesses::busy;
use crate::support::site::{LIMITS, Ran, Site};

const NAMES: [&str; 4] = ["dev-1", "dev-2", "dev-3", "dev-4"];

/// Four devices, in two Virtual Accounts, whose reports are collected.
fn collected() -> Site {
    let spec = |(index, name): (usize, &&str)| {
        let mut spec: Spec = busy(specs::switch(name));
        spec.account = Some(Account::new("Example Works", "example.com", ["Default", "Plant"][index % 2]));
        spec
    };
    let site = Site::with(NAMES.iter().enumerate().map(spec).collect(), LIMITS, |_| "deliver");
    inventory(&site, |_| None, |_| true);
    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    site
}

/// The same, with the answer of a portal that took the archive.
fn answered() -> (Site, Answer) {
    let site = collected();
    let answers = carry(&site, &mut portal_of(&site), &site.bundle(), Form::Archives);
    site.advance(86_400);
    let [answer] = <[Answer; 1]>::try_from(answers).expect("one Smart Account");
    (site, answer)
}

/// The file for a device in an answer.
fn file_for<'a>(files: &'a [Answer], site: &Site, name: &str) -> &'a Answer {
    let serial = site.device(name).spec().members[0].udi.sn.clone();
    files.iter().find(|file| file.name.contains(&serial)).unwrap_or_else(|| panic!("no answer for {name}"))
}

fn import(site: &Site, answers: &[Answer]) -> Ran {
    site.import(&site.download(answers), &[])
}

/// The reports that the device says nobody acknowledged.
fn unacknowledged(site: &Site, name: &str) -> BTreeSet<u64> {
    let reports = site.device(name).state().reports.into_iter();
    let open = reports.filter(|report| report.end.is_some() && report.state != ReportState::Acknowledged);
    open.map(|report| report.id).collect()
}

fn sent(site: &Site, name: &str) -> u64 {
    site.device(name).counters().of("/smartlic-service/import")
}

/// What we hold owed is what the devices hold unacknowledged, and these devices alone are settled; nobody was written
/// to without need, and the ledger is sound.
#[track_caller]
fn settled_are(site: &Site, settled: &[&str]) {
    let verified = ledger::verify(&site.ledger_dir()).unwrap();
    assert!(verified.is_sound() && verified.findings.is_empty(), "{:?}", verified.findings);
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    for name in NAMES {
        let instance = fleet.of_device(&DeviceName::from(name)).unwrap();
        let owed: BTreeSet<u64> = instance.owed.iter().map(|owed| owed.report_id.0).collect();
        assert_eq!(owed, unacknowledged(site, name), "{name}");
        assert_eq!(owed.is_empty(), settled.contains(&name), "{name} owes {owed:?}");
        assert!(sent(site, name) <= 1, "{name} was sent {} answers", sent(site, name));
    }
}

/// Everything that is still owed goes out once more and comes home.
fn ends_well(site: &Site) {
    let owing: Vec<&str> = NAMES.into_iter().filter(|name| !unacknowledged(site, name).is_empty()).collect();
    site.advance(86_400);
    let answers = carry(site, &mut portal_of(site).answers_twice(), &site.bundle(), Form::Singles);
    assert_eq!(answers.len(), owing.len(), "a bundle takes what is owed and no more");
    import(site, &answers).exits(0);
    settled_are(site, &NAMES);
    let nothing = site.run(["bundle", "create"]).exits(64);
    assert!(nothing.err.contains("nothing is owed"), "{nothing:?}");
}

#[test]
fn an_answer_under_the_name_of_another_device_goes_to_neither() {
    let (site, answer) = answered();
    let files = answer.files();
    let (one, other) = (file_for(&files, &site, "dev-1"), file_for(&files, &site, "dev-3"));
    let taken = import(&site, &[answer.exchanged(&one.name, &other.name)]).exits(2);
    let told: Vec<&str> = taken.out.lines().filter(|line| line.contains("in quarantine")).collect();
    assert_eq!(told.len(), 2, "{}", taken.out);
    assert!(told.iter().all(|line| line.contains("its name belongs to") && line.contains("but inside it names")));
    settled_are(&site, &["dev-2", "dev-4"]);

    // Not even a person can place it where it does not belong, and where it does it is taken.
    let wrong = site.path("wrong.xml");
    fs::write(&wrong, &one.bytes).unwrap();
    let wrong = wrong.to_str().unwrap();
    let refused = site.run(["ack", "assign", wrong, "dev-3", "--note", "it has its name"]).exits(64);
    assert!(refused.err.contains("the answer names") && refused.err.contains("'dev-3' is"), "{refused:?}");
    site.run(["ack", "assign", wrong, "dev-1", "--note", "its serial number is inside"]).exits(0);
    settled_are(&site, &["dev-1", "dev-2", "dev-4"]);
    import(&site, &[answer]).exits(0);
    settled_are(&site, &NAMES);
}

#[test]
fn an_answer_imported_twice_is_installed_once() {
    let (site, answer) = answered();
    import(&site, std::slice::from_ref(&answer)).exits(0);
    settled_are(&site, &NAMES);
    for again in [vec![answer.clone()], answer.archives(), answer.files()] {
        let told = import(&site, &again).exits(0).out;
        assert!(told.lines().count() == 4 && told.lines().all(|line| line.contains("the same bytes came before")));
    }
    settled_are(&site, &NAMES);
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    let by_id = |status: &AnswerStatus| *status == AnswerStatus::Confirmed(Confirmation::ById);
    assert!(fleet.answers.len() == 4 && fleet.answers.values().all(|answer| by_id(&answer.status)));
}

#[test]
fn other_answers_to_the_same_reports_are_confirmed_without_a_second_import() {
    let site = collected();
    let bundle = site.bundle();
    let mut portal = portal_of(&site).answers_twice();
    let first = carry(&site, &mut portal, &bundle, Form::Archives);
    site.advance(3600);
    let second = carry(&site, &mut portal, &bundle, Form::Singles);
    assert!(second.iter().all(|file| !first[0].files().contains(file)), "each is of its own time");
    import(&site, &first).exits(0);
    let told = import(&site, &second).exits(0).out;
    assert_eq!(told.lines().filter(|line| line.contains("acknowledged")).count(), 4, "{told}");
    settled_are(&site, &NAMES);
}

#[test]
fn an_answer_renamed_by_hand_is_known_by_what_is_inside() {
    let (site, answer) = answered();
    let files = answer.files();
    let renamed = [
        answer.archives()[0].renamed("licence answers (1).tar.gz"),
        file_for(&files, &site, "dev-1").renamed("core switch.XML"),
        file_for(&files, &site, "dev-2").renamed(&file_for(&files, &site, "dev-2").name.replace("ACK_", "ack-")),
        file_for(&files, &site, "dev-3").renamed("-rf"),
        file_for(&files, &site, "dev-4").renamed("ACK_UD_SA_x.tar.gz"),
    ];
    let mut command = site.command(["ack", "import", "--"]);
    let ran = crate::support::site::ran(command.args(site.download(&renamed))).exits(0);
    assert_eq!(ran.out.lines().filter(|line| line.contains("the same bytes came before")).count(), 2, "{}", ran.out);
    settled_are(&site, &NAMES);
}

/// Where a portal's answer tells no serial number, its name does; where a person took the name, a person must say.
#[test]
fn an_answer_that_names_nobody_waits_for_a_person_once_it_lost_its_name() {
    let (site, answer) = answered();
    let file = file_for(&answer.files(), &site, "dev-1").clone();
    let text = String::from_utf8(file.bytes.clone()).unwrap();
    let (head, rest) = text.split_once("<![CDATA[").unwrap();
    let (_, tail) = rest.split_once("]]></data>").unwrap();
    let opaque = Answer { bytes: format!("{head}<![CDATA[[{{\"a\":1}}]]]></data>{tail}").into_bytes(), ..file };
    let lost = import(&site, &[opaque.renamed("answer.xml")]).exits(3);
    assert!(lost.out.contains("in quarantine: neither its content nor its name tells"), "{lost:?}");
    settled_are(&site, &[]);
    assert_eq!(sent(&site, "dev-1"), 0);
    // The device alone can tell that the signature is not the portal's.
    let told = site.run(["ack", "assign", "answer.xml", "dev-1", "--note", "it was on its stick"]);
    assert!(told.code != 0 && told.out.contains("not delivered"), "{told:?}");
    let owed: Vec<Value> = site.run(["report", "list", "--device", "dev-1", "--format", "json"]).exits(0).json();
    assert_eq!(owed.len(), unacknowledged(&site, "dev-1").len());
    let ledger = site.ledger();
    assert_eq!(ledger.fleet().answers.len(), 1);
    drop(ledger);
    import(&site, &[answer]).exits(0);
    assert!(NAMES.iter().all(|name| unacknowledged(&site, name).is_empty()));
}

#[test]
fn a_bundle_uploaded_twice_is_refused_by_the_portal_and_answered_once() {
    let site = collected();
    let bundle = site.bundle();
    let mut portal = portal_of(&site);
    let answers = carry(&site, &mut portal, &bundle, Form::Archives);
    let again = site.bundle();
    let shown: Vec<Value> = site.run(["bundle", "list", "--format", "json"]).exits(0).json();
    assert_eq!(shown[1]["previous_bundle_id"], shown[0]["bundle_id"], "{shown:?}");
    let upload = |portal: &mut Portal, bundle: &PathBuf| {
        let archive =
            super::portal::children(bundle).into_iter().find(|path| path.extension().is_some_and(|x| x == "gz"));
        let archive = archive.unwrap();
        let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
        portal.upload(site.fleet.clock().now(), &name, &fs::read(archive).unwrap())
    };
    for bundle in [&bundle, &again] {
        let refused = upload(&mut portal, bundle).unwrap_err();
        assert!(refused.reason.starts_with("duplicate report"), "{refused}");
    }
    // A portal that answers the second one as well does no harm either.
    site.advance(3600);
    let second = upload(&mut portal.answers_twice(), &again).unwrap();
    import(&site, &answers).exits(0);
    settled_are(&site, &NAMES);
    import(&site, &[second]).exits(0);
    settled_are(&site, &NAMES);
    let shown: Vec<Value> = site.run(["bundle", "list", "--format", "json"]).exits(0).json();
    assert!(shown.len() == 2 && shown.iter().all(|bundle| bundle["answered"].is_string()), "{shown:?}");
}

#[test]
fn an_answer_to_a_bundle_never_made_settles_nothing() {
    let (site, _) = answered();
    // Somebody else's device.
    let mut stranger = Device::new(std::sync::Arc::new(specs::switch("stranger")), 1_700_000_000);
    stranger.apply(1_700_086_400, lab::Operation::Close);
    let foreign = Portal::new().invent(1_700_086_400, "ACK_UD.txt", &[(stranger.udi().clone(), 7)]);
    let told = import(&site, &[foreign]).exits(3);
    assert!(told.out.contains("in quarantine: it is for") && told.out.contains("no instance known here"), "{told:?}");
    settled_are(&site, &[]);

    // One of ours, and reports that it never made.
    let udi = site.device("dev-1").spec().members[0].udi.clone();
    let before = unacknowledged(&site, "dev-1");
    let invented = Portal::new().invent(
        site.fleet.clock().now(),
        "ACK_dev_x_y.txt",
        &[(udi, 7), (site.device("dev-1").state().udi, 8)],
    );
    let told = import(&site, &[invented]);
    assert!(told.out.contains("reports that never came here: 7 8"), "{told:?}");
    assert_eq!(unacknowledged(&site, "dev-1"), before);
    settled_are(&site, &[]);
    site.run(["poll", "--all"]).exits(0);
    settled_are(&site, &[]);
    let folder = site.bundle();
    let answers = carry(&site, &mut portal_of(&site), &folder, Form::Singles);
    assert_eq!(answers.len(), 4, "everything is still owed");
    import(&site, &answers).exits(0);
    assert!(NAMES.iter().all(|name| unacknowledged(&site, name).is_empty()));
}

#[test]
fn an_answer_cut_at_every_fiftieth_is_not_taken_in_any_form() {
    let (site, answer) = answered();
    let packed = [
        answer.clone(),
        Answer::packed("answers.tar.gz", &answer.files()),
        Answer::zipped("answers.zip", std::slice::from_ref(&answer)),
        Answer::zipped("files.zip", &answer.files()),
    ];
    let forms: Vec<Answer> = packed.into_iter().chain(answer.archives()).chain(answer.files()).collect();
    assert_eq!(forms.len(), 4 + 2 + 4);
    let mut files = Vec::new();
    for (number, form) in forms.iter().enumerate() {
        for fiftieths in 0..50 {
            let folder = site.path(&format!("cut/{number}/{fiftieths}"));
            fs::create_dir_all(&folder).unwrap();
            files.push(folder.join(&form.name));
            fs::write(files.last().unwrap(), form.cut(fiftieths).bytes).unwrap();
        }
    }
    let told = site.import(&files, &[]).exits(1);
    let reasons: Vec<&str> = told.out.lines().collect();
    assert_eq!(reasons.len(), files.len(), "each is told once");
    assert!(reasons.iter().all(|line| line.contains(": not taken: ")), "{}", told.out);
    assert_eq!(site.ledger().fleet().answers.len(), 0);
    settled_are(&site, &[]);
    // Each of them whole is right; what is in it came with the first already.
    import(&site, &forms).exits(0);
    settled_are(&site, &NAMES);
}

#[test]
fn a_device_left_out_of_an_answer_still_owes() {
    let (site, answer) = answered();
    let out = file_for(&answer.files(), &site, "dev-2").name.clone();
    import(&site, &[answer.without(&out)]).exits(0);
    settled_are(&site, &["dev-1", "dev-3", "dev-4"]);
    ends_well(&site);
}

#[test]
fn a_report_left_out_of_an_answer_is_told_and_still_owed() {
    let site = collected();
    let device = site.device("dev-4");
    let kept_back = *unacknowledged(&site, "dev-4").first().unwrap();
    let mut portal = portal_of(&site);
    portal.withhold(device.spec().members[0].udi.clone(), kept_back);
    let answers = carry(&site, &mut portal, &site.bundle(), Form::Archives);
    let told = import(&site, &answers).exits(0).out;
    assert!(told.contains(&format!("it leaves reports unanswered that were sent along: {kept_back}")), "{told}");
    settled_are(&site, &["dev-1", "dev-2", "dev-3"]);
    assert_eq!(unacknowledged(&site, "dev-4"), BTreeSet::from([kept_back]));
}

#[test]
fn a_portal_that_answers_with_errors_settles_what_it_answers() {
    let site = collected();
    let udi = |name: &str| site.device(name).spec().members[0].udi.clone();
    let mut portal = portal_of(&site);
    portal.err(udi("dev-1"), Wrong::Sentence("The file could not be processed. Try again later.".to_owned()));
    portal.err(udi("dev-3"), Wrong::Status("LCS_ERROR_17".to_owned()));
    let bundle = site.bundle();
    let answers = carry(&site, &mut portal, &bundle, Form::Archives);
    site.advance(3600);

    // What a browser saved when its session was over.
    let page = import(&site, &[answers[0].sign_in_page()]).exits(1);
    assert!(page.out.contains("not taken"), "{page:?}");
    settled_are(&site, &[]);

    let told = import(&site, &answers).exits(2);
    let not_taken: BTreeMap<&str, &str> =
        told.out.lines().filter_map(|line| line.split_once(": not taken: ")).collect();
    assert_eq!(not_taken.len(), 2, "{}", told.out);
    settled_are(&site, &["dev-2", "dev-4"]);
    ends_well(&site);
}

/// What an answer changes is written once: a fleet's answers cost what they are many, not that times the fleet.
#[test]
fn an_answer_writes_no_record_of_another_device() {
    let udi = |number: u64| Udi::new("C9300-24T", format!("LAB{number:08}"));
    let none = Sha256::of(b"");
    let mut fleet = Fleet::default();
    let mut apply = |second: i64, fact: Value| {
        let at = Timestamp::from_second(1_790_000_000 + second).unwrap();
        let event: Event = serde_json::from_value(json!({ "at": at, "fact": fact })).unwrap();
        fleet.apply(&event).len()
    };
    for number in 0..50 {
        let facts = json!({ "device": format!("dev-{number}"), "site": "", "udi": udi(number), "uuid": null,
            "members": [], "os": "ios-xe", "software": null, "hostname": null });
        apply(0, json!({ "device-identified": facts }));
    }
    let report = |number: u64| json!({ "udi": udi(number), "report_id": number, "payload_sha256": none });
    let reports: Vec<Value> = (0..50).map(report).collect();
    let facts = json!({ "bundle_id": "b", "nonce": "n", "site": null, "manifest_sha256": none, "name": "b",
        "uploads": [], "reports": reports, "previous_bundle_id": null });
    apply(1, json!({ "bundle-made": facts }));
    let mut written = Vec::new();
    for number in 0..50 {
        let object = Sha256::of(number.to_string().as_bytes());
        let facts = json!({ "object": object, "name": "a", "udi": udi(number), "parts": ["rum-ack"],
            "bundle_id": "b", "reports": [number], "assigned": null });
        written.push(apply(2 + i64::try_from(number).unwrap(), json!({ "answer-received": facts })));
    }
    assert!(written[0] >= 50, "the first proves for all that the bundle left: {written:?}");
    assert!(written[1..].iter().all(|records| *records <= 2), "{written:?}");
}
