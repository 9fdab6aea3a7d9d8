//! The command line: one short file a verb.
//!
//! Data goes to standard output, everything else to standard error.

mod ack;
mod ask;
mod bundle;
pub mod check_config;
mod credential;
mod device;
pub mod evidence;
mod forecast;
pub mod inspect;
mod ledger;
mod monitor;
mod on_prem;
pub mod output;
pub mod plot;
mod poll;
mod probe;
mod rehearse;
mod report;
mod run;
mod silence;
mod snapshot;
mod status;
mod upstream;
mod violation;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::domain::problem::printable_lines;
use output::Format;

/// How a verb ended; the numbers are part of the contract with other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Partly,
    NotVerified,
    Usage,
    LedgerHeld,
    /// The one verb with codes of its own: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    Monitor(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Partly => 2,
            Exit::NotVerified => 3,
            Exit::Usage => 64,
            Exit::LedgerHeld => 75,
            Exit::Monitor(code) => code,
        }
    }

    /// Done, failed or partly, by how many of several worked.
    pub fn of(worked: usize, failed: usize) -> Exit {
        match (worked, failed) {
            (_, 0) => Exit::Done,
            (0, _) => Exit::Failed,
            _ => Exit::Partly,
        }
    }
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub struct Stop {
    pub exit: Exit,
    pub reason: String,
}

impl Stop {
    pub fn failed(reason: impl ToString) -> Stop {
        Stop { exit: Exit::Failed, reason: reason.to_string() }
    }

    pub fn usage(reason: impl ToString) -> Stop {
        Stop { exit: Exit::Usage, reason: reason.to_string() }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        // Whoever read our output has seen enough.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Stop { exit: Exit::Done, reason: String::new() };
        }
        Stop::failed(error)
    }
}

const AFTER: &str = "Exit codes: 0 done; 1 failed; 2 partly done, what worked is kept; 3 something did not verify; \
64 wrong usage or configuration; 75 another process holds the ledger. `monitor` has its own.";

const FIRST_STEPS: &str = "First steps:
  slp-collector check-config           is everything written as it should be?
  slp-collector poll edge-01           ask one device now
  slp-collector status                 the deadlines, soonest first
  slp-collector status --at +100d      the same in 100 days, if nothing is done
  slp-collector bundle create --close  what a person carries to Cisco's portal
  slp-collector ack import ACK_*       what the portal gave, to the devices
  slp-collector inspect FILE           what is in a file, without any configuration

";

/// Collects Cisco Smart Licensing Using Policy usage reports, keeps their deadlines and carries
/// the acknowledgements home.
#[derive(Debug, Parser)]
#[command(name = "slp-collector", version, after_help = format!("{FIRST_STEPS}{AFTER}"), arg_required_else_help = true)]
pub struct Args {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/slp-collector/slp-collector.toml",
        env = "SLP_CONFIG",
        hide_env = true
    )]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the service: poll on schedule, deliver answers, answer the other verbs.
    Run,
    /// Read configuration and inventory; print every mistake with file and line, or the next runs.
    CheckConfig(check_config::Args),
    /// One pass now: identify, read state, collect new reports as far as the mode allows.
    Poll(poll::Args),
    /// The deadline register, soonest first.
    Status(status::Args),
    /// The inventory and what is known of it.
    #[command(subcommand)]
    Device(device::Verb),
    /// Names and holds of credentials, never values.
    #[command(subcommand)]
    Credential(credential::Verb),
    /// Read any SLP file, offline; no configuration needed.
    Inspect(inspect::Args),
    /// RUM reports: what is kept and what happened to it.
    #[command(subcommand)]
    Report(report::Verb),
    /// Offline exchange, outward.
    #[command(subcommand)]
    Bundle(bundle::Verb),
    /// Offline exchange, homeward: ACKs, policies, authorization codes.
    #[command(subcommand)]
    Ack(ack::Verb),
    /// Servers that reports go to by their API, opt-in.
    #[command(subcommand)]
    Upstream(upstream::Verb),
    /// What breaks policy, what it rests on, and that a person knows of it.
    #[command(subcommand)]
    Violation(violation::Verb),
    /// What falls due in the weeks to come, and when an exchange would serve best.
    Forecast(forecast::Args),
    /// One line and an exit code for Nagios-like monitoring: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    Monitor(monitor::Args),
    /// The period report: what was due, met, late, missed, and the way of every report.
    Evidence(evidence::Args),
    /// Who used how much of what, at an instant: the customer's own copy, signed.
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    /// License On-Prem's own synchronisation with Cisco: a duty in the same register.
    #[command(subcommand)]
    OnPrem(on_prem::Verb),
    /// No messages about something, for a time.
    #[command(subcommand)]
    Silence(silence::Verb),
    /// The memory: check it, rebuild its register.
    #[command(subcommand)]
    Ledger(ledger::Verb),
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
    /// Print the man page.
    Man,
}

