//! Bundles: composed, written, verified, tampered with.

use super::*;
use crate::exchange::archive::Limits;

fn signer() -> Signer {
    Signer::generate("collector-1", "2026-11-02T03:04:05Z".parse().unwrap()).unwrap()
}

fn report(id: u64, sn: &str, account: Option<(&str, &str)>) -> BundleReport {
    let payload = format!(
        r#"{{"version":"2.0","asset_identification":{{"report_id":{id},"instance":{{"sudi":{{"udi_pid":"C9300-48T","udi_serial_number":"{sn}"}}}}}},"meta":{{"entitlement_tag":"regid.x","software_version":"17.12.04"}},"measurements":[{{"metric_name":"ENTITLEMENT","start_time":1790000000,"end_time":1790086400,"num_samples":97,"value":{{"type":"COUNT","value":"1"}}}}]}}"#
    );
    let payload = serde_json::to_string(&payload).unwrap();
    let raw = format!(r#"{{"payload":{payload},"header":{{"type":"rum"}},"signature":{{"signing_type":"builtin"}}}}"#);
    BundleReport {
        device: Some(DeviceName::from("edge-01 \u{1b}[31m../x")),
        account: Account {
            smart_account: account.map(|(smart, _)| smart.to_owned()),
            virtual_account: account.map(|(_, of)| of.to_owned()),
        },
        facts: read::report(&raw).unwrap().facts,
        raw: raw.into_bytes(),
    }
}

fn input() -> BundleInput {
    BundleInput {
        bundle_id: "0f3c7a52-invented".to_owned(),
        nonce: "n-1".to_owned(),
        created: "2026-11-02T03:04:05.678Z".parse().unwrap(),
        collector: "collector-1".to_owned(),
        site: Some(Site("dark 3/4".to_owned())),
        reports: vec![
            report(2, "XXX00000001", Some(("example.com", "Branch"))),
            report(1, "XXX00000001", Some(("example.com", "Branch"))),
            report(7, "XXX00000002", Some(("example.com", "Campus"))),
            report(9, "../..", Some(("other.example", "Default"))),
            report(3, "XXX00000003", None),
            report(3, "XXX00000003", None),
        ],
        previous_bundle_id: None,
    }
}

fn opened(bundle: &Bundle) -> Opened {
    Opened { files: bundle.files.iter().cloned().collect() }
}

fn contents_error(opened: &Opened) -> String {
    let error = opened.verify(None).unwrap_err();
    assert!(error.is_unverified(), "{error}");
    error.to_string()
}

#[test]
fn a_bundle_holds_what_the_contract_says() {
    let bundle = compose(&input(), &signer()).unwrap();
    assert_eq!(bundle.name, "exchange-dark-3-4-20261102T030405Z-0f3c7a52");
    let mut paths: Vec<&str> = bundle.files.iter().map(|(path, _)| path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "READ-ME.txt",
            "UD_SA_26Nov02_03_04_05_678.tar.gz",
            "UD_SA_26Nov02_03_04_05_679.tar.gz",
            "manifest.json",
            "manifest.sig",
            "signer.pem",
            "single/C9300-48T_XXX00000001_26Nov02_03_04_05_678.txt",
            "single/C9300-48T_XXX00000002_26Nov02_03_04_05_678.txt",
            "single/C9300-48T_unnamed_26Nov02_03_04_05_678.txt",
            "unassigned/C9300-48T_XXX00000003_26Nov02_03_04_05_678.txt",
        ]
    );
    let names: Vec<&str> = bundle.uploads.iter().map(|upload| upload.name.as_str()).collect();
    assert!(names.contains(&"dev_XXX00000001_26Nov02_03_04_05_678.txt"), "{names:?}");
    assert!(names.contains(&"UD_VA_26Nov02_03_04_05_680.tar.gz"), "{names:?}");

    let manifest = &bundle.manifest;
    assert_eq!(manifest.reports.len(), 5, "the same report twice is one");
    assert_eq!(manifest.accounts.len(), 4);
    assert_eq!(manifest.members.len(), bundle.files.len() - 2);
    assert_eq!(
        manifest.contains,
        [
            "product-ids-and-serial-numbers",
            "licence-names-and-counts",
            "times-of-use",
            "software-versions",
            "account-names",
            "device-names-in-manifest-only",
        ]
    );
    let verified = opened(&bundle).verify(None).unwrap();
    assert_eq!(verified.manifest, *manifest);
    assert_eq!(verified.manifest_sha256, bundle.manifest_sha256);
    for (path, bytes) in &bundle.files {
        let carries_names = path == "manifest.json";
        assert_eq!(bytes.windows(7).any(|window| window == b"edge-01"), carries_names, "{path}");
    }
}

#[test]
fn the_same_reports_and_time_give_the_same_bytes() {
    let signer = signer();
    let first = compose(&input(), &signer).unwrap();
    let mut other = input();
    other.reports.reverse();
    other.nonce = "n-2".to_owned();
    let second = compose(&other, &signer).unwrap();
    for ((path, bytes), (other_path, other_bytes)) in first.files.iter().zip(&second.files) {
        assert_eq!(path, other_path);
        if !path.starts_with("manifest") {
            assert_eq!(bytes, other_bytes, "{path}");
        }
    }
}

