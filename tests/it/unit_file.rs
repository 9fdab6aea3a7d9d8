//! The systemd unit, read by systemd itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The exposure that the unit may reach at most, in tenths, as `systemd-analyze security` counts it.
const THRESHOLD: u32 = 15;

fn unit_text() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/slp-collector.service")).unwrap()
}

/// Is the peer there? Without it a test says why it skips, or fails where `SLP_REQUIRE` names `peers`.
#[expect(clippy::print_stdout, reason = "a skip is told where tests are read")]
fn systemd_analyze() -> bool {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var("SLP_REQUIRE").is_ok_and(|kinds| kinds.split([',', ' ']).any(|kind| kind == "peers"));
    assert!(there || !required, "SLP_REQUIRE asks for peers, and systemd-analyze is missing");
    if !there {
        println!("skipped: systemd-analyze is missing");
    }
    there
}

/// The unit in a folder of its own, its program replaced by one that is on every machine.
fn copy(folder: &Path) -> PathBuf {
    let unit = folder.join("slp-collector.service");
    fs::write(&unit, unit_text().replace("/usr/bin/slp-collector", "/bin/true")).unwrap();
    unit
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output().unwrap()
}

#[test]
fn systemd_finds_nothing_to_say_about_the_unit() {
    if !systemd_analyze() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = analyze(&["verify", "--man=no", "--recursive-errors=no"], &copy(folder.path()));
    // A value that systemd does not know is a warning on standard error, and exit code 0.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_unit_is_hardened() {
    if !systemd_analyze() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let threshold = format!("--threshold={THRESHOLD}");
    let output = analyze(&["security", "--offline=true", "--no-pager", &threshold], &copy(folder.path()));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("Overall exposure level"), "{told}");
}

/// What the unit and the configuration must agree on.
#[test]
fn the_unit_makes_the_folders_that_the_defaults_name() {
    let unit = unit_text();
    let collector = slp_collector::config::Collector::default();
    let has = |line: &str| unit.lines().any(|own| own == line);
    assert!(has("StateDirectory=slp-collector") && collector.state_dir == Path::new("/var/lib/slp-collector"));
    assert!(has("RuntimeDirectory=slp-collector") && collector.socket.starts_with("/run/slp-collector"));
    assert!(has("ConfigurationDirectory=slp-collector"));
    assert!(slp_collector::config::DEFAULT_PATH.starts_with("/etc/slp-collector/"));
    assert!(has("Type=notify") && has("RestartPreventExitStatus=64"));
    let sysusers = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/slp-collector.sysusers");
    assert!(fs::read_to_string(sysusers).unwrap().lines().any(|line| line.starts_with("u slp-collector ")));
}

/// Page and metrics are served and scraped under the hardening, also where the commented lines are put in force.
#[test]
fn the_unit_lets_page_and_metrics_be_read() {
    let listen = slp_collector::config::Http::default().listen;
    assert!(listen.ip().is_loopback() && listen.port() >= 1024, "{listen} needs a capability that the unit takes away");
    let unit = unit_text();
    let setting = |name: &str| {
        let own = |line: &str| Some(line.trim_start_matches('#').strip_prefix(name)?.strip_prefix('=')?.to_owned());
        unit.lines().find_map(own)
    };
    assert!(setting("RestrictAddressFamilies").unwrap().split(' ').any(|family| family == "AF_INET"));
    assert!(setting("IPAddressAllow").unwrap().split(' ').any(|allowed| allowed == "localhost"));
    for shut in ["PrivateNetwork", "SocketBindDeny"] {
        assert_eq!(setting(shut), None, "{shut} shuts the port");
    }
}

/// The file says so of itself, and here it is kept: no setting without its reason.
#[test]
fn every_block_of_the_unit_has_its_reason() {
    let text = unit_text();
    for block in text.split("\n\n").filter(|block| block.contains('=')) {
        let first = block.lines().find(|line| !line.starts_with('[')).unwrap();
        let exempt = first.starts_with("Description=") || first.starts_with("WantedBy=");
        assert!(exempt || first.starts_with('#'), "no reason before {first}");
    }
}
