//! Scenario scripts: a fleet's life in words, run against the engine that decides, with a transcript beside each.
//!
//! A script is a list of lines; `#` begins a remark. Devices are played, everything else is the real thing: the fold of
//! events, the deadlines, the search for violations, the ladder. Each line is repeated in the transcript, with what
//! came of it under it; `expect` makes the script fail by itself. tests/data/scenarios/README.md tells the words.

mod device;
mod expect;
mod world;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use world::World;

use crate::support::{data, golden};

/// Runs one script; returns the transcript.
fn run(file: &Path, script: &str) -> String {
    let mut world = World::new();
    let mut transcript = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        let words = line.split('#').next().unwrap_or_default().trim();
        if words.is_empty() {
            continue;
        }
        writeln!(transcript, "> {words}").expect("memory");
        match world.obey(&split(words)) {
            Ok(lines) => lines.iter().for_each(|line| writeln!(transcript, "    {line}").expect("memory")),
            Err(wrong) => panic!("{}:{number}: {words}: {wrong}\n\nso far:\n{transcript}", file.display()),
        }
    }
    transcript
}

/// Words, where double quotes hold some together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

fn scripts() -> Vec<PathBuf> {
    let files =
        fs::read_dir(data("scenarios")).expect("the scripts are there").map(|entry| entry.expect("an entry").path());
    let mut scripts: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "scenario")).collect();
    scripts.sort();
    scripts
}

#[test]
fn every_script_runs_as_its_transcript_says() {
    let scripts = scripts();
    assert!(scripts.len() >= 30, "only {} scripts", scripts.len());
    for file in scripts {
        let script = fs::read_to_string(&file).expect("a script");
        let name = file.file_stem().expect("a name").display().to_string();
        golden(&format!("scenarios/{name}.transcript"), &run(&file, &script));
    }
}

#[test]
fn every_kind_of_violation_is_found_and_resolved_in_a_script() {
    use slp_collector::domain::settings::Word as _;
    use slp_collector::domain::violation::Kind;

    let all: String = scripts()
        .iter()
        .map(|file| fs::read_to_string(file.with_extension("transcript")).expect("a transcript"))
        .collect();
    for kind in Kind::WORDS {
        assert!(all.contains(&format!("    + {kind} ")), "no script finds {kind}");
        assert!(all.contains(&format!("    - {kind} ")), "no script resolves {kind}");
    }
}
