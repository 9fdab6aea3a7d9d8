//! The lab by hand: one command a line in, one line out.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::face::Way;
use crate::fault::{Fault, Scope};
use crate::fleet::{Fleet, Handle};
use crate::operation::{Operation, Reply};
use crate::portal::Portal;

/// A fleet and a portal, and somebody who types.
#[derive(Debug)]
pub struct Console {
    fleet: Fleet,
    portal: Portal,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Line(String),
    Quit,
}

const COMMANDS: &str = "advance DURATION | now | count DEVICE LICENCE N | close DEVICE | reload DEVICE | \
                        fault DEVICE NAME [ARG] [via WAY] [on PATH] [first N] | clear DEVICE | show DEVICE | \
                        portal FILE OUTDIR | counters | quit";

impl Console {
    pub fn new(fleet: Fleet) -> Console {
        Console { fleet, portal: Portal::new() }
    }

    /// The fleet as an inventory: a heading, then a line a device. A port that the device does not serve is left empty.
    pub fn inventory(&self) -> String {
        let mut csv = String::from(
            "name,address,port,user,password,site,pid,sn,os,ssh_port,netconf_port,enable_password,faces\n",
        );
        for device in self.fleet.devices() {
            let (spec, addr) = (device.spec(), device.addr());
            let (name, site, udi) = (&spec.name, &spec.site, spec.udi());
            let (user, password) = (&spec.user, &spec.password);
            let port = |addr: Option<SocketAddr>| addr.map_or_else(String::new, |addr| addr.port().to_string());
            let https = port(spec.faces.https().then_some(addr));
            let enable = spec.terminal.enable.as_deref().unwrap_or_default();
            // Nothing in a spec of the lab holds a comma or a quote.
            let _ = write!(csv, "{name},{},{https},{user},{password},{site},{},{},", addr.ip(), udi.pid, udi.sn);
            let _ = writeln!(
                csv,
                "{},{},{},{enable},{}",
                spec.os.name(),
                port(device.ssh_addr()),
                port(device.netconf_addr()),
                spec.faces.names().join("+")
            );
        }
        csv
    }

    /// Does what the line says. Mistakes are lines too, and begin with `error:`.
    pub fn obey(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            return Outcome::Quit;
        }
        Outcome::Line(self.done(&words).unwrap_or_else(|reason| format!("error: {reason}")))
    }

    fn done(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["advance", duration] => {
                self.fleet.clock().advance(seconds(duration)?);
                self.now()
            }
            ["now"] => self.now(),
            ["count", device, licence, count] => {
                let count = count.parse().map_err(|_| format!("{count} is no count"))?;
                applied(&self.device(device)?, Operation::SetCount { licence: (*licence).to_string(), count })
            }
            ["close", device] => applied(&self.device(device)?, Operation::Close),
            ["reload", device] => applied(&self.device(device)?, Operation::Reload),
            ["fault", device, name, rest @ ..] => {
                let device = self.device(device)?;
                let (number, scope) = scope(rest)?;
                device.set_fault_on(Fault::named(name, number)?, scope);
                Ok("ok".to_string())
            }
            ["clear", device] => {
                self.device(device)?.clear_fault();
                Ok("ok".to_string())
            }
            ["show", device] => serde_json::to_string(&self.device(device)?.state()).map_err(|error| error.to_string()),
            ["portal", file, folder] => self.upload(Path::new(file), Path::new(folder)),
            ["counters"] => {
                let devices = self.fleet.devices().map(|device| (device.name(), device.counters()));
                let devices: std::collections::BTreeMap<_, _> = devices.collect();
                Ok(json!({ "devices": devices, "max_in_flight": self.fleet.max_in_flight() }).to_string())
            }
            _ => Err(format!("{:?} is no command; there are: {COMMANDS}", words.join(" "))),
        }
    }

    fn now(&self) -> Result<String, String> {
        Timestamp::from_second(self.fleet.clock().now()).map(|now| now.to_string()).map_err(|error| error.to_string())
    }

    fn device(&self, name: &str) -> Result<Handle, String> {
        self.fleet.find(name).ok_or_else(|| format!("no device {name}"))
    }

    fn upload(&mut self, file: &Path, folder: &Path) -> Result<String, String> {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = file.file_name().and_then(|name| name.to_str()).ok_or("the file has no name")?;
        let answer = self
            .portal
            .upload(self.fleet.clock().now(), name, &bytes)
            .map_err(|refusal| format!("refused: {refusal}"))?;
        let path = folder.join(&answer.name);
        std::fs::write(&path, answer.bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }
}

fn applied(device: &Handle, operation: Operation) -> Result<String, String> {
    match device.apply(operation) {
        Reply::Refused(refusal) => Err(refusal.to_string()),
        Reply::Closed(ids) => Ok(format!("closed {}", ids.len())),
        _ => Ok("ok".to_string()),
    }
}

