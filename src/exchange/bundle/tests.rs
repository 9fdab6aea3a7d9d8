//! Bundles: written, verified, tampered with.

use std::io::Read;

use super::*;
use crate::exchange::archive::Limits;

fn signer() -> Signer {
    Signer::generate("collector-1", "2026-11-02T03:04:05Z".parse().unwrap()).unwrap()
}

/// The bytes of reports by their digest, as a ledger has them.
#[derive(Clone, Default)]
struct Kept(BTreeMap<Sha256, Vec<u8>>);

impl Kept {
    fn parcel(&mut self, id: u64, sn: &str, account: Option<(&str, &str)>) -> Parcel {
        let payload = format!(
            r#"{{"version":"2.0","asset_identification":{{"report_id":{id},"instance":{{"sudi":{{"udi_pid":"C9300-48T","udi_serial_number":"{sn}"}}}}}},"meta":{{"entitlement_tag":"regid.x","software_version":"17.12.04"}},"measurements":[{{"metric_name":"ENTITLEMENT","start_time":1790000000,"end_time":1790086400,"num_samples":97,"value":{{"type":"COUNT","value":"1"}}}}]}}"#
        );
        let payload = serde_json::to_string(&payload).unwrap();
        let raw =
            format!(r#"{{"payload":{payload},"header":{{"type":"rum"}},"signature":{{"signing_type":"builtin"}}}}"#);
        let payload_sha256 = read::report(&raw).unwrap().facts.payload_sha256;
        let object = Sha256::of(raw.as_bytes());
        self.0.insert(object, raw.into_bytes());
        Parcel {
            device: Some(DeviceName::from("edge-01 \u{1b}[31m../x")),
            account: Account {
                smart_account: account.map(|(smart, _)| smart.to_owned()).map(Into::into),
                virtual_account: account.map(|(_, of)| of.to_owned()).map(Into::into),
            },
            udi: Udi::new("C9300-48T", sn),
            sends_hostname: None,
            reports: vec![Wanted { report_id: ReportId(id), payload_sha256, object }],
        }
    }
}

fn input() -> (BundleInput, Kept) {
    let mut kept = Kept::default();
    let input = BundleInput {
        bundle_id: "0f3c7a52-invented".to_owned(),
        nonce: "n-1".to_owned(),
        created: "2026-11-02T03:04:05.678Z".parse().unwrap(),
        collector: "collector-1".to_owned(),
        site: Some(Site::from("dark 3/4")),
        parcels: vec![
            kept.parcel(2, "XXX00000001", Some(("example.com", "Branch"))),
            kept.parcel(1, "XXX00000001", Some(("example.com", "Branch"))),
            kept.parcel(7, "XXX00000002", Some(("example.com", "Campus"))),
            kept.parcel(9, "../..", Some(("other.example", "Default"))),
            kept.parcel(3, "XXX00000003", None),
            kept.parcel(3, "XXX00000003", None),
        ],
        previous_bundle_id: None,
    };
    (input, kept)
}

/// A bundle in a folder of its own.
struct Made {
    _parent: tempfile::TempDir,
    bundle: Bundle,
}

fn make_of(input: BundleInput, kept: &Kept, signer: &Signer, form: Form) -> Result<Made, BundleError> {
    let parent = tempfile::tempdir().unwrap();
    let mut fetch =
        |wanted: &Wanted| kept.0.get(&wanted.object).cloned().ok_or_else(|| "its bytes are gone".to_owned());
    let made = create(input, &mut fetch, signer, form, parent.path());
    let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().collect();
    assert_eq!(left.len(), usize::from(made.is_ok()), "nothing is left aside");
    made.map(|bundle| Made { _parent: parent, bundle })
}

fn make(signer: &Signer, form: Form) -> Made {
    let (input, kept) = input();
    make_of(input, &kept, signer, form).unwrap()
}

impl Made {
    fn open(&self) -> Result<Opened, BundleError> {
        open(&self.bundle.path, &Limits::own())
    }

    fn verify(&self) -> Result<Verified, BundleError> {
        self.open()?.verify(None)
    }

    fn paths(&self) -> Vec<String> {
        self.open().unwrap().paths().map(str::to_owned).collect()
    }

