//! Out of the house and back: bundles, and the proof that others can check them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::instance::{Account, DeviceName, Site};
use slp_collector::domain::rum_file;
use slp_collector::exchange::archive::{self, Limits, flatten};
use slp_collector::exchange::bundle::{self, Bundle, BundleInput, Form, Parcel, Wanted};
use slp_collector::exchange::seal::Signer;
use slp_collector::inspect::{Completeness, inspect};

use crate::support::{captures, data, golden, peer};

fn created() -> Timestamp {
    "2026-11-02T03:04:05.678Z".parse().expect("a time")
}

/// A bundle of RUM files, written under `parent`.
fn of_files(files: &[Vec<u8>], signer: &Signer, form: Form, parent: &Path) -> Bundle {
    let account = Account { smart_account: Some("example.com".into()), virtual_account: Some("Branch".into()) };
    let mut kept = BTreeMap::new();
    let mut parcels = Vec::new();
    for report in files.iter().flat_map(|bytes| rum_file::read(bytes).expect("a RUM file").reports) {
        let object = Sha256::of(&report.raw);
        let (report_id, payload_sha256) = (report.facts.report_id, report.facts.payload_sha256);
        kept.insert(object, report.raw);
        parcels.push(Parcel {
            account: account.clone(),
            udi: report.facts.udi,
            device: Some(DeviceName::from("wlc-1")),
            sends_hostname: Some(true),
            reports: vec![Wanted { report_id, payload_sha256, object }],
        });
    }
    let input = BundleInput {
        bundle_id: "0f3c7a52-0000-4000-8000-000000000001".to_owned(),
        nonce: "invented".to_owned(),
        created: created(),
        collector: "collector-1".to_owned(),
        site: Some(Site::from("dark-3")),
        parcels,
        previous_bundle_id: Some("earlier".to_owned()),
    };
    let mut fetch = |wanted: &Wanted| kept.get(&wanted.object).cloned().ok_or_else(|| "gone".to_owned());
    bundle::create(input, &mut fetch, signer, form, parent).expect("a bundle")
}

/// A bundle of our own fixture in a folder, and the signer of it.
fn of_fixture() -> (Bundle, Signer, tempfile::TempDir) {
    let signer = Signer::generate("collector-1", created()).expect("a key");
    let fixture = fs::read(data("rum-saved-v2.xml")).expect("the fixture");
    let parent = tempfile::tempdir().expect("a folder");
    (of_files(&[fixture], &signer, Form::Folder, parent.path()), signer, parent)
}

fn archive_of(bundle: &Bundle) -> (String, Vec<u8>) {
    let name = bundle.manifest.members.iter().map(|member| &member.path).find(|path| path.starts_with("UD_SA_"));
    let name = name.expect("an archive").clone();
    let bytes = fs::read(bundle.path.join(&name)).expect("it is there");
    (name, bytes)
}

#[test]
fn a_real_report_comes_back_out_of_a_bundle_with_the_same_payload() {
    let Some(folder) = captures() else { return };
    let bytes = fs::read(folder.join("protocol/rum-file-c9800cl-17.9-example-rum-1671840750.xml")).expect("the file");
    let before = rum_file::read(&bytes).expect("a RUM file").reports.remove(0);

    let signer = Signer::generate("collector-1", created()).expect("a key");
    let parent = tempfile::tempdir().expect("a folder");
    let bundle = of_files(&[bytes], &signer, Form::Folder, parent.path());
    let opened = bundle::open(&bundle.path, &Limits::own()).expect("it is read");
    let verified = opened.verify(Some(signer.certificate().fingerprint)).expect("it verifies");
    assert_eq!(verified.manifest.reports[0].payload_sha256, before.facts.payload_sha256);

    let mut ways = 0;
    for path in opened.paths() {
        let bytes = fs::read(bundle.path.join(path)).expect("it is there");
        let texts = if path.starts_with("single/") {
            vec![bytes.clone()]
        } else if path.starts_with("UD_SA_") {
            let members = archive::open(path, &bytes, &Limits::default()).expect("an archive");
            let texts = flatten(&members).into_iter().filter(|(name, _)| name.ends_with(".txt"));
            texts.map(|(_, member)| member.bytes.clone()).collect()
        } else {
            continue;
        };
        for text in texts {
            let after = rum_file::read(&text).expect("a RUM file").reports.remove(0);
            assert_eq!(after.raw, before.raw, "{path}");
            assert_eq!(after.facts, before.facts, "{path}");
            ways += 1;
        }
    }
    assert_eq!(ways, 2, "once alone and once in the archive");
}