/// Parses the arguments, runs the verb, and tells how it ended.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            drop(error.print());
            let exit = match error.use_stderr() {
                false => Exit::Done,
                true if is_monitor() => monitor::unknown(&error.to_string(), &mut std::io::stdout()),
                true => Exit::Usage,
            };
            return ExitCode::from(exit.code());
        }
    };
    let mut out = std::io::stdout().lock();
    let exit = match dispatch(args, &mut out).and_then(|exit| out.flush().map(|()| exit).map_err(Stop::from)) {
        Ok(exit) => exit,
        Err(stop) if stop.reason.is_empty() => stop.exit,
        Err(stop) => {
            drop(writeln!(std::io::stderr(), "slp-collector: {}", printable_lines(&stop.reason)));
            stop.exit
        }
    };
    ExitCode::from(exit.code())
}

/// Was it `monitor` that was called wrongly? Its exit codes are those of plugins.
fn is_monitor() -> bool {
    let matches = Args::command().ignore_errors(true).try_get_matches();
    matches.is_ok_and(|matches| matches.subcommand_name() == Some("monitor"))
}

fn dispatch(args: Args, out: &mut dyn Write) -> Result<Exit, Stop> {
    let config = || load(&args.config);
    match args.verb {
        Verb::Run => run::run(config()?),
        Verb::CheckConfig(verb) => {
            let now = jiff::Timestamp::now();
            match check_config::run(&verb, &args.config, now, out, &mut std::io::stderr()) {
                0 => Ok(Exit::Done),
                2 => Ok(Exit::Partly),
                64 => Ok(Exit::Usage),
                _ => Ok(Exit::Failed),
            }
        }
        Verb::Poll(verb) => poll::run(verb, config()?, out),
        Verb::Status(verb) => status::run(verb, &args.config, out),
        Verb::Device(verb) => device::run(verb, config()?, out),
        Verb::Credential(verb) => credential::run(verb, config()?, out),
        Verb::Inspect(verb) => inspect::run(&verb, out),
        Verb::Report(verb) => report::run(verb, config()?, out),
        Verb::Bundle(verb) => bundle::run(verb, &args.config, out),
        Verb::Ack(verb) => ack::run(verb, config()?, out),
        Verb::Upstream(verb) => upstream::run(verb, config()?, out),
        Verb::Violation(verb) => violation::run(verb, config()?, out),
        Verb::Forecast(verb) => forecast::run(verb, config()?, out),
        Verb::Monitor(verb) => monitor::run(verb, &args.config, out),
        Verb::Evidence(verb) => evidence::run(verb, config()?, out),
        Verb::Snapshot(verb) => snapshot::run(verb, &args.config, out),
        Verb::OnPrem(verb) => on_prem::run(verb, config()?, out),
        Verb::Silence(verb) => silence::run(verb, config()?, out),
        Verb::Ledger(verb) => ledger::run(&verb, &config()?, out),
        Verb::Completions { shell } => {
            // The generator panics where it cannot write, so it writes to memory.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "slp-collector", &mut script);
            out.write_all(&script)?;
            Ok(Exit::Done)
        }
        Verb::Man => {
            man(out)?;
            Ok(Exit::Done)
        }
    }
}

fn load(path: &std::path::Path) -> Result<Config, Stop> {
    Config::load(path).map_err(Stop::usage)
}

/// The main page, then a section for each verb.
fn man(out: &mut dyn Write) -> std::io::Result<()> {
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(out)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        render_verb(verb, out)?;
    }
    Ok(())
}

fn render_verb(verb: &clap::Command, out: &mut dyn Write) -> std::io::Result<()> {
    let mut verb = verb.clone();
    let nested: Vec<clap::Command> = verb.get_subcommands().filter(|v| v.get_name() != "help").cloned().collect();
    let name = verb.get_bin_name().unwrap_or(verb.get_name()).to_owned();
    writeln!(out, ".SH \"{}\"", name.to_uppercase())?;
    write!(out, "{}", roff(&verb.render_long_help().to_string()))?;
    nested.iter().try_for_each(|verb| render_verb(verb, out))
}

/// Plain text as it is, in roff.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('-', "\\-");
    let lines =
        escaped.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.into() });
    format!(".nf\n{}\n.fi\n", lines.collect::<Vec<String>>().join("\n"))
}

/// `--format`, for verbs that list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Listing {
    /// How to print: columns for a person, one JSON document, one JSON object a line, or CSV with a header.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}
