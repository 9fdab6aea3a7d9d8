//! A program that reads the message: what it is given, how it may fail, and that it does not outlive its time.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use slp_collector::notify::Error;

use super::*;

/// A sink that runs this script of the shell's.
fn sink(folder: &Path, script: &str, timeout: &str) -> Sinks {
    let path = folder.join("tell.sh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[sinks.own]\ntype = \"command\"\ncommand = [\"./tell.sh\", \"a b\", \"$(id)\"]\ntimeout = \"{timeout}\"\n"
    );
    sinks(folder, &text)
}

#[tokio::test]
async fn it_reads_the_json_and_has_no_more_than_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = format!("cat > {0}.json; printf '%s|' \"$@\" > {0}.words; env > {0}.env", out.display());
    sink(folder.path(), &script, "30s").send("own", &overdue(5000)).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&fs::read(out.with_extension("json")).unwrap()).unwrap();
    assert_eq!((&told["id"], told["lines"].as_array().unwrap().len()), (&"m-0123456789".into(), 5000));
    assert_eq!(fs::read_to_string(out.with_extension("words")).unwrap(), "a b|$(id)|");
    let env = fs::read_to_string(out.with_extension("env")).unwrap();
    let mut names: Vec<&str> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["LANG", "PATH"]);
}

#[tokio::test]
async fn its_exit_code_and_first_words_are_told_bounded_and_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let script = "printf 'no \\033[2J way\\n' >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3";
    let error = sink(folder.path(), script, "30s").send("own", &overdue(5000)).await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("refused it (exit status: 3: no \\u{1b}[2J way\\nxxx"), "{shown}");
    assert!(shown.chars().count() < 400 && !error.is_transient(), "{shown}");
    let error = sink(folder.path(), "kill -9 $$", "30s").send("own", &overdue(1)).await.unwrap_err();
    assert!(error.to_string().contains("signal: 9"), "{error}");
    let killed = sink(folder.path(), "exit 0", "30s");
    fs::remove_file(folder.path().join("tell.sh")).unwrap();
    let error = killed.send("own", &overdue(1)).await.unwrap_err();
    assert!(matches!(error, Error::Ours(_)) && error.to_string().contains("did not start"), "{error}");
}

#[tokio::test]
async fn whoever_does_not_read_is_done_when_he_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // A child of its own keeps both pipes open.
    let pid = folder.path().join("child");
    let script = format!("tail -f /dev/null <&0 &\necho $! > {}\nexit 0", pid.display());
    let sinks = sink(folder.path(), &script, "60s");
    let begin = Instant::now();
    sinks.send("own", &overdue(5000)).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let child: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn whoever_does_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec tail -f /dev/null", pid.display());
    let error = sink(folder.path(), &script, "1s").send("own", &overdue(1)).await.unwrap_err();
    assert!(matches!(error, Error::TooSlow { .. }), "{error:?}");
    let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    let gone = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err();
    let limit = Instant::now() + Duration::from_secs(10);
    while !gone() && Instant::now() < limit {
        tokio::task::yield_now().await;
    }
    assert!(gone(), "it still runs");
}