/// `90s`, `5m`, `12h`, `30d`; with a minus sign the fleet's clock goes back.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text} is no duration such as 90s, 5m, 12h or 30d");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| seconds.abs() < 100 * 366 * 86_400).ok_or_else(wrong)
}

/// `[ARG] [via WAY] [on PATH] [first N]`; a path may have several words, as a command line has.
fn scope(words: &[&str]) -> Result<(Option<u64>, Scope), String> {
    let (mut number, mut scope, mut rest) = (None, Scope::default(), words);
    loop {
        rest = match rest {
            [] => return Ok((number, scope)),
            ["via", way, rest @ ..] => {
                scope.way = Some(Way::named(way).ok_or_else(|| format!("{way} is none of https, ssh, netconf"))?);
                rest
            }
            ["on", rest @ ..] => {
                let length = rest.iter().position(|word| matches!(*word, "via" | "first")).unwrap_or(rest.len());
                scope.path = Some(rest[..length].join(" "));
                &rest[length..]
            }
            ["first", times, rest @ ..] => {
                scope.first = Some(times.parse().map_err(|_| format!("{times} is no number of times"))?);
                rest
            }
            [argument, rest @ ..] if number.is_none() => {
                number = Some(argument.parse().map_err(|_| format!("{argument} is no number"))?);
                rest
            }
            [other, ..] => return Err(format!("{other} is one word too many")),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::specs;

    fn line(console: &mut Console, command: &str) -> String {
        match console.obey(command) {
            Outcome::Line(line) => line,
            Outcome::Quit => panic!("{command} quits"),
        }
    }

    async fn console() -> Console {
        Console::new(Fleet::start(vec![specs::switch("edge-001")], Clock::at(1_767_225_600)).await.unwrap())
    }

    #[tokio::test]
    async fn commands_are_answered_in_a_line() {
        let mut console = console().await;
        assert_eq!(line(&mut console, "now"), "2026-01-01T00:00:00Z");
        assert_eq!(line(&mut console, "advance 30d"), "2026-01-31T00:00:00Z");
        assert_eq!(line(&mut console, "count edge-001 dna-advantage 4"), "ok");
        assert_eq!(line(&mut console, "close edge-001"), "closed 2");
        assert_eq!(line(&mut console, "fault edge-001 cut-after 10 on /smartlic-service first 2"), "ok");
        assert_eq!(line(&mut console, "fault edge-001 hang via ssh on show license all first 1"), "ok");
        assert_eq!(line(&mut console, "clear edge-001"), "ok");
        let shown: serde_json::Value = serde_json::from_str(&line(&mut console, "show edge-001")).unwrap();
        assert_eq!(shown["licences"][1]["count"], 4);
        let counters: serde_json::Value = serde_json::from_str(&line(&mut console, "counters")).unwrap();
        assert_eq!(counters["devices"]["edge-001"]["connections"], 0);
        assert_eq!(console.obey("quit"), Outcome::Quit);
        let inventory = console.inventory();
        let row = inventory.lines().nth(1).unwrap_or_default();
        assert!(inventory.lines().count() == 2 && row.ends_with(",ios-xe,,,,smartlic+restconf"), "{inventory}");
    }

    #[tokio::test]
    async fn the_portal_answers_into_a_folder() {
        let mut console = console().await;
        line(&mut console, "advance 1d");
        let device = console.fleet.device("edge-001");
        device.apply(Operation::SaveUsage { which: crate::operation::Saved::All, name: "rum.txt".into() });
        let Reply::File(usage) = device.apply(Operation::ReadFile("rum.txt".into())) else { panic!() };
        let folder = std::env::temp_dir().join(format!("slp-lab-console-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("rum.txt"), usage).unwrap();
        let command = format!("portal {0}/rum.txt {0}", folder.display());
        let said = line(&mut console, &command);
        assert_eq!(said, folder.join("ACK_rum.txt").display().to_string());
        assert!(std::fs::read_to_string(said).unwrap().starts_with("<smartLicense><smartLicenseRumAck>"));
        assert!(line(&mut console, &command).starts_with("error: refused: rum.txt: duplicate report"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn mistakes_are_said() {
        let mut console = console().await;
        for (command, expected) in [
            ("dance", "\"dance\" is no command"),
            ("", "is no command"),
            ("advance soon", "no duration"),
            ("advance 9999999d", "no duration"),
            ("show edge-002", "no device edge-002"),
            ("count edge-001 nothing 1", "error 9 notfound"),
            ("fault edge-001 flood", "no fault flood"),
            ("fault edge-001 flip", "flip needs a number"),
            ("fault edge-001 flip 1 2", "one word too many"),
            ("fault edge-001 hang via telnet", "none of https, ssh"),
            ("portal /nowhere/file /nowhere", "/nowhere/file"),
        ] {
            let said = line(&mut console, command);
            assert!(said.starts_with("error: ") && said.contains(expected), "{command}: {said}");
            assert!(!said.contains('\n'));
        }
    }
}
