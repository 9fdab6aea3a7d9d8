//! Damaged outputs: never a panic, a fault where something is missing, and time in proportion to the length.

use std::fs;
use std::time::{Duration, Instant};

use slp_collector::domain::show_license::{self, Kind};
use slp_collector::domain::state::Model;
use slp_collector::inspect::inspect;

use super::{fixture, fixtures};
use crate::support::captures;

/// Every text we have: our own, and the recorded ones where they are.
fn texts() -> Vec<(String, String)> {
    let mut files = fixtures();
    if let Some(folder) = captures() {
        for part in ["iosxe", "iosxr", "nxos", "drafts/iosxr", "drafts/nxos"] {
            let entries = fs::read_dir(folder.join(part)).expect("the folder can be read");
            files.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()));
        }
    }
    let read = |path: &std::path::PathBuf| {
        String::from_utf8_lossy(&fs::read(path).expect("the file can be read")).into_owned()
    };
    files.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

fn everything(text: &str) {
    let reading = show_license::read(text, None);
    let _ = show_license::cross_check(&reading.state, reading.os);
    let _ = show_license::complaint(text);
    let _ = show_license::identity([text, text], None);
}

#[test]
fn cut_at_every_line_and_within() {
    let own = fixtures().len();
    for (at, (_, text)) in texts().into_iter().enumerate() {
        // The recorded texts are long; their lines are those of ours.
        let step = if at < own { 1 } else { 5 };
        for (end, _) in text.match_indices('\n').step_by(step) {
            for end in [end + 1, end.saturating_sub(3)] {
                if let Some(cut) = text.get(..end) {
                    let reading = show_license::read(cut, None);
                    let _ = show_license::cross_check(&reading.state, reading.os);
                }
            }
        }
    }
}

/// `show license all` says so wherever it is cut, until its last block that every agent prints is there.
#[test]
fn a_cut_off_output_is_told_as_such() {
    for name in [
        "ios-xe-all.txt",
        "ios-xr-all.txt",
        "nx-os-all-fresh.txt",
        "ios-xe-status-fresh.txt",
        "ios-xe-tech-local-zone.txt",
    ] {
        let text = fixture(name);
        let from = text
            .find("Smart Licensing Using Policy:")
            .or_else(|| text.find("Smart Licensing using Policy:"))
            .expect("it is there");
        let until = ["Available to Report", "Trust Code Installed: <none>", "Platform Provided Mapping Table"];
        let until = match name {
            "ios-xe-status-fresh.txt" => text.find(until[1]),
            "ios-xe-tech-local-zone.txt" => text.find(until[2]),
            _ => text.find(until[0]),
        };
        let until = until.expect("it is there");
        for (end, _) in text.match_indices('\n').filter(|(at, _)| (from..until).contains(at)) {
            let cut = &text[..end];
            // Nothing is known of SLP before its status line.
            let reading = show_license::read(cut, None);
            if reading.state.model == Model::Slp {
                assert!(!reading.problems.is_whole(), "{name}, cut after: {:?}", cut.lines().next_back());
            }
        }
        assert!(show_license::read(&text, None).problems.is_whole(), "{name}");
    }
    for (name, cut, kind) in [
        ("ios-xe-rum-ids.txt", "Start Time", Kind::ShowLicense),
        ("ios-xe-rum-ids.txt", " N     air-dna-advantage\r", Kind::ShowLicense),
        ("nx-os-pak.txt", "        SIGN=", Kind::ShowLicense),
        ("show-inventory-ios-xr.txt", "PID: N/A", Kind::ShowInventory),
    ] {
        let text = fixture(name);
        let Some(at) = text.find(cut) else { continue };
        let reading = show_license::read(&text[..at], None);
        assert_eq!(reading.kind, kind, "{name}");
        let whole = cut == "Start Time";
        assert_eq!(reading.problems.is_whole(), whole, "{name} before {cut}");
    }
}

