//! `device rehearse` over the lab: the whole loop on one device, with leave for each write.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use lab::report::ReportState;
use lab::spec::Faces;
use lab::{Operation, Spec, specs};
use nix::pty::openpty;
use serde_json::{Value, json};
use slp_collector::domain::instance::DeviceName;

use crate::daemon::Daemon;
use crate::support::site::{LIMITS, Site};

fn spec(faces: Faces) -> Spec {
    let mut spec = Spec { faces, ..specs::switch("dev-1") };
    for licence in &mut spec.licences {
        licence.count = licence.count.max(1);
    }
    spec
}

fn site(faces: Faces, mode: &'static str) -> Site {
    entered(faces, mode, "auto")
}

fn entered(faces: Faces, mode: &'static str, access: &'static str) -> Site {
    let site = Site::entered(vec![spec(faces)], LIMITS, move |_| mode, move |_| access);
    site.advance(86_400);
    site
}

fn rehearsed(site: &Site, code: i32) -> Value {
    site.run(["device", "rehearse", "dev-1", "--yes", "--format", "json"]).exits(code).json()
}

fn endings(rehearsal: &Value) -> Vec<(&str, &str)> {
    let steps = rehearsal["steps"].as_array().unwrap().iter();
    steps.map(|step| (step["step"].as_str().unwrap(), step["ending"].as_str().unwrap())).collect()
}

fn written(rehearsal: &Value) -> Vec<(&str, &str)> {
    let written = rehearsal["written"].as_array().unwrap().iter();
    written.map(|one| (one["write"].as_str().unwrap(), one["detail"].as_str().unwrap())).collect()
}

/// What the ledger has of writes, oldest first, without the ends that failed.
fn recorded(site: &Site) -> Vec<(String, String)> {
    let sheet: Value = site.run(["device", "show", "dev-1", "--format", "json"]).exits(0).json();
    let writes = sheet["known"]["writes"].as_array().cloned().unwrap_or_default();
    let text = |write: &Value, key: &str| write[key].as_str().unwrap().to_owned();
    let mut writes: Vec<_> = writes.iter().map(|write| (text(write, "write"), text(write, "detail"))).collect();
    writes.sort();
    writes
}

fn sorted(written: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all: Vec<_> = written.iter().map(|(write, detail)| ((*write).to_owned(), (*detail).to_owned())).collect();
    all.sort();
    all
}

/// Collect, carry, deliver: two rehearsals with the portal between them.
fn around(access: &'static str, faces: Faces, first_write: &str) {
    let mut site = entered(faces, "deliver", access);
    let first = rehearsed(&site, 0);
    let done = ["identify", "list", "collect"].map(|step| (step, "done"));
    assert_eq!(endings(&first)[..3], done);
    assert_eq!(endings(&first)[3..], [("deliver", "skipped"), ("clean-up", "done")]);
    let writes = written(&first);
    assert!(writes.iter().any(|(_, detail)| detail.starts_with(first_write)), "{writes:?}");
    assert_eq!(recorded(&site), sorted(&writes), "what is shown is what is on record");

    let bundle = site.bundle();
    let (answers, refusals) = site.upload(&bundle);
    assert_eq!(refusals, []);
    site.import(&site.download(&answers), &["--no-deliver"]).exits(0);
    let second = rehearsed(&site, 0);
    assert_eq!(endings(&second).last(), Some(&("clean-up", "done")));
    assert!(endings(&second).contains(&("deliver", "done")), "{second}");
    assert!(written(&second).iter().any(|(write, _)| *write == "import-file"), "{second}");
    let state = site.device("dev-1").state();
    assert!(state.reports.iter().filter(|report| report.end.is_some()).all(|r| r.state == ReportState::Acknowledged));
    assert!(state.files.iter().all(|file| !file.starts_with("slpc-")), "{:?}", state.files);
    let answers: Value = site.run(["ack", "list", "--format", "json"]).exits(0).json();
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["waits_for"].is_null()), "{answers}");
}

#[test]
fn the_whole_loop_by_rest() {
    around("auto", Faces::rest(), "POST /smartlic-service/close-reports");
}

#[test]
fn the_whole_loop_by_command_line() {
    around("auto", Faces::ssh_and_scp(), "license smart save usage all file bootflash:slpc-");
}

#[test]
fn the_whole_loop_by_netconf() {
    around("netconf", Faces { netconf: true, ..Faces::ssh_and_sftp() }, "rum-save-usage-all to bootflash:slpc-");
}

#[test]
fn who_only_observes_writes_nothing_and_is_told_so() {
    let site = site(Faces::ssh_and_scp(), "observe");
    let rehearsal = rehearsed(&site, 0);
    assert_eq!(endings(&rehearsal)[2..4], [("collect", "skipped"), ("deliver", "skipped")]);
    assert!(rehearsal["steps"][2]["said"].as_str().unwrap().contains("mode is observe"), "{rehearsal}");
    assert!(written(&rehearsal).is_empty() && recorded(&site).is_empty());
}

#[test]
fn without_a_terminal_somebody_must_have_said_yes() {
    let site = site(Faces::ssh_and_scp(), "deliver");
    let refused = site.run(["device", "rehearse", "dev-1"]).exits(64);
    assert!(refused.err.contains("--yes"), "{refused:?}");
    assert_eq!(site.device("dev-1").counters().connections, 0);
}

