//! `slp-lab` as a person starts it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn slp_lab(arguments: &[&str], input: &str) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_slp-lab"));
    let mut lab =
        lab.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = lab.stdin.take().unwrap().write_all(input.as_bytes());
    lab.wait_with_output().unwrap()
}

#[test]
fn it_lists_says_ready_and_obeys() {
    let arguments = ["--devices", "3", "--seed", "2", "--start", "2026-01-01T00:00:00Z"];
    let output = slp_lab(&arguments, "advance 2d\nsing\nquit\nnow\n");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let heading = "name,address,port,user,password,site,pid,sn,os,ssh_port,netconf_port,enable_password,faces";
    assert_eq!(lines[0], heading);
    assert!(lines[1..4].iter().all(|line| line.split(',').count() == heading.split(',').count()));
    assert_eq!(lines[4..6], ["ready", "2026-01-03T00:00:00Z"]);
    assert!(lines[6].starts_with("error: \"sing\" is no command"));
    assert_eq!(lines.len(), 7, "nothing is obeyed after quit");
}

#[test]
fn a_mixed_fleet_has_ports_for_what_it_serves() {
    let output = slp_lab(&["--devices", "9", "--mixed"], "");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for row in text.lines().skip(1).take(9) {
        let columns: Vec<&str> = row.split(',').collect();
        let faces: Vec<&str> = columns[12].split('+').collect();
        assert_eq!(!columns[2].is_empty(), faces.contains(&"restconf") || faces.contains(&"nxapi"), "{row}");
        assert_eq!(!columns[9].is_empty(), faces.contains(&"ssh"), "{row}");
        assert_eq!(!columns[10].is_empty(), faces.contains(&"netconf"), "{row}");
    }
    for os in ["ios-xe", "ios-xr", "nx-os"] {
        assert_eq!(text.lines().filter(|line| line.split(',').nth(8) == Some(os)).count(), 3);
    }
}

#[test]
fn it_ends_with_its_input_and_writes_where_told() {
    let file = std::env::temp_dir().join(format!("slp-lab-inventory-{}.csv", std::process::id()));
    let output = slp_lab(&["--devices", "2", "--write", file.to_str().unwrap()], "");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"ready\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 3);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn wrong_arguments_are_named() {
    for (arguments, expected) in [
        (&["--devices", "few"][..], "few is no number"),
        (&["--start"], "--start needs a value"),
        (&["-x"], "-x is unknown"),
    ] {
        let output = slp_lab(arguments, "");
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains(expected));
    }
}