#[test]
fn openssl_alone_can_check_a_bundle() {
    let Some(_) = peer("openssl", &["version"]) else { return };
    let parent = tempfile::tempdir().expect("a folder");
    let keys = tempfile::tempdir().expect("a folder");
    let signer = Signer::open_or_create(keys.path(), "collector-1", created()).expect("a key");
    let fixture = fs::read(data("rum-saved-v2.xml")).expect("the fixture");
    let place = of_files(&[fixture], &signer, Form::Folder, parent.path()).path;
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(&place).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // The command of READ-ME.txt, word for word.
    let read_me = fs::read_to_string(place.join("READ-ME.txt")).expect("it is there");
    let command = read_me.lines().find(|line| line.contains("pkeyutl")).expect("it names the command").trim();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let (fine, text) = openssl(&words);
    assert!(fine && text.contains("Signature Verified Successfully"), "{text}");

    let (fine, key) = openssl(&["x509", "-in", "signer.pem", "-noout", "-pubkey"]);
    assert!(fine);
    fs::write(place.join("signer.pub"), key).expect("written");
    let by_key = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "signer.pub", "-in", "manifest.json"];
    assert!(openssl(&[by_key.as_slice(), &["-sigfile", "manifest.sig"]].concat()).0);

    let (_, fingerprint) = openssl(&["x509", "-in", "signer.pem", "-noout", "-fingerprint", "-sha256"]);
    let shown = fingerprint.trim().rsplit('=').next().expect("a fingerprint").to_owned();
    assert!(read_me.contains(&shown), "READ-ME.txt prints {shown}");
    assert_eq!(shown.replace(':', "").to_lowercase(), signer.certificate().fingerprint.to_string());

    let manifest = place.join("manifest.json");
    let mut bytes = fs::read(&manifest).expect("it is there");
    bytes[100] ^= 1;
    fs::write(&manifest, bytes).expect("written");
    assert!(!openssl(&words).0, "a changed manifest does not verify");
}

