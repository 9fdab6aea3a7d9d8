//! `check-config --probe`, as an operator runs it.

use slp_collector::cli::check_config;

use super::*;
use crate::support::receiver::Receiver;

/// Exit code and the lines about sinks.
fn probe(folder: &Path, sinks: &str) -> (u8, String) {
    configured(folder, sinks);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = check_config::Args { probe: true };
    let file = folder.join("slp-collector.toml");
    let code = check_config::run(&args, &file, at("2026-11-21T12:00:00Z"), &mut out, &mut err);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(String::from_utf8(err).unwrap(), "");
    let lines: Vec<&str> = out.lines().filter(|line| line.contains("sink ") || line.contains("probe")).collect();
    (code, lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sink_is_tried_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut receiver = Receiver::start(None).await;
    let port = receiver.port;
    let hook =
        format!("[sinks.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/x\"\nseverity = \"critical\"\n");
    let broken = "[sinks.broken]\ntype = \"command\"\ncommand = [\"/bin/false\"]\n";
    let run = async |sinks: String| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || probe(&path, &sinks)).await.unwrap()
    };
    assert_eq!(run(String::new()).await, (0, "no sinks to probe".to_owned()));

    let arrived = format!("sink hook: arrived (webhook http://127.0.0.1:{port}), message m-");
    let failed = "sink broken: failed: command /bin/false refused it (exit status: 1); run it by hand";
    let (code, told) = run(hook.clone()).await;
    assert!(code == 0 && told.starts_with(&arrived), "{code} {told}");
    let message = receiver.request().await.json();
    assert_eq!((&message["topic"], &message["severity"]), (&"test".into(), &"info".into()));
    assert!(told.ends_with(message["id"].as_str().unwrap()), "{told}");

    let (code, told) = run(format!("{hook}{broken}")).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((code, lines.len()), (2, 2), "{told}");
    assert!(lines[0].starts_with(failed) && lines[1].starts_with(&arrived), "{told}");
    let (code, told) = run(broken.to_owned()).await;
    assert!(code == 1 && told.starts_with(failed), "{code} {told}");
}
