//! A web server that is not ours, on loopback.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::peer;

/// The server; it ends with this.
pub struct Nginx {
    server: Child,
    pub port: u16,
}

impl Nginx {
    /// Runs in the folder under the configuration for its port; `None` where there is no nginx.
    pub fn start(folder: &Path, configuration: impl Fn(u16) -> String) -> Option<Nginx> {
        peer("nginx", &["-v"])?;
        // Another process may take the port between our letting go and nginx's taking it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            std::fs::write(folder.join("nginx.conf"), configuration(port)).unwrap();
            let server = Command::new("nginx")
                .arg("-p")
                .arg(folder)
                .arg("-c")
                .arg(folder.join("nginx.conf"))
                .args(["-e", "stderr"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut nginx = Nginx { server, port };
            let limit = Instant::now() + Duration::from_secs(10);
            while Instant::now() < limit && nginx.server.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(nginx);
                }
                std::thread::yield_now();
            }
        }
        panic!("nginx did not start");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// What every configuration of it begins with: nothing outside of the folder, one process.
pub fn main_part(folder: &Path, log_format: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  log_format short '{log_format}'; access_log {folder}/access.log short;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 25; keepalive_timeout 10s;
"
    )
}

/// The lines of its log. It writes them after the answer has gone out, so the caller says how many there are at least.
pub fn log(folder: &Path, at_least: usize) -> Vec<String> {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let log = std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        if lines.len() >= at_least || Instant::now() > limit {
            return lines;
        }
        std::thread::yield_now();
    }
}
