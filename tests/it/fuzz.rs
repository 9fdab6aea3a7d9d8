//! What fuzzing kept, replayed: the bodies are those of `fuzz/`, and so are the inputs.

// A crate of its own for the fuzzer.
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::targets::TARGETS;

/// All corpora together are small enough to be read by people, in bytes.
const MOST: usize = 200_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs kept for a target, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder().join("corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

fn replayed(target: &str) {
    let (_, body) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    assert!(corpus.len() >= 10, "{target} has {} inputs", corpus.len());
    for (file, bytes) in corpus {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&bytes)));
        assert!(outcome.is_ok(), "{}: see above", file.display());
    }
}

#[test]
fn netconf_framing() {
    replayed("netconf_framing");
}

#[test]
fn netconf_session() {
    replayed("netconf_session");
}

#[test]
fn nxapi() {
    replayed("nxapi");
}

#[test]
fn scp() {
    replayed("scp");
}

#[test]
fn shell() {
    replayed("shell");
}

#[test]
fn show_license() {
    replayed("show_license");
}

/// A few damaged inputs each; `SLP_FUZZ_TURNS` makes them many, `SLP_FUZZ_SEED` others.
#[test]
fn what_is_kept_may_be_damaged() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (turns, seed) = (number("SLP_FUZZ_TURNS", 200), number("SLP_FUZZ_SEED", 7));
    let mut random = fastrand::Rng::with_seed(seed);
    for (target, body) in TARGETS {
        let corpus = corpus(target);
        for _ in 0..turns {
            let bytes = damaged(&mut random, &corpus);
            let outcome = catch_unwind(AssertUnwindSafe(|| body(&bytes)));
            assert!(outcome.is_ok(), "{target}, seed {seed}: keep this input: {}", bytes.escape_ascii());
        }
    }
}

/// One input with a few bytes changed, repeated, taken out, or put in from another.
fn damaged(random: &mut fastrand::Rng, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = corpus[random.usize(..corpus.len())].1.clone();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(..=bytes.len());
        let until = (at + random.usize(1..40)).min(bytes.len());
        match random.u8(..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => drop(bytes.drain(at..until)),
            3 => {
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &corpus[random.usize(..corpus.len())].1;
                let from = random.usize(..=other.len());
                let to = (from + random.usize(1..60)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Nothing that was found takes longer the more of it there is: one text of all, over and over.
#[test]
fn what_was_printed_a_thousand_times_ends_soon() {
    let all: Vec<u8> = corpus("show_license").into_iter().flat_map(|(_, bytes)| bytes).collect();
    let often = all.repeat((1 << 20) / all.len() + 1);
    let began = Instant::now();
    targets::show_license(&often);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn every_target_has_a_program_and_a_small_corpus_and_nothing_else_lies_there() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(self::folder().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().trim_end_matches(".rs").to_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest: toml::Table = fs::read_to_string(folder().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap();
    assert_eq!(programs.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), targets);
    let bytes: usize = targets.iter().flat_map(|target| corpus(target)).map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= MOST, "{bytes} bytes");
}