    fn read(&self, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.open().unwrap().reader(path).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Writes over a file of a folder.
    fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.bundle.path.join(path);
        let mut bytes = std::fs::read(&file).unwrap();
        change(&mut bytes);
        std::fs::write(file, bytes).unwrap();
    }

    fn contents_error(&self) -> String {
        let error = self.verify().unwrap_err();
        assert!(error.is_unverified() && matches!(error, BundleError::Contents { .. }), "{error}");
        error.to_string()
    }
}

#[test]
fn a_bundle_holds_what_the_contract_says() {
    let made = make(&signer(), Form::Folder);
    assert_eq!(made.bundle.name, "exchange-dark-3-4-20261102T030405Z-0f3c7a52");
    assert_eq!(
        made.paths(),
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
    let names: Vec<&str> = made.bundle.uploads.iter().map(|upload| upload.name.as_str()).collect();
    assert!(names.contains(&"dev_XXX00000001_26Nov02_03_04_05_678.txt"), "{names:?}");
    assert!(names.contains(&"UD_VA_26Nov02_03_04_05_680.tar.gz"), "{names:?}");

    let manifest = &made.bundle.manifest;
    assert_eq!(manifest.reports.len(), 5, "the same report twice is one");
    let text = String::from_utf8(made.read(MANIFEST)).unwrap();
    let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((lines("{\"udi\":"), lines("{\"path\":"), lines("\"nonce\":\"n-1\",")), (5, 8, 1), "{text}");
    let ids: Vec<u64> = manifest.reports.iter().map(|report| report.report_id.0).collect();
    assert_eq!(ids, [3, 1, 2, 7, 9], "in the order of accounts, instances and ids");
    assert_eq!(manifest.accounts.len(), 4);
    assert_eq!(manifest.members.len(), made.paths().len() - 2);
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
    let verified = made.verify().unwrap();
    assert_eq!(verified.manifest, *manifest);
    assert_eq!(verified.manifest_sha256, made.bundle.manifest_sha256);
    for path in made.paths() {
        let carries_names = path == "manifest.json";
        assert_eq!(made.read(&path).windows(7).any(|window| window == b"edge-01"), carries_names, "{path}");
    }
}

#[test]
fn the_same_reports_and_time_give_the_same_bytes() {
    let signer = signer();
    let first = make(&signer, Form::Folder);
    for form in [Form::Folder, Form::Tar] {
        let (mut other, kept) = input();
        other.parcels.reverse();
        other.nonce = "n-2".to_owned();
        let second = make_of(other, &kept, &signer, form).unwrap();
        assert_eq!(first.paths(), second.paths());
        for path in first.paths().iter().filter(|path| !path.starts_with("manifest")) {
            assert_eq!(first.read(path), second.read(path), "{path}");
        }
    }
}

#[test]
fn whatever_is_owed_in_whatever_order_it_is_the_same_bundle() {
    let signer = signer();
    let mut random = fastrand::Rng::with_seed(20_261_122);
    for round in 0..12 {
        let mut kept = Kept::default();
        let accounts = [
            None,
            Some(("a.example", "Branch")),
            Some(("a.example", "Campus")),
            Some(("b.example", "Branch")),
            Some(("b \u{1b}[2J \n", "\n")),
        ];
        let parcels: Vec<Parcel> = (0..random.usize(1..40))
            .map(|_| {
                let sn = random.usize(..12);
                kept.parcel(random.u64(1..9), &format!("XXX{sn:08}"), accounts[sn % accounts.len()])
            })
            .collect();
        let wanted = |parcel: &Parcel| (parcel.udi.clone(), parcel.reports[0].report_id);
        let expected: BTreeSet<_> = parcels.iter().map(wanted).collect();
        let input = BundleInput { parcels, ..self::input().0 };
        let mut other = input.clone();
        random.shuffle(&mut other.parcels);
        let first = make_of(input, &kept, &signer, Form::Folder).unwrap();
        let second = make_of(other, &kept, &signer, Form::Tar).unwrap();
        for made in [&first, &second] {
            let manifest = made.verify().unwrap().manifest;
            let got: Vec<_> = manifest.reports.iter().map(|report| (report.udi.clone(), report.report_id)).collect();
            assert_eq!((got.len(), &got.into_iter().collect()), (expected.len(), &expected), "round {round}");
        }
        assert_eq!(first.bundle.manifest, second.bundle.manifest);
        for path in first.paths().iter().filter(|path| *path != SIGNATURE) {
            assert_eq!(first.read(path), second.read(path), "round {round}: {path}");
        }
    }
}

#[test]
fn a_bundle_is_there_whole_or_not_at_all() {
    let signer = signer();
    let (input, kept) = input();
    let parent = tempfile::tempdir().unwrap();
    let mut fetch = |wanted: &Wanted| Ok(kept.0[&wanted.object].clone());
    let fingerprint = Some(signer.certificate().fingerprint);
    for (form, left) in [(Form::Folder, ""), (Form::Tar, ".tar")] {
        // What a run left that died while it wrote the same.
        let left = parent.path().join(format!(".exchange-dark-3-4-20261102T030405Z-0f3c7a52{left}.partial"));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("file"), b"x").unwrap();
        let bundle = create(input.clone(), &mut fetch, &signer, form, parent.path()).unwrap();
        assert!(!left.exists());
        open(&bundle.path, &Limits::own()).unwrap().verify(fingerprint).unwrap();
        let again = create(input.clone(), &mut fetch, &signer, form, parent.path());
        assert!(matches!(again, Err(BundleError::AlreadyThere { .. })));
    }
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
    for name in [".exchange-a.partial", ".exchange-b.tar.partial", ".other.partial"] {
        std::fs::write(parent.path().join(name), b"x").unwrap();
    }
    sweep(parent.path()).unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 3);
}

