//! `slp-lab`: a fleet on loopback to try things on by hand. It prints where its devices listen, says `ready`, and obeys
//! one command a line until `quit` or the end of its input.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use jiff::Timestamp;
use lab::console::{Console, Outcome};
use lab::{Clock, Fleet, specs};

const USAGE: &str = "usage: slp-lab [--devices N] [--seed S] [--mixed] [--start RFC3339] [--write FILE]";

const MEANING: &str = "
  --devices N      so many devices (10)
  --seed S         which fleet: the same seed makes the same one (1)
  --mixed          IOS XE, IOS XR and NX-OS by every access; else IOS XE over HTTPS alone
  --start RFC3339  what its clock shows, and goes on showing until `advance` (now)
  --write FILE     where the inventory with ports and logins goes (standard output)

It says `ready` and obeys one command a line; one that it does not know lists them.";

struct Arguments {
    devices: usize,
    seed: u64,
    /// All three systems and all ways in; IOS XE over HTTPS alone otherwise.
    mixed: bool,
    start: Timestamp,
    /// Where the inventory goes; standard output when absent.
    write: Option<String>,
}

fn main() -> ExitCode {
    if std::env::args().skip(1).any(|word| word == "--help" || word == "-h") {
        // Nobody is left to tell when standard output is closed.
        let _ = writeln!(io::stdout(), "{USAGE}\n{MEANING}");
        return ExitCode::SUCCESS;
    }
    match arguments(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "slp-lab: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { devices: 10, seed: 1, mixed: false, start: Timestamp::now(), write: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; {USAGE}"));
        match word.as_str() {
            "--devices" => arguments.devices = number(&value()?)?,
            "--seed" => arguments.seed = number(&value()?)?,
            "--mixed" => arguments.mixed = true,
            "--start" => {
                let text = value()?;
                arguments.start = text.parse().map_err(|error| format!("{text} is no RFC 3339 time: {error}"))?;
            }
            "--write" => arguments.write = Some(value()?),
            _ => return Err(format!("{word} is unknown; {USAGE}")),
        }
    }
    Ok(arguments)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// The devices live on the runtime's threads; this one reads commands and may block.
fn run(arguments: Arguments) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    let clock = Clock::at(arguments.start.as_second());
    let fleet_of = if arguments.mixed { specs::mixed } else { specs::fleet };
    let specs = fleet_of(arguments.devices, arguments.seed);
    let fleet = runtime.block_on(Fleet::start(specs, clock)).map_err(|error| error.to_string())?;
    let mut console = Console::new(fleet);
    let mut out = io::stdout().lock();
    match &arguments.write {
        Some(file) => std::fs::write(file, console.inventory()).map_err(|error| format!("{file}: {error}"))?,
        None => out.write_all(console.inventory().as_bytes()).map_err(|error| error.to_string())?,
    }
    say(&mut out, "ready")?;
    for line in io::stdin().lock().lines() {
        match console.obey(&line.map_err(|error| error.to_string())?) {
            Outcome::Line(answer) => say(&mut out, &answer)?,
            Outcome::Quit => break,
        }
    }
    Ok(())
}

/// A line at once: whoever reads it waits for it.
fn say(out: &mut impl Write, line: &str) -> Result<(), String> {
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