/// What a program of the system prints; it must end well.
fn output(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tar_and_gzip_of_the_system_read_the_archives() {
    let Some(_) = peer("tar", &["--version"]) else { return };
    let (bundle, signer, _parent) = of_fixture();
    let folder = tempfile::tempdir().expect("a folder");
    let (name, bytes) = archive_of(&bundle);
    fs::write(folder.path().join(&name), bytes).expect("written");
    let list = |name: &str| output("tar", &["-xzvf", name], folder.path());
    assert_eq!(list(&name), "manifest.mf\nUD_VA_26Nov02_03_04_05_678.tar.gz\n");
    assert_eq!(list("UD_VA_26Nov02_03_04_05_678.tar.gz"), "dev_XXX00000001_26Nov02_03_04_05_678.txt\n");
    let long = output("tar", &["--utc", "--numeric-owner", "-tvzf", &name], folder.path());
    assert!(
        long.lines().all(|line| line.starts_with("-rw-r--r-- 0/0 ") && line.contains(" 1970-01-01 00:00 ")),
        "{long}"
    );

    // The form with one tar, its long names too, unpacks to the same files.
    let fixture = fs::read(data("rum-saved-v2.xml")).expect("the fixture");
    let tar = of_files(&[fixture], &signer, Form::Tar, folder.path());
    output("tar", &["-xf", &tar.path.display().to_string()], folder.path());
    for member in &bundle.manifest.members {
        let unpacked = fs::read(folder.path().join(&tar.name).join(&member.path)).expect("it is there");
        assert_eq!(Sha256::of(&unpacked), member.sha256, "{}", member.path);
    }
    let verified = bundle::open(&folder.path().join(&tar.name), &Limits::own()).expect("a folder").verify(None);
    assert_eq!(verified.expect("it verifies").manifest, tar.manifest);
}

#[test]
fn xmllint_reads_what_is_for_upload() {
    let Some(_) = peer("xmllint", &["--version"]) else { return };
    let signer = Signer::generate("collector-1", created()).expect("a key");
    let parent = tempfile::tempdir().expect("a folder");
    let files = ["rum-saved-v2.xml", "rum-rest-v1.json"].map(|name| fs::read(data(name)).expect("the fixture"));
    let reports = files.iter().map(|bytes| rum_file::read(bytes).expect("a RUM file").reports.len()).sum::<usize>();
    let bundle = of_files(&files, &signer, Form::Folder, parent.path());
    let opened = bundle::open(&bundle.path, &Limits::own()).expect("it is read");
    let (mut counted, mut seen) = (0, 0);
    for path in opened.paths().filter(|path| path.starts_with("single/")) {
        let count = output("xmllint", &["--xpath", "count(/smartLicense/RUMReport)", path], &bundle.path);
        counted += count.trim().parse::<usize>().expect("a number");
        let text = output("xmllint", &["--xpath", "string(/smartLicense/RUMReport[1])", path], &bundle.path);
        let first = &rum_file::read(&fs::read(bundle.path.join(path)).expect("it")).expect("a RUM file").reports[0];
        assert_eq!(text.trim_end_matches('\n').as_bytes(), first.raw, "{path}");
        seen += 1;
    }
    assert_eq!((counted, seen), (reports, 2));
}

#[test]
fn the_program_tells_a_bundle_that_was_changed_from_one_that_cannot_be_read() {
    let (bundle, signer, parent) = of_fixture();
    let verify = |path: &Path, more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
        let output = program.args(["bundle", "verify"]).arg(path).args(more).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let fingerprint = signer.certificate().fingerprint.to_string();
    assert_eq!(verify(&bundle.path, &["--signer", &fingerprint]).0, Some(0));
    let (code, said) = verify(&bundle.path, &["--signer", &Sha256::ZERO.to_string()]);
    assert!(code == Some(3) && said.contains("signer.pem: signed by"), "{said}");

    let (name, mut bytes) = archive_of(&bundle);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(bundle.path.join(&name), bytes).expect("written");
    let (code, said) = verify(&bundle.path, &[]);
    assert!(code == Some(3) && said.contains(&name), "{said}");

    let fixture = fs::read(data("rum-saved-v2.xml")).expect("the fixture");
    let tar = of_files(&[fixture], &signer, Form::Tar, parent.path()).path;
    assert_eq!(verify(&tar, &[]).0, Some(0));
    let mut bytes = fs::read(&tar).expect("it is there");
    let inside = bytes.windows(7).position(|window| window == b"\"nonce\"").expect("the manifest");
    bytes[inside] ^= 1;
    fs::write(&tar, bytes).expect("written");
    let (code, said) = verify(&tar, &[]);
    assert!(code == Some(3) && said.contains("manifest.json"), "{said}");
    assert_eq!(verify(&data("ack.xml"), &[]).0, Some(3), "no bundle is not one that verifies");
    assert_eq!(verify(&parent.path().join("nowhere"), &[]).0, Some(1));
}

#[test]
fn a_bundle_is_inspected_with_everything_in_it() {
    let (bundle, signer, _parent) = of_fixture();
    let (name, bytes) = archive_of(&bundle);
    let inspection = inspect(&name, &bytes);
    assert_eq!((&inspection.json["kind"], inspection.completeness), (&"usage-bundle".into(), Completeness::Whole));
    golden("inspect-ud-sa.txt", &(inspection.lines.join("\n") + "\n"));

    let folder = tempfile::tempdir().expect("a folder");
    let fixture = fs::read(data("rum-saved-v2.xml")).expect("the fixture");
    let tar = of_files(&[fixture], &signer, Form::Tar, folder.path()).path;
    let mut bytes = fs::read(tar).expect("it is there");
    let whole = inspect("bundle.tar", &bytes);
    assert_eq!(whole.completeness, Completeness::Whole, "{}", whole.json["problems"]);
    assert_eq!(whole.json["bundle"]["verified"], true);
    let at = bytes.windows(9).rposition(|window| window == b"XXX000000").expect("a serial number");
    bytes[at] ^= 1;
    let changed = inspect("bundle.tar", &bytes);
    assert_eq!(changed.completeness, Completeness::NotWhole);
    assert_eq!(changed.json["bundle"]["verified"], false);
}

#[test]
fn an_answer_archive_is_inspected() {
    let ack = fs::read(data("ack.xml")).expect("the fixture");
    let inner = archive::tar(&[("ACK_dev_9INVENTED01_t.txt".to_owned(), ack)]).and_then(|tar| archive::gzip(&tar));
    let members = [("ACK_UD_VA_t.tar.gz".to_owned(), inner.expect("an archive"))];
    let outer = archive::tar(&members).and_then(|tar| archive::gzip(&tar)).expect("an archive");
    let inspection = inspect("ACK_UD_SA_t.tar.gz", &outer);
    assert_eq!(inspection.completeness, Completeness::Whole);
    assert_eq!(inspection.json["kind"], "ack-bundle");
    let kinds: Vec<&str> = inspection.json["members"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|member| member["kind"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(kinds, ["ack-bundle", "ack-file"]);
    let cut = inspect("ACK_UD_SA_t.tar.gz", &outer[..outer.len() / 2]);
    assert_eq!((&cut.json["kind"], cut.completeness), (&"ack-bundle".into(), Completeness::NotWhole));
}

#[test]
fn the_read_me_is_the_one_we_know() {
    let (bundle, _, _parent) = of_fixture();
    let text = fs::read_to_string(bundle.path.join("READ-ME.txt")).expect("a READ-ME");
    // The key is another one at each run.
    let hidden: String = text
        .lines()
        .map(|line| if line.matches(':').count() == 31 { "   <fingerprint>\n".to_owned() } else { format!("{line}\n") })
        .collect();
    golden("bundle-read-me.txt", &hidden);
}

/// **signed** format, version 1: a bundle made when the format was fixed must verify for ever.
#[test]
fn a_bundle_of_version_1_still_verifies() {
    let path = data("bundle-v1.tar");
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        let signer = Signer::generate("collector-1", created()).expect("a key");
        let files = ["rum-saved-v2.xml", "rum-rest-v1.json"].map(|name| fs::read(data(name)).expect("the fixture"));
        let folder = tempfile::tempdir().expect("a folder");
        let tar = of_files(&files, &signer, Form::Tar, folder.path()).path;
        fs::copy(tar, &path).expect("it is kept");
    }
    let verified = bundle::open(&path, &Limits::own()).expect("it is read").verify(None).expect("it verifies");
    assert_eq!(verified.manifest.schema, "slp-collector/bundle-manifest/v1");
    let ids: Vec<u64> = verified.manifest.reports.iter().map(|report| report.report_id.0).collect();
    assert_eq!(ids, [1788000042, 1788000001, u64::MAX]);
    assert_eq!(verified.manifest.previous_bundle_id.as_deref(), Some("earlier"));
    assert_eq!(verified.signer.common_name.as_deref(), Some("collector-1"));
}