/// A rehearsal by the daemon: each question is answered as `answer` says; the whole of it.
fn converse(site: &Site, mut answer: impl FnMut(&str) -> Option<&'static str>) -> Option<Value> {
    let mut stream = UnixStream::connect(site.path("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    writeln!(stream, "{}", json!({"rehearse": {"name": "dev-1"}})).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    loop {
        let reply: Value = serde_json::from_str(&lines.next()?.unwrap()).unwrap();
        if let Some(question) = reply.get("question") {
            match answer(question["write"].as_str().unwrap()) {
                Some(leave) => writeln!(stream, "{}", json!(leave)).unwrap(),
                // Whoever asked goes away in the middle.
                None => return None,
            }
        } else if let Some(done) = reply.get("done") {
            return Some(done["rehearsal"].clone());
        } else {
            assert!(reply.get("step").is_some(), "{reply}");
        }
    }
}

#[test]
fn what_is_declined_is_neither_sent_nor_recorded() {
    let site = site(Faces::ssh_and_scp(), "deliver");
    let daemon = Daemon::start(&site, None);
    let before = site.device("dev-1").state();
    let rehearsal = converse(&site, |_| Some("no")).unwrap();
    assert_eq!(endings(&rehearsal)[2], ("collect", "declined"));
    assert_eq!(endings(&rehearsal)[4], ("clean-up", "done"));
    assert!(written(&rehearsal).is_empty() && recorded(&site).is_empty());
    let after = site.device("dev-1").state();
    assert_eq!((before.reports.len(), before.files.len()), (after.reports.len(), after.files.len()));
    let row = &site.status()[0];
    assert_eq!((&row["contact"], &row["trouble"]), (&"ok".into(), &Value::Null), "declining costs no contact");
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn a_file_whose_deletion_is_declined_is_named_and_its_reports_are_kept() {
    let site = site(Faces::ssh_and_scp(), "deliver");
    let daemon = Daemon::start(&site, None);
    let allow = |write: &str| Some(if write == "delete-own-file" { "no" } else { "yes" });
    let rehearsal = converse(&site, allow).unwrap();
    assert_eq!(endings(&rehearsal)[2], ("collect", "done"));
    assert_eq!(endings(&rehearsal).last(), Some(&("clean-up", "failed")));
    let left = rehearsal["left"].as_array().unwrap();
    assert!(!left.is_empty() && left.len() == site.device("dev-1").state().files.len(), "{rehearsal}");
    let kept: Value = site.run(["report", "list", "--format", "json"]).exits(0).json();
    assert!(!kept.as_array().unwrap().is_empty());
    assert_eq!(daemon.stop().0, Some(0));

    // The next one offers it, though nothing else has to be written. A stranger's file with such a name is not ours.
    let device = site.device("dev-1");
    device.apply(Operation::WriteFile { name: "slpc-theirs.xml".to_owned(), bytes: b"x".to_vec() });
    let next = rehearsed(&site, 0);
    let deleted: Vec<_> = written(&next).into_iter().filter(|(write, _)| *write == "delete-own-file").collect();
    assert_eq!(deleted.len(), left.len(), "{next}");
    assert_eq!((endings(&next).last(), &next["left"]), (Some(&("clean-up", "done")), &json!([])));
    assert_eq!(device.state().files, ["slpc-theirs.xml"]);
}

#[test]
fn what_was_left_is_offered_once_more_at_the_end() {
    let site = site(Faces::ssh_and_scp(), "deliver");
    let daemon = Daemon::start(&site, None);
    let mut deletions = 0;
    let rehearsal = converse(&site, |write| {
        deletions += u32::from(write == "delete-own-file");
        Some(if write == "delete-own-file" && deletions == 1 { "no" } else { "yes" })
    })
    .unwrap();
    assert_eq!(deletions, 2, "{rehearsal}");
    assert_eq!((endings(&rehearsal).last(), &rehearsal["left"]), (Some(&("clean-up", "done")), &json!([])));
    assert!(site.device("dev-1").state().files.is_empty());
    assert_eq!(recorded(&site), sorted(&written(&rehearsal)));
    assert_eq!(daemon.stop().0, Some(0));
}

#[test]
fn whoever_goes_away_gives_no_leave() {
    let site = site(Faces::ssh_and_scp(), "deliver");
    let mut asked = 0;
    let daemon = Daemon::start(&site, None);
    let gone = converse(&site, |_| {
        asked += 1;
        None
    });
    assert!(gone.is_none() && asked == 1);
    // The daemon brings it to its end before it stops.
    assert_eq!(daemon.stop().0, Some(0));
    assert!(recorded(&site).is_empty());
    assert!(site.device("dev-1").state().files.is_empty());
}

#[test]
fn at_a_terminal_each_write_is_asked_for() {
    let site = site(Faces::rest(), "deliver");
    let terminal = openpty(None, None).unwrap();
    let mut command = site.command(["device", "rehearse", "dev-1"]);
    command.stdin(Stdio::from(terminal.slave)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command would keep the other end of the terminal open.
    drop(command);
    let mut typing = File::from(terminal.master);
    let mut shown = BufReader::new(child.stderr.take().unwrap());
    let mut until = |words: &str| {
        let mut text = Vec::new();
        while !text.ends_with(words.as_bytes()) {
            let mut byte = [0];
            assert_eq!(shown.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    };
    let question = "[y]es, [n]o, [a]ll: ";
    assert!(until(question).contains("dev-1: close-reports: POST /smartlic-service/close-reports"));
    typing.write_all(b"yes\n").unwrap();
    assert!(until(question).contains("dev-1: fetch-reports: GET /smartlic-service/all-reports"));
    typing.write_all(b"no\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{page}");
    assert!(page.contains("collect   declined"), "{page}");
    assert!(
        page.ends_with("written to the device:\n  close-reports    POST /smartlic-service/close-reports\n"),
        "{page}"
    );
    let ledger = site.ledger();
    let fleet = ledger.fleet();
    assert_eq!(fleet.devices[&DeviceName::from("dev-1")].writes.len(), 1);
}
