use std::sync::Arc;

use super::*;
use crate::device::Device;
use crate::operation::{Fetched, Operation, Reply};
use crate::saved::rum_report;
use crate::specs;
use crate::xml;

const T0: i64 = 1_767_225_600;
const SA: &str = "UD_SA_1.tar.gz";
const MANIFEST: &str = "Manifest-Version: 1.0\nCreated-By: \"{\\\"uuid\\\": \\\"x\\\"}\"\nSmart-Account: Example Works\n\
                        Smart-Account-ID: 7\n\nName: /UD_VA_1.tar.gz\nSpecification-VA: Default\nSpecification-VA-ID: 8\n\n";

fn reports(name: &str) -> Vec<Fetched> {
    let mut device = Device::new(Arc::new(specs::switch(name)), T0);
    device.apply(T0 + 86_400, Operation::Close);
    device.apply(T0 + 86_400, Operation::AllReports).into_reports()
}

fn file(reports: &[Fetched]) -> Vec<u8> {
    let reports: String = reports.iter().map(|report| rum_report(&report.json)).collect();
    format!("<smartLicense>{reports}</smartLicense>").into_bytes()
}

fn named(name: &str, bytes: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.to_string(), bytes.into())
}

fn bundle(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    archive::write(&[named("manifest.mf", MANIFEST), named("UD_VA_1.tar.gz", archive::write(files))])
}

fn refusal(portal: &mut Portal, name: &str, bytes: &[u8]) -> String {
    portal.upload(T0, name, bytes).unwrap_err().to_string()
}

