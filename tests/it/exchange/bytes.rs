//! One byte of a bundle changed anywhere: it is found, and the member is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lab::account::Account;
use lab::specs;
use slp_collector::exchange::archive::Limits;
use slp_collector::exchange::bundle::{self, BundleError};

use super::portal::inventory;
use crate::fleet_loop::accesses::busy;
use crate::support::site::{LIMITS, Ran, Site, files};

/// Bytes changed in each form, over all files of the bundle.
const CHANGES: usize = 300;

/// Three devices, one of them in no account, whose reports are collected.
fn collected() -> Site {
    let specs = (0..3).map(|index| {
        let mut spec = busy(specs::switch(&format!("dev-{index}")));
        spec.account = (index != 2).then(|| Account::new("Example Works", "example.com", "Default"));
        spec
    });
    let site = Site::with(specs.collect(), LIMITS, |_| "deliver");
    inventory(&site, |_| None, |_| true);
    site.run(["poll", "--all"]).exits(0);
    site.advance(86_400);
    site.run(["poll", "--all", "--close"]).exits(0);
    site
}

#[allow(clippy::print_stdout)]
fn dice() -> fastrand::Rng {
    let seed = std::env::var("SLP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SLP_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// What `bundle verify` says, by the function behind it.
fn verify(place: &Path) -> Result<(), BundleError> {
    bundle::open(place, &Limits::own()).and_then(|opened| opened.verify(None)).map(drop)
}

/// Changes one byte, asks, and changes it back.
fn changed<T>(file: &Path, at: usize, by: u8, ask: impl FnOnce() -> T) -> T {
    let whole = fs::read(file).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= by;
    fs::write(file, bytes).unwrap();
    let answer = ask();
    fs::write(file, whole).unwrap();
    answer
}

/// All words of an error and its causes.
fn words(error: &BundleError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[test]
fn one_changed_byte_of_a_folder_is_found_and_its_file_named() {
    let site = collected();
    let place = site.bundle();
    verify(&place).unwrap();
    let mut dice = dice();
    let members: Vec<PathBuf> = files(&place);
    assert_eq!(members.len(), 3 + 1 + 4);
    let mut unnamed = BTreeSet::new();
    for number in 0..CHANGES {
        // Each file in its turn: the small ones are no less signed.
        let file = &members[number % members.len()];
        let name = file.strip_prefix(&place).unwrap().to_str().unwrap().to_owned();
        let (at, by) = (dice.usize(..fs::metadata(file).unwrap().len() as usize), dice.u8(1..));
        let error = changed(file, at, by, || verify(&place)).expect_err(&name);
        assert!(error.is_unverified(), "{name}, byte {at} changed by {by}: {error}");
        if !words(&error).contains(&name) {
            unnamed.insert((name, words(&error)));
        }
    }
    assert_eq!(unnamed, BTreeSet::new());
    verify(&place).unwrap();

    let single = members.iter().find(|file| file.parent().unwrap().ends_with("single")).unwrap();
    let name = single.strip_prefix(&place).unwrap().to_str().unwrap();
    let ran: Ran = changed(single, 100, 1, || site.run(["bundle", "verify", place.to_str().unwrap()]).exits(3));
    assert!(ran.out.is_empty() && ran.err.contains(name), "{ran:?}");
}

#[test]
fn one_changed_byte_of_a_tar_is_found_and_its_member_named() {
    let site = collected();
    let made = site.run(["bundle", "create", "--tar"]).exits(0);
    let place = PathBuf::from(made.out.lines().next().unwrap());
    verify(&place).unwrap();
    let mut dice = dice();
    let members = members_of(&place);
    assert_eq!(members.len(), 3 + 1 + 4);
    let mut wrong = BTreeSet::new();
    for number in 0..CHANGES {
        let (name, from, length) = &members[number % members.len()];
        let (at, by) = (from + dice.usize(..*length), dice.u8(1..));
        let error = changed(&place, at, by, || verify(&place)).expect_err(name);
        if !error.is_unverified() || !words(&error).contains(name) {
            wrong.insert((name.clone(), words(&error)));
        }
    }
    assert_eq!(wrong, BTreeSet::new());

    // What is no member's: headers, padding and the end. Found in any case, by whatever it is then.
    let inside = |at: usize| members.iter().any(|(_, from, length)| (*from..from + length).contains(&at));
    let size = fs::metadata(&place).unwrap().len() as usize;
    let mut missed = BTreeSet::new();
    for _ in 0..CHANGES {
        let at = std::iter::repeat_with(|| dice.usize(..size)).find(|at| !inside(*at)).unwrap();
        let by = dice.u8(1..);
        if changed(&place, at, by, || verify(&place)).is_ok() {
            missed.insert((at, by));
        }
    }
    assert_eq!(missed, BTreeSet::new(), "of {size} bytes; members {members:?}");

    let (name, from, _) = &members[0];
    let ran: Ran = changed(&place, *from, 1, || site.run(["bundle", "verify", place.to_str().unwrap()]).exits(3));
    assert!(ran.out.is_empty() && ran.err.contains(name.as_str()), "{ran:?}");
}

/// Nobody vouches for what another program writes around the files; the files themselves can be believed.
#[test]
fn a_bundle_packed_anew_is_believed_once_it_is_unpacked() {
    let site = collected();
    let place = site.bundle();
    let (parent, name) = (place.parent().unwrap(), place.file_name().unwrap().to_str().unwrap());
    let packed = parent.join("packed-anew.tar");
    let tar = |args: &[&str]| {
        let done = std::process::Command::new("tar").args(args).current_dir(parent).status().expect("tar");
        assert!(done.success());
    };
    tar(&["-cf", "packed-anew.tar", name]);
    let ran: Ran = site.run(["bundle", "verify", packed.to_str().unwrap()]).exits(3);
    assert!(ran.err.contains("neither"), "{ran:?}");
    assert!(ran.err.contains("unpack it and verify the folder"), "{ran:?}");
    let none: Ran = site.run(["bundle", "verify", site.config_file().to_str().unwrap()]).exits(3);
    assert!(none.err.contains("neither a folder nor a tar that the collector wrote"), "{none:?}");
    fs::remove_dir_all(&place).unwrap();
    tar(&["-xf", "packed-anew.tar"]);
    site.run(["bundle", "verify", place.to_str().unwrap()]).exits(0);
}

/// The name of each member of a tar as the bundle calls it, where its bytes begin, and how many there are.
fn members_of(place: &Path) -> Vec<(String, usize, usize)> {
    let bytes = fs::read(place).unwrap();
    let field = |from: usize, length: usize| {
        let text = String::from_utf8(bytes[from..from + length].to_vec()).unwrap();
        text.trim_end_matches(['\0', ' ']).to_owned()
    };
    let (mut members, mut at) = (Vec::new(), 0);
    while bytes.get(at).is_some_and(|byte| *byte != 0) {
        let (name, kind) = (field(at, 100), bytes[at + 156]);
        let size = usize::from_str_radix(&field(at + 124, 12), 8).unwrap();
        assert_eq!(kind, b'0', "{name} has a long name");
        members.push((name.split_once('/').unwrap().1.to_owned(), at + 512, size));
        at += 512 + size.div_ceil(512) * 512;
    }
    members
}