#[test]
fn every_change_is_noticed_and_named() {
    let signer = signer();
    let single = "single/C9300-48T_XXX00000002_26Nov02_03_04_05_678.txt";

    let made = make(&signer, Form::Folder);
    made.change(single, |bytes| bytes.push(b'\n'));
    assert!(made.contents_error().contains("bytes in"));

    let made = make(&signer, Form::Folder);
    std::fs::remove_file(made.bundle.path.join(single)).unwrap();
    std::fs::write(made.bundle.path.join("single/more.txt"), b"").unwrap();
    let error = made.contents_error();
    assert!(error.contains(&format!("{single:?} is missing")), "{error}");
    assert!(error.contains("\"single/more.txt\" is not in the manifest"), "{error}");

    let other = self::signer();
    let made = make(&signer, Form::Folder);
    std::fs::write(made.bundle.path.join(SIGNATURE), other.sign(&made.read(MANIFEST))).unwrap();
    std::fs::write(made.bundle.path.join(SIGNER), &other.certificate().pem).unwrap();
    let error = made.contents_error();
    assert!(error.contains("signer.pem"), "the certificate is a member too: {error}");
    let stranger = Some(other.certificate().fingerprint);
    let made = make(&signer, Form::Folder);
    assert!(matches!(made.open().unwrap().verify(stranger), Err(BundleError::Signer { .. })));
    std::fs::remove_file(made.bundle.path.join(SIGNER)).unwrap();
    assert!(matches!(made.verify(), Err(BundleError::NotABundle { missing: "signer.pem" })));
    std::os::unix::fs::symlink("/etc/hostname", made.bundle.path.join("single/link")).unwrap();
    assert!(matches!(made.verify(), Err(BundleError::NotAFile { .. })));
}

/// Flips one bit, and puts it back.
fn flipped(file: &std::path::Path, at: u64, bit: u8, look: impl FnOnce()) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
    look();
    file.write_all_at(&byte, at).unwrap();
}

#[test]
fn one_changed_byte_anywhere_is_found_with_the_name_of_the_file() {
    let made = make(&signer(), Form::Folder);
    let mut random = fastrand::Rng::with_seed(5);
    for path in made.paths() {
        let file = made.bundle.path.join(&path);
        let size = std::fs::metadata(&file).unwrap().len();
        let step = (size / 150).max(1);
        for at in (0..size).step_by(step as usize).chain([size - 1]) {
            flipped(&file, at, random.u8(..8), || {
                let error = made.verify().expect_err(&format!("{path} at {at}"));
                assert!(error.is_unverified() && error.to_string().contains(&path), "{path} at {at}: {error}");
            });
        }
    }
    made.verify().unwrap();
}