#[test]
fn a_bundle_is_answered_level_by_level() {
    let (one, two) = (reports("s-1"), reports("s-2"));
    let bytes = bundle(&[named("dev_1.txt", file(&one)), named("dev_2.txt", file(&two))]);
    let mut portal = Portal::new();
    let answer = portal.upload(T0, SA, &bytes).unwrap();
    assert_eq!(answer.name, "ACK_UD_SA_1.tar.gz");
    let outer = archive::read("", &answer.bytes).unwrap();
    assert_eq!(outer.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ACK_UD_VA_1.tar.gz"]);
    let inner = archive::read("", &outer[0].1).unwrap();
    assert_eq!(inner.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ACK_dev_1.txt", "ACK_dev_2.txt"]);
    let text = std::str::from_utf8(&inner[1].1).unwrap();
    let root = xml::read(text).unwrap();
    let data = root.text_at(&["smartLicenseRumAck", "data"]).unwrap();
    assert!(data.contains(&two[0].report_id.to_string()));
    assert!(text.contains("}]]]></data>"), "{text}");
    let account = root.text_at(&["smartLicenseAccountInfo", "customerInfo", "virtualAccount"]);
    assert_eq!(account, Some("Default"), "the manifest names the account");
    assert!(root.child("correlationID").is_some());

    let again = Portal::new().upload(T0, SA, &bytes).unwrap();
    assert_eq!(again, answer, "the same upload makes the same answer");
}

#[test]
fn a_duplicate_is_refused_and_named() {
    let one = reports("s-1");
    let mut portal = Portal::new();
    portal.upload(T0, "dev_1.txt", &file(&one)).unwrap();
    let reason = refusal(&mut portal, SA, &bundle(&[named("dev_9.txt", file(&one[..1]))]));
    assert!(reason.starts_with("UD_SA_1.tar.gz/UD_VA_1.tar.gz/dev_9.txt: duplicate report "), "{reason}");
    let twice = bundle(&[named("a.txt", file(&reports("s-3"))), named("b.txt", file(&reports("s-3")))]);
    let reason = refusal(&mut portal, SA, &twice);
    assert!(reason.contains("b.txt: duplicate report") && reason.contains("also in"), "{reason}");
}

#[test]
fn a_refused_upload_books_nothing() {
    let good = reports("s-1");
    let mut bad = reports("s-2");
    bad[1].json = bad[1].json.replace("\\\"COUNT\\\",\\\"value\\\":\\\"1\\\"", "\\\"COUNT\\\",\\\"value\\\":\\\"0\\\"");
    let mut portal = Portal::new();
    let reason = refusal(&mut portal, SA, &bundle(&[named("a.txt", file(&good)), named("b.txt", file(&bad))]));
    assert!(reason.contains("b.txt") && reason.contains("altered"), "{reason}");
    assert!(portal.acknowledged.is_empty());
    portal.upload(T0, SA, &bundle(&[named("a.txt", file(&good))])).unwrap();
    let udi = Device::new(Arc::new(specs::switch("s-1")), T0).udi().clone();
    assert_eq!(portal.acknowledged(&udi).len(), 2);
}

#[test]
fn rewritten_json_around_the_payload_is_taken() {
    let one = reports("s-1");
    let value: serde_json::Value = serde_json::from_str(&one[0].json).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let text = format!("<RUMReport>\n<![CDATA[{pretty}]]>\n</RUMReport>");
    Portal::new().upload(T0, "report.xml", text.as_bytes()).unwrap();
}

#[test]
fn structure_is_strict() {
    let one = file(&reports("s-1"));
    let good = || named("UD_VA_1.tar.gz", archive::write(&[named("dev_1.txt", one.clone())]));
    let manifest = |text: &str| named("manifest.mf", text);
    let mixed: Vec<Fetched> = reports("s-1").into_iter().chain(reports("s-2")).collect();
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("UD_XX.tar.gz", bundle(&[named("a.txt", one.clone())]), "named UD_SA_"),
        (SA, archive::write(&[]), "is empty"),
        (SA, archive::write(&[good(), manifest(MANIFEST)]), "must come first"),
        (SA, archive::write(&[manifest(MANIFEST)]), "no UD_VA_"),
        (SA, archive::write(&[manifest(MANIFEST), good(), named("x.txt", "x")]), "names 1 archives, 2"),
        (SA, archive::write(&[manifest(MANIFEST), named("x.txt", "x")]), "belong here"),
        (SA, archive::write(&[manifest("Manifest-Version: 2.0\n"), good()]), "Manifest-Version"),
        (SA, archive::write(&[manifest(&MANIFEST.replace("Created-By", "Made-By")), good()]), "Created-By is missing"),
        (SA, bundle(&[]), "is empty"),
        (SA, bundle(&[named("a.txt", file(&mixed))]), "holds reports of"),
        ("a.txt", b"<smartLicense></smartLicense>".to_vec(), "no report"),
        ("a.txt", b"<smartLicense><other/></smartLicense>".to_vec(), "does not belong"),
        (SA, vec![0x1f, 0x8b, 8, 0], "no tar.gz"),
    ];
    for (name, bytes, expected) in cases {
        let reason = refusal(&mut Portal::new(), name, &bytes);
        assert!(reason.contains(expected), "{reason} should say {expected}");
    }
}

#[test]
fn archives_with_paths_links_or_doubles_are_refused() {
    let make = |fill: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &builder.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    };
    let member = |builder: &mut tar::Builder<Vec<u8>>, name: &str, kind| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
    };
    for (names, kind, expected) in [
        (vec!["../x"], tar::EntryType::Regular, "no plain name"),
        (vec!["/x"], tar::EntryType::Regular, "no plain name"),
        (vec!["x"], tar::EntryType::Symlink, "no plain file"),
        (vec!["x", "x"], tar::EntryType::Regular, "twice"),
    ] {
        let bytes = make(&|builder| names.iter().for_each(|name| member(builder, name, kind)));
        let reason = refusal(&mut Portal::new(), SA, &bytes);
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_withheld_report_is_missing_from_the_answer() {
    let mut device = Device::new(Arc::new(specs::switch("s-1")), T0);
    device.apply(T0 + 86_400, Operation::Close);
    let reports = device.apply(T0 + 86_400, Operation::AllReports).into_reports();
    let mut portal = Portal::new();
    portal.withhold(device.udi().clone(), reports[0].report_id);
    let answer = portal.upload(T0, "dev.txt", &file(&reports)).unwrap();
    let Reply::Imported(imported) = device.apply(T0, Operation::Import(answer.bytes)) else { panic!() };
    assert_eq!(imported.acknowledged, [reports[1].report_id]);
}

#[test]
fn reports_are_taken_under_their_own_account_alone() {
    let one = reports("s-1");
    let udi = Device::new(Arc::new(specs::switch("s-1")), T0).udi().clone();
    let own = Account::new("Example Works", "example.com", "Default");
    let other = Account::new("Example Works", "example.com", "Laboratory");
    let mut portal = Portal::new();
    portal.enrol(udi.clone(), other.clone());
    let reason = refusal(&mut portal, SA, &bundle(&[named("dev_1.txt", file(&one))]));
    assert!(reason.contains("belongs to Example Works/Laboratory, not to Example Works/Default"), "{reason}");
    assert!(portal.upload_under(T0, &own, "dev_1.txt", &file(&one)).is_err());
    let taken = portal.upload_under(T0, &other, "dev_1.txt", &file(&one[..1])).unwrap();
    assert!(std::str::from_utf8(&taken.bytes).unwrap().contains("<virtualAccount>Laboratory<"));

    // Whom nobody enrolled belongs where its first reports came.
    let mut portal = Portal::new();
    portal.upload_under(T0, &own, "dev_1.txt", &file(&one[..1])).unwrap();
    let refused = portal.upload_under(T0, &other, "dev_1.txt", &file(&one[1..])).unwrap_err();
    assert!(refused.reason.contains("belongs to Example Works/Default"), "{refused}");
    let elsewhere = Account::new("Example Islands", "islands.example.com", "Default");
    let refused = portal.upload_under(T0, &elsewhere, SA, &bundle(&[named("a.txt", file(&one[1..]))])).unwrap_err();
    assert!(refused.reason.contains("not of Example Islands"), "{refused}");
    let told: Vec<bool> = portal.given().iter().map(|given| given.refused.is_some()).collect();
    assert_eq!(told, [false, true, true], "everything given is kept");
    assert_eq!(portal.given()[1].bytes, file(&one[1..]));
}

#[test]
fn an_answer_may_be_an_error_for_one_device_and_nothing_of_it_is_booked() {
    let (one, two) = (reports("s-1"), reports("s-2"));
    let udi = |name: &str| Device::new(Arc::new(specs::switch(name)), T0).udi().clone();
    let bytes = bundle(&[named("dev_1.txt", file(&one)), named("dev_2.txt", file(&two))]);
    for wrong in [Wrong::Sentence("try again later".to_string()), Wrong::Status("a < b".to_string())] {
        let mut portal = Portal::new();
        portal.err(udi("s-1"), wrong.clone());
        let files = portal.upload(T0, SA, &bytes).unwrap().files();
        assert!(!String::from_utf8_lossy(&files[0].bytes).contains("RumAck"), "{wrong:?}");
        assert!(String::from_utf8_lossy(&files[1].bytes).contains("RumAck"), "{wrong:?}");
        assert!(portal.acknowledged(&udi("s-1")).is_empty() && portal.acknowledged(&udi("s-2")).len() == 2);
        portal.mend();
        portal.upload(T0, "dev_1.txt", &file(&one)).unwrap();
        assert_eq!(portal.acknowledged(&udi("s-1")).len(), 2);
    }
}

#[test]
fn a_portal_that_answers_twice_books_once() {
    let one = reports("s-1");
    let mut portal = Portal::new().answers_twice();
    let first = portal.upload(T0, "dev_1.txt", &file(&one)).unwrap();
    assert_eq!(portal.upload(T0, "dev_1.txt", &file(&one)).unwrap(), first);
    let again = reports("s-2");
    let twice = bundle(&[named("a.txt", file(&again)), named("b.txt", file(&again))]);
    assert!(refusal(&mut portal, SA, &twice).contains("also in"), "one upload may still not hold it twice");
}

#[test]
fn mishaps_change_what_they_say_and_nothing_else() {
    let bytes = bundle(&[named("dev_1.txt", file(&reports("s-1"))), named("dev_2.txt", file(&reports("s-2")))]);
    let answer = Portal::new().upload(T0, SA, &bytes).unwrap();
    let files = answer.files();
    let names = |answer: &Answer| answer.files().into_iter().map(|file| file.name).collect::<Vec<_>>();
    assert_eq!(names(&answer), ["ACK_dev_1.txt", "ACK_dev_2.txt"]);
    assert_eq!(answer.archives().len(), 1);
    assert_eq!(answer.archives()[0].files(), files);
    assert_eq!(names(&answer.without("ACK_dev_1.txt")), ["ACK_dev_2.txt"]);
    let exchanged = answer.exchanged("ACK_dev_1.txt", "ACK_dev_2.txt").files();
    assert_eq!((&exchanged[0].bytes, &exchanged[1].bytes), (&files[1].bytes, &files[0].bytes));
    assert_eq!(answer.cut(50), answer);
    assert!(answer.cut(49).files()[0] == answer.cut(49), "what is cut is no archive any more");
    assert_eq!(Answer::packed("all.tar.gz", &files).files(), files);
    assert_eq!((answer.renamed("x").name.as_str(), answer.renamed("x").bytes), ("x", answer.bytes.clone()));
    assert!(answer.sign_in_page().bytes.starts_with(b"<!DOCTYPE"));
}

#[test]
fn a_zip_is_one_to_others() {
    let folder = std::env::temp_dir().join(format!("slp-lab-zip-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let answers = [("ACK_a.txt", "one"), ("ACK_b.txt", "")]
        .map(|(name, text)| Answer { name: name.to_string(), bytes: text.as_bytes().to_vec() });
    std::fs::write(folder.join("all.zip"), Answer::zipped("all.zip", &answers).bytes).unwrap();
    // Where the system has a program that tests zips, it is content.
    if let Ok(told) = std::process::Command::new("unzip").args(["-tq", "all.zip"]).current_dir(&folder).output() {
        assert!(told.status.success(), "{told:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
    let bytes = Answer::zipped("all.zip", &answers).bytes;
    assert!(bytes.starts_with(b"PK\x03\x04") && bytes.windows(3).any(|window| window == b"one"));
}