#[test]
fn a_folder_and_a_tar_are_read_back() {
    let signer = signer();
    let bundle = compose(&input(), &signer).unwrap();
    let parent = tempfile::tempdir().unwrap();
    std::fs::create_dir(parent.path().join(format!(".{}.partial", bundle.name))).unwrap();
    let fingerprint = Some(signer.certificate().fingerprint);
    let folder = write_folder(&bundle, parent.path()).unwrap();
    let tar = write_tar(&bundle, parent.path()).unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
    for path in [&folder, &tar] {
        let opened = open(path, &Limits::own()).unwrap();
        assert_eq!(opened.files.len(), bundle.files.len());
        opened.verify(fingerprint).unwrap();
    }
    assert!(matches!(write_folder(&bundle, parent.path()), Err(BundleError::AlreadyThere { .. })));
    assert!(matches!(write_tar(&bundle, parent.path()), Err(BundleError::AlreadyThere { .. })));

    std::os::unix::fs::symlink("/etc/hostname", folder.join("single/link")).unwrap();
    assert!(matches!(open(&folder, &Limits::own()), Err(BundleError::NotAFile { .. })));
}

#[test]
fn every_change_is_noticed_and_named() {
    let bundle = compose(&input(), &signer()).unwrap();
    let single = "single/C9300-48T_XXX00000002_26Nov02_03_04_05_678.txt";

    let mut changed = opened(&bundle);
    changed.files.get_mut(single).unwrap()[40] ^= 1;
    assert!(contents_error(&changed).contains("expected SHA-256"));

    let mut changed = opened(&bundle);
    changed.files.get_mut(single).unwrap().push(b'\n');
    assert!(contents_error(&changed).contains("bytes in"));

    let mut changed = opened(&bundle);
    changed.files.remove(single);
    changed.files.insert("single/more.txt".to_owned(), Vec::new());
    let error = contents_error(&changed);
    assert!(error.contains(&format!("{single:?} is missing")), "{error}");
    assert!(error.contains("\"single/more.txt\" is not in the manifest"), "{error}");

    for name in ["manifest.json", "manifest.sig"] {
        let mut changed = opened(&bundle);
        changed.files.get_mut(name).unwrap()[20] ^= 1;
        let error = changed.verify(None).unwrap_err();
        assert!(matches!(error, BundleError::Seal(SealError::Signature { .. })), "{error}");
    }
    let other = signer();
    let mut resigned = opened(&bundle);
    let signature = other.sign(&resigned.files["manifest.json"]);
    resigned.files.insert("manifest.sig".to_owned(), signature);
    resigned.files.insert("signer.pem".to_owned(), other.certificate().pem.clone());
    let error = resigned.verify(None).unwrap_err().to_string();
    assert!(error.contains("signer.pem"), "the certificate is a member too: {error}");
    let mut missing = opened(&bundle);
    missing.files.remove("signer.pem");
    assert!(matches!(missing.verify(None), Err(BundleError::NotABundle { missing: "signer.pem" })));
    let stranger = Some(other.certificate().fingerprint);
    assert!(matches!(opened(&bundle).verify(stranger), Err(BundleError::Signer { .. })));
}

#[test]
fn a_signed_manifest_that_does_not_fit_its_reports_is_noticed() {
    let signer = signer();
    let bundle = compose(&input(), &signer).unwrap();
    let mut forged = opened(&bundle);
    let mut manifest = bundle.manifest.clone();
    manifest.reports.pop();
    let bytes = manifest.to_bytes();
    forged.files.insert(SIGNATURE.to_owned(), signer.sign(&bytes));
    forged.files.insert(MANIFEST.to_owned(), bytes);
    assert!(contents_error(&forged).contains("unannounced"));
}

#[test]
fn bytes_that_are_not_the_kept_report_do_not_leave() {
    let mut wrong = input();
    wrong.reports[0].facts.payload_sha256 = Sha256::ZERO;
    wrong.reports[1].raw = b"{}".to_vec();
    let bundle = compose(&wrong, &signer()).unwrap();
    assert_eq!(bundle.manifest.reports.len(), 3, "the others are not held up");
    assert_eq!(bundle.left_out.len(), 2);
    assert!(bundle.left_out[0].cause.contains("expected a payload with SHA-256 0000"), "{:?}", bundle.left_out);
    opened(&bundle).verify(None).unwrap();

    wrong.reports.truncate(2);
    assert!(matches!(compose(&wrong, &signer()), Err(BundleError::Empty { left_out: 2 })));
    wrong.reports.clear();
    assert!(matches!(compose(&wrong, &signer()), Err(BundleError::Empty { left_out: 0 })));
}

#[test]
fn names_are_safe_and_single() {
    assert_eq!(safe("../..\u{1b}/a b"), "a-b".to_owned());
    assert_eq!(safe(""), "unnamed");
    assert_eq!(safe(&"x".repeat(99)).len(), 40);
    let mut names = Names::new("2026-11-02T03:04:05Z".parse().unwrap());
    let (one, other) = (Udi::new("P", "A/1"), Udi::new("P", "A:1"));
    assert_eq!(names.single(&one), "P_A-1_26Nov02_03_04_05_000.txt");
    assert_eq!(names.single(&other), "P_A-1-2_26Nov02_03_04_05_000.txt");
    assert_eq!(names.device(&Udi::new("P", "A_1")).split('_').nth(1), Some("A-1"));
}