#[test]
fn lines_of_other_outputs_shuffled_in_and_bytes_changed() {
    let texts = texts();
    let mut random = fastrand::Rng::with_seed(20_261_122);
    let pool: Vec<&str> = texts.iter().flat_map(|(_, text)| text.lines()).collect();
    let marks = [
        "--More--",
        "\u{8}\u{8}\u{8}",
        "\r",
        "%SMART_LIC-6-X:",
        "):",
        "(",
        "\u{0}",
        "\u{1b}[",
        "Handle: 1",
        "Count:",
        "é",
        "PID:,SN:",
        "9".repeat(40).as_str(),
    ]
    .map(str::to_owned);
    for (_, text) in &texts {
        for _ in 0..5 {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            for _ in 0..random.usize(1..20) {
                let at = random.usize(..=lines.len());
                match random.u8(..4) {
                    0 => lines.insert(at, pool[random.usize(..pool.len())].to_owned()),
                    1 if at < lines.len() => drop(lines.remove(at)),
                    2 if at < lines.len() => lines.swap(at, 0),
                    _ if at < lines.len() => {
                        let line = &mut lines[at];
                        let within = random.usize(..=line.len());
                        if line.is_char_boundary(within) {
                            line.insert_str(within, &marks[random.usize(..marks.len())]);
                        }
                    }
                    _ => {}
                }
            }
            everything(&lines.join("\n"));
        }
    }
}

#[test]
fn any_bytes_at_all() {
    let mut random = fastrand::Rng::with_seed(7);
    let inputs: Vec<Vec<u8>> = texts().into_iter().map(|(_, text)| text.into_bytes()).collect();
    for input in &inputs {
        for _ in 0..6 {
            let mut bytes = input.clone();
            for _ in 0..random.usize(1..40) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            let inspection = inspect("damaged", &bytes);
            assert!(inspection.json["problems"].is_array());
        }
    }
    for _ in 0..300 {
        let noise: Vec<u8> = (0..random.usize(..600)).map(|_| random.u8(..)).collect();
        let _ = inspect("noise", &noise);
    }
}

#[test]
fn hostile_shapes_end_soon() {
    let began = Instant::now();
    // Long enough that anything but time in proportion to the length would take many minutes.
    let most = 1 << 17;
    for shape in [
        "(".repeat(most),
        format!("a {}):", "(".repeat(most)),
        format!("x {}:\n", "()".repeat(most / 2)),
        "%".repeat(most),
        "%A-".repeat(most / 3),
        format!("{}%A-1-BC: x", "Nov 19 14:54:45: ".repeat(most / 17)),
        "--More--".repeat(most / 8),
        format!("{}{}", "a".repeat(most / 2), "\u{8}".repeat(most / 2)),
        "\u{1b}[".repeat(most / 2),
        "\r".repeat(most),
        "a#b\n".repeat(most / 4),
        "show license all\n".repeat(most / 17),
        "License Usage\n".repeat(most / 14),
        "n (t):\n  Count: 1\n".repeat(most / 18),
        "Handle: 1\n".repeat(most / 10),
        (0..12_000).map(|n| format!("{n} ACK N x\n")).collect(),
        "Report Id: 1\n".repeat(most / 13),
        format!(
            "Policy:\n{}",
            (0..5_000).map(|n| format!("g{n}:\n  Reporting frequency (days): 1 (a)\n")).collect::<String>()
        ),
        format!(
            "Overall status:\n{}",
            (0..5_000).map(|n| format!(" Active: PID:a,SN:{n}\n  Status: X INSTALLED on y\n")).collect::<String>()
        ),
        format!("Specified license reservations:\n{}", "n (t):\n Active: PID:a,SN:b\n".repeat(5_000)),
        "% Invalid\n".repeat(most / 10),
        "NAME: \"Chassis\", DESCR: x\n".repeat(most / 26),
        format!("HA UDI List:\n{}", "Active:PID:a,SN:b\n".repeat(6_000)),
    ] {
        everything(&shape);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
