//! The zoo of wrong files: `tests/data/config/NAME.toml` or `NAME.csv` and what `check-config` says of it.
//!
//! `NAME.toml` is checked beside `good.csv`, `NAME.csv` beside `good.toml`. `UPDATE_GOLDEN=1` writes the expectations.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use slp_collector::cli::check_config;

fn zoo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

/// Runs the verb; exit code, standard output and standard error, without the folder in front of file names.
fn check(folder: &Path, file: &str) -> (u8, String, String) {
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check_config::run(&check_config::Args::default(), &folder.join(file), now, &mut out, &mut err);
    let prefix = format!("{}/", folder.display());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&prefix, "");
    (code, text(out), text(err))
}

/// A folder with one of the zoo's files, and the good ones beside it.
fn cage(file: &Path) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for good in ["good.toml", "good.csv", "ca.pem"] {
        fs::copy(zoo().join(good), folder.path().join(good)).unwrap();
    }
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(file, folder.path().join(&name)).unwrap();
    let (stem, kind) = name.rsplit_once('.').unwrap();
    let (toml, csv) = if kind == "csv" { ("good.toml", name.as_str()) } else { (name.as_str(), "good.csv") };
    // The inventory is named last, so that no line of the file moves.
    let text = fs::read_to_string(folder.path().join(toml)).unwrap();
    fs::write(folder.path().join(toml), text.replace("good.csv", csv)).unwrap();
    let toml = toml.to_owned();
    assert!(!stem.is_empty());
    (folder, toml)
}

#[test]
fn every_wrong_file_gets_its_expected_message() {
    let mut files: Vec<PathBuf> = fs::read_dir(zoo()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "toml" || kind == "csv"));
    files.retain(|file| file.file_stem().is_some_and(|stem| stem != "good"));
    files.sort();
    assert!(files.len() >= 40, "only {} wrong files", files.len());
    let mut wrong = Vec::new();
    for file in &files {
        let (folder, toml) = cage(file);
        let (code, out, err) = check(folder.path(), &toml);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!((code, out.as_str()), (64, ""), "{name} was taken:\n{out}{err}");
        for line in err.lines().filter(|line| !line.ends_with("mistake") && !line.ends_with("mistakes")) {
            let mut parts = line.splitn(3, ':');
            let (told, at) = (parts.next().unwrap(), parts.next().unwrap());
            // What lacks for a device is told at its row, though the other file may mend it.
            let known = told == name || told == "good.csv";
            assert!(known && at.parse::<usize>().is_ok_and(|at| at > 0), "{name}: no file:line in {line:?}");
            assert!(line.contains(';'), "{name}: nothing to write instead in {line:?}");
        }
        assert!(!err.contains("hunter2"), "{name}: a password is shown");
        let expected = file.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &err).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != err {
            wrong.push(format!("{name} says\n{err}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 writes them down", wrong.join("\n"));
}

#[test]
fn no_expectation_is_without_its_file() {
    for entry in fs::read_dir(zoo()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "expected") {
            assert!(path.with_extension("toml").exists() || path.with_extension("csv").exists(), "{}", path.display());
        }
    }
}

#[test]
fn good_files_are_summed_up_with_the_next_runs() {
    let (code, out, err) = check(&zoo(), "good.toml");
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "\
configuration  good.toml
inventory      good.csv: 3 devices: 2 observe, 1 deliver; 1 by hand
sites          dark, hq
credentials    routers
sinks          none
poll           0 3 * * * (UTC), spread over 30m
               2026-11-22T03:00:00Z
               2026-11-23T03:00:00Z
               2026-11-24T03:00:00Z
";
    assert_eq!(out, expected);
}

#[test]
fn a_password_file_for_everybody_is_warned_of_and_no_mistake() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (config, password) = (folder.path().join("c.toml"), folder.path().join("routers.password"));
    fs::write(&config, "[credentials.routers]\nusername = \"u\"\npassword_file = \"routers.password\"\n").unwrap();
    fs::write(folder.path().join("devices.csv"), "name,address\n").unwrap();
    fs::write(&password, "hunter2").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, out, err) = check(folder.path(), "c.toml");
    assert_eq!(code, 0);
    assert!(err.starts_with("warning: credential routers: everybody can get at routers.password"), "{err}");
    assert!(out.contains("no devices") && !out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}

#[test]
fn shipped_files_are_good() {
    let (code, _, err) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), "slp-collector.toml");
    assert_eq!((code, err.as_str()), (0, ""));
}
