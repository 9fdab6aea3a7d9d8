//! The lab's texts held against recorded ones: it may print less than a device, but no label that none has printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use lab::cli::Cli;
use lab::{Device, Operation, Spec, specs};

use crate::support;

const T0: i64 = 1_767_225_600;
const DAY: i64 = 86_400;

/// What a line is called: the text before its first colon, or all of it. Names of licences, members and reports are
/// not labels.
fn labels(text: &str) -> BTreeSet<String> {
    let named = |line: &&str| !line.ends_with("):") && !line.starts_with(|first: char| first.is_ascii_digit());
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).filter(named);
    lines.map(|line| line.split(':').next().unwrap_or(line).trim_end().to_owned()).collect()
}

/// The labels of every file in a folder whose name begins so.
fn recorded(folder: &Path, begins: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted: Vec<_> =
        files.filter(|path| path.file_name().unwrap().to_string_lossy().to_lowercase().starts_with(begins)).collect();
    assert!(!wanted.is_empty(), "nothing recorded begins with {begins}");
    wanted.iter().flat_map(|path| labels(&String::from_utf8_lossy(&fs::read(path).unwrap()))).collect()
}

/// What the device says to each of these, after it saved usage once.
fn said(spec: Spec, lines: &[&str]) -> Vec<String> {
    let spec = Arc::new(spec);
    let mut device = Device::new(Arc::clone(&spec), T0);
    let mut cli = Cli::new(spec, false);
    let mut obey = |line: &str| cli.obey(line, &mut |operation: Operation| device.apply(T0 + DAY, operation)).text;
    obey("license smart save usage all file slp-1.txt");
    lines.iter().map(|line| obey(line)).collect()
}

fn none_is_invented(said: &str, known: &BTreeSet<String>) {
    let invented: Vec<_> = labels(said).into_iter().filter(|label| !known.contains(label)).collect();
    assert!(invented.is_empty(), "never recorded: {invented:?}\n{said}");
}

#[test]
fn ios_xe_prints_what_was_recorded() {
    let Some(captures) = support::captures() else { return };
    let folder = captures.join("iosxe");
    let mut known = recorded(&folder, "showlicense");
    known.extend(recorded(&folder, "cube-17.15"));
    for spec in [specs::switch("edge-001"), specs::stack("edge-002", 3), specs::branch("edge-003")] {
        let lines = ["all", "status", "usage", "summary", "udi", "authorization", "history message", "rum id all"];
        for text in said(spec, &lines.map(|part| format!("show license {part}")).each_ref().map(String::as_str)) {
            let rows: Vec<_> = text.lines().filter(|line| !line.ends_with(" IN USE")).collect();
            none_is_invented(&rows.join("\n"), &known);
        }
    }
}

#[test]
fn the_others_print_what_the_drafts_have() {
    let Some(captures) = support::captures() else { return };
    for (spec, folder) in [(specs::xr("core-001"), "iosxr"), (specs::nexus("leaf-001"), "nxos")] {
        let known = recorded(&captures.join("drafts").join(folder), "show_license");
        let stamp = |line: &&str| !line.starts_with("Fri Jan  2 ");
        for text in said(spec, &["show license all", "show license status", "show license usage", "show license udi"]) {
            let lines: Vec<_> = text.lines().filter(stamp).collect();
            none_is_invented(&lines.join("\n"), &known);
        }
    }
}

#[test]
fn a_record_has_the_recorded_lines_in_their_order() {
    let Some(captures) = support::captures() else { return };
    let recorded = fs::read_to_string(captures.join("iosxe/ShowLicenseRumIdDetail__golden_output.txt")).unwrap();
    let table = said(specs::switch("edge-001"), &["show license rum id all"]).remove(0);
    let id = table.lines().nth(3).and_then(|row| row.split(' ').next()).unwrap();
    let detail = said(specs::switch("edge-001"), &[&format!("show license rum id {id} detail")]).remove(0);
    let names = |text: &str| {
        let name = |line: &str| line.split(": ").next().unwrap_or(line).trim_end().to_owned();
        text.lines().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&detail), names(&recorded));
}