#[test]
fn one_changed_byte_anywhere_in_the_tar_is_found() {
    let made = make(&signer(), Form::Tar);
    let file = &made.bundle.path;
    let mut random = fastrand::Rng::with_seed(6);
    // Where the content of each file is, by its own bytes.
    let whole = std::fs::read(file).unwrap();
    let find = |bytes: &[u8]| whole.windows(bytes.len()).position(|window| window == bytes).unwrap() as u64;
    let contents: Vec<(String, std::ops::Range<u64>)> = made
        .paths()
        .into_iter()
        .map(|path| {
            let bytes = made.read(&path);
            let begin = find(&bytes);
            (path, begin..begin + bytes.len() as u64)
        })
        .collect();
    for at in 0..whole.len() as u64 {
        let inside = contents.iter().find(|(_, range)| range.contains(&at));
        // Each byte of headers and padding, and some of the content.
        if inside.is_some() && at % 61 != 0 {
            continue;
        }
        flipped(file, at, random.u8(..8), || {
            let error = made.verify().expect_err(&format!("at {at}"));
            assert!(error.is_unverified(), "at {at}: {error}");
            let named = inside.is_none_or(|(path, _)| error.to_string().contains(path.as_str()));
            assert!(named, "at {at}, {inside:?}: {error}");
        });
    }
    made.verify().unwrap();
    let length = whole.len();
    for part in 0..50 {
        std::fs::write(file, &whole[..length * part / 50]).unwrap();
        assert!(made.verify().unwrap_err().is_unverified(), "cut at {part}/50");
    }
    std::fs::write(file, [whole.as_slice(), &[0; 512]].concat()).unwrap();
    assert!(made.verify().unwrap_err().is_unverified(), "zeros behind it");
}

#[test]
fn a_signed_manifest_that_does_not_fit_its_reports_is_noticed() {
    let signer = signer();
    let made = make(&signer, Form::Folder);
    let forge = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = made.bundle.manifest.clone();
        change(&mut manifest);
        let bytes = manifest.to_bytes();
        std::fs::write(made.bundle.path.join(SIGNATURE), signer.sign(&bytes)).unwrap();
        std::fs::write(made.bundle.path.join(MANIFEST), bytes).unwrap();
        made.contents_error()
    };
    assert!(forge(&|manifest| drop(manifest.reports.pop())).contains("unannounced"));
    let more = forge(&|manifest| {
        let mut report = manifest.reports[0].clone();
        report.report_id = ReportId(77);
        manifest.reports.push(report);
    });
    assert!(more.contains("report 77 of PID:C9300-48T,SN:XXX00000003") && more.contains("not in the files"), "{more}");
}

#[test]
fn bytes_that_are_not_the_kept_report_do_not_leave() {
    let signer = signer();
    let (mut wrong, mut kept) = input();
    wrong.parcels[0].reports[0].payload_sha256 = Sha256::ZERO;
    kept.0.remove(&wrong.parcels[1].reports[0].object);
    kept.0.insert(wrong.parcels[2].reports[0].object, b"{}".to_vec());
    wrong.parcels[3].udi = Udi::new("C9300-48T", "ANOTHER");
    let made = make_of(wrong.clone(), &kept, &signer, Form::Folder).unwrap();
    assert_eq!(made.bundle.manifest.reports.len(), 1, "the others are not held up");
    let causes: Vec<&str> = made.bundle.left_out.iter().map(|left| left.cause.as_str()).collect();
    assert!(causes[0].contains("its bytes are gone"), "{causes:?}");
    assert!(causes[1].contains("expected a payload with SHA-256 0000"), "{causes:?}");
    assert!(causes[2].contains("expected a report object"), "{causes:?}");
    assert!(causes[3].contains("it is report 9 of"), "{causes:?}");
    made.verify().unwrap();

    wrong.parcels.truncate(4);
    let refused = make_of(wrong.clone(), &kept, &signer, Form::Tar);
    assert!(matches!(refused, Err(BundleError::Empty { left_out: 4 })));
    wrong.parcels.clear();
    let refused = make_of(wrong, &kept, &signer, Form::Folder);
    assert!(matches!(refused, Err(BundleError::Empty { left_out: 0 })));
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
