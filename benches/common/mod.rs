//! What benches have in common: a fleet of switches, the operator's files, and what a process used.

#![allow(dead_code, reason = "no bench needs all of it")]

pub mod fleet;
pub mod operator;
pub mod process;

use std::path::Path;

use jiff::Timestamp;
use tempfile::TempDir;

/// A number of the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::print_stdout, reason = "a bench is read on the terminal")]
pub fn say(line: &str) {
    println!("{line}");
}

/// Inside `target`, because a file system in memory confirms nothing.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// So many seconds after the present of all benches.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("a time")
}

/// Bytes of all files in a folder.
pub fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("list").map(|entry| entry.expect("entry"));
    entries
        .map(|entry| match entry.metadata().expect("metadata") {
            metadata if metadata.is_dir() => size(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}
