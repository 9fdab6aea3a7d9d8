//! The operator's files, and the real program under them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fleet::{SITES, name, site};

/// A schedule that does not come round.
pub const NEVER: &str = "[poll]\nschedule = \"0 0 29 2 *\"\n";

/// Inventory and password of the fleet. Nothing answers at these addresses. Tells what the configuration has to say of
/// sites and credentials.
pub fn files(folder: &Path, instances: usize) -> String {
    let row = |n: usize| format!("{},{},9,{}\n", name(n), address(n), site(n));
    let rows: String = (0..instances).map(row).collect();
    std::fs::write(folder.join("devices.csv"), format!("name,address,port,site\n{rows}")).expect("inventory");
    let sites: String = (0..SITES).map(|n| format!("[sites.{}]\n", site(n))).collect();
    format!("{}{sites}", credential(folder))
}

/// Of a device at which nothing answers.
pub fn address(instance: usize) -> String {
    format!("127.{}.{}.{}", instance >> 16, instance >> 8 & 255, instance & 255)
}

/// Writes the password; what the configuration has to say of it.
pub fn credential(folder: &Path) -> &'static str {
    let secret = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join("password"));
    secret.expect("password").write_all(b"none").expect("password");
    "[credentials.routers]\nusername = \"slpcol\"\npassword_file = \"password\"\n[defaults]\ncredential = \"routers\"\n"
}

/// The program under that configuration.
pub fn collector(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slp-collector"));
    command.arg("--config").arg(config);
    command
}

/// The daemon that this starts, and how long it took to the READY that systemd waits for.
pub fn ready(mut command: Command, folder: &Path) -> (Child, Duration) {
    let path = folder.join("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    command.env("NOTIFY_SOCKET", path).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let daemon = command.spawn().expect("the daemon");
    let mut word = [0; 4096];
    while !word.starts_with(b"READY=1") {
        socket.recv(&mut word).expect("READY");
    }
    (daemon, start.elapsed())
}

/// Stops it as systemd does.
pub fn stop(mut daemon: Child) {
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).expect("its end");
    assert!(daemon.wait().expect("its end").success());
}
