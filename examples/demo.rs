//! The whole loop in one program: `cargo run --release --example demo`.
//!
//! Twelve simulated devices on loopback, the collector over a folder that goes away, and a clock
//! that the demo moves. Every step says in a sentence what happens, and checks that it happened:
//! the exit code is 1 when the loop did not do what the text says.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lab::account::Account;
use lab::licence::{Class, Licence};
use lab::policy::Policy;
use lab::spec::{Faces, ImportForm, ListShape, StateModel};
use lab::{Fault, Fleet, Portal, Spec, specs};
use slp_collector::cli::output::{self, Column};
use slp_collector::config::Config;
use slp_collector::control::{self, Answered, Reply, Request, StatusQuery};
use slp_collector::domain::bundle::Selection;
use slp_collector::domain::deadline::ObligationState;
use slp_collector::domain::event::Outcome;
use slp_collector::domain::snapshot::{By, Entry, Form, RollUp, Whole};
use slp_collector::domain::status::Row;
use slp_collector::exchange::archive::Limits;
use slp_collector::exchange::bundle;
use slp_collector::exchange::snapshot::read;
use slp_collector::flow::consumption::Asked;
use slp_collector::flow::homeward::TakenAs;
use slp_collector::flow::outward::Made;
use slp_collector::flow::poll::{Ask, Polled};
use slp_collector::flow::{self, Clock, House};
use slp_collector::{daemon, http};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const START: &str = "2026-03-02T08:00:00Z";
const DAY: i64 = 86_400;
/// The one that was due before the collector came.
const LATE: &str = "islands-sw1";
/// The one that goes down before the exchange.
const DOWN: &str = "islands-sw2";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut story = Story { step: 0, failed: Vec::new() };
    match tell(&mut story).await {
        Ok(()) if story.failed.is_empty() => ExitCode::SUCCESS,
        Ok(()) => {
            story.note(&format!("\n{} of the checks FAILED:\n  {}", story.failed.len(), story.failed.join("\n  ")));
            ExitCode::FAILURE
        }
        Err(error) => {
            story.note(&format!("\nThe demo stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The story, top to bottom.
async fn tell(story: &mut Story) -> Result<()> {
    let folder = tempfile::tempdir()?;
    story.say(
        "Cisco devices count their licences in signed usage reports (RUM reports) and must have an acknowledgement (ACK) \
         from Cisco by a deadline. These here cannot reach Cisco. The collector fetches the reports, a person carries \
         them to Cisco's portal and brings the ACKs back, and the collector gives every device its own.",
    );

    story.step("A fleet");
    let clock = lab::Clock::at(START.parse::<Timestamp>()?.as_second());
    let fleet = Fleet::start(fleet(), clock.clone()).await?;
    story.say(&format!(
        "It is {START}, and {} simulated devices listen on loopback, over TLS and SSH:",
        fleet.names().len()
    ));
    let known: Vec<Spec> = fleet.devices().map(|device| device.spec().clone()).collect();
    story.table(&known, FLEET);

    story.step("A collector");
    let house = collector(folder.path(), &fleet, clock.clone())?;
    story.say(
        "It gets a configuration of a few lines, an inventory with a line for each device (here are three), and a password \
         file for each site. All it will ever know goes into one folder, the ledger. Until now it knows nothing.",
    );
    story.quote(&fs::read_to_string(folder.path().join("slp-collector.toml"))?);
    let inventory = fs::read_to_string(folder.path().join("devices.csv"))?;
    story.quote(&inventory.lines().take(4).collect::<Vec<_>>().join("\n"));

    story.step("The first poll");
    let polled = poll(&house).await?;
    story.say(
        "It asks every device who it is, how its licensing stands and which reports it has. It learns each certificate \
         and host key (the lab's certificates are self-signed and some have expired, as on real devices) and will insist \
         on it from now on.",
    );
    story.table(&polled, POLLED);
    story.check(polled.len() == 12 && polled.iter().all(|one| one.failure.is_none()), "all 12 devices answered");
    story.check(polled.iter().all(|one| !one.closed), "nothing was closed on any device");

    story.step("The register of deadlines");
    let before = register(&house, None).await?;
    story.say(
        "One row a device, soonest first. `leave by` is the deadline less the ten days that courier and portal take. \
         `overdue` was late before we came; `never-reported` owes its first ACK, not yet near.",
    );
    story.table(&before, REGISTER);
    story.check(state(&before, LATE) == Some(ObligationState::Overdue), &format!("{LATE} is overdue"));
    story.check(same_as_devices(&before, &fleet), "every deadline is the one that the device itself holds");

    story.step("A night goes by, and one device goes down");
    clock.advance(DAY);
    fleet.device(DOWN).set_fault(Fault::RefuseConnection);
    let polled = poll(&house).await?;
    let failed: Vec<&Polled> = polled.iter().filter(|one| one.failure.is_some()).collect();
    for one in &failed {
        let cause = one.failure.as_ref().map(|(_, cause)| cause.as_str()).unwrap_or_default();
        story.say(&format!("{}: {}", one.device, shorten(cause)));
    }
    story.say("The others are polled all the same; what is known of the silent one stays, and so does its deadline.");
    story.check(failed.len() == 1 && failed[0].device.0 == DOWN.into(), &format!("only {DOWN} failed"));

    story.step("A bundle for the courier");
    let true_up = house.clock.now().checked_sub(SignedDuration::from_hours(1))?;
    let (made, not_polled) = create(&house).await?;
    story.say(
        "Now the running reports are closed, so that usage up to this minute counts, then fetched, kept byte for byte as \
         the devices signed them, and put into a folder that the collector signs.",
    );
    story.say(&format!(
        "bundle {}: {} reports of {} devices; {not_polled} device was not reached and goes with the next one.",
        made.bundle_id, made.reports, made.instances
    ));
    let files = files(&made.path)?;
    let sizes: Vec<(String, usize)> = files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect();
    story.table(&sizes, FILES);
    let verified = bundle::open(&made.path, &Limits::own())?.verify(None);
    story.check(verified.is_ok(), "the bundle verifies: signature, every file, every report");
    let inside = verified.map(|verified| verified.manifest.reports.len()).unwrap_or_default();
    story.check(made.instances == 11 && inside == made.reports, "it holds reports of the 11 devices that answered");
    story.check(!verifies_when_changed(&made.path, folder.path(), &files)?, "with one bit changed it does not verify");

    story.step("The courier, and Cisco's portal");
    let note = "on a stick, by the Thursday boat".to_owned();
    ask(&house, Request::HandOver { id: made.bundle_id.clone(), at: None, note }).await?;
    let mut nights = Vec::new();
    for _ in 0..6 {
        clock.advance(DAY);
        nights.extend(poll(&house).await?);
    }
    let collected: usize = nights.iter().map(|one| one.collected).sum();
    story.say(&format!(
        "The bundle is marked as handed over. Six nights pass with a poll each ({} polls, {collected} new reports: polls \
         never close any). Meanwhile a person uploads one archive for each Smart Account, and the file of the device \
         whose account nobody knew, and downloads the answers:",
        nights.len()
    ));
    let answers = portal(&clock, &files)?;
    let sizes: Vec<(String, usize)> = answers.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect();
    story.table(&sizes, ANSWERS);
    story.check(collected == 0, "the nightly polls changed nothing on the devices");

    story.step("The ACKs come home");
    let (taken, outcomes) = import(&house, &answers).await?;
    story.say(&format!(
        "The answers hold {taken} ACK files. Each is matched to its device by the identity inside, imported by HTTPS or SSH, \
         and read back: only what the device itself then lists as acknowledged counts."
    ));
    let after = register(&house, None).await?;
    let moves = moves(&before, &after, &outcomes);
    story.table(&moves, MOVES);
    story.check(taken == 11 && outcomes.len() == 11, "11 ACKs were matched and delivered");
    story.check(
        outcomes.values().all(|outcome| matches!(outcome, Outcome::ConfirmedById | Outcome::ConfirmedByTime)),
        "every delivery was confirmed by reading the device back",
    );
    story.check(moves.iter().all(|one| one.device == DOWN || one.moved()), "every deadline with an ACK moved or ended");
    story.check(moves.iter().any(|one| one.device == DOWN && one.before == one.after), &format!("{DOWN}'s did not"));
    story.check(same_as_devices(&after, &fleet), "every deadline is still the one that the device itself holds");

    story.step("What was done to one device");
    story.say(&format!("Every write to a device is on record. All that was ever written to {LATE}:"));
    let writes = writes(&house).await?;
    story.quote(&writes.join("\n"));
    story.check(writes.len() == 3, "it was written to three times: close, fetch, import");

    story.step("The register, and the same in 100 days if nothing is done");
    story.say(&format!("`stale` is {DOWN}: it was silent for more than three polls. Its deadline counts on."));
    story.table(&after, REGISTER);
    let at = house.clock.now().checked_add(SignedDuration::from_hours(24 * 100))?;
    let later = register(&house, Some(at)).await?;
    story.say(&format!("The same question for {} (`slp-collector status --at +100d`):", day(Some(at))));
    story.table(&later, REGISTER);
    let overdue = later.iter().filter(|row| row.state == ObligationState::Overdue).count();
    story.say(&format!("{overdue} would be overdue: the next bundle has to leave before the first `leave by` above."));
    story.check(after.iter().all(|row| row.state != ObligationState::Overdue), "today nothing is overdue");
    story.check(state(&later, DOWN) == Some(ObligationState::Overdue), &format!("in 100 days {DOWN} is"));

    story.step("The status page");
    let (url, line) = page(&house).await?;
    story.say(&format!("The daemon serves it, with metrics for Prometheus, on loopback; here {url} has among others:"));
    story.quote(&line);
    story.check(line.contains(DOWN) && line.contains("stale"), &format!("the page shows that {DOWN} is silent"));

    story.step("A snapshot for the true-up");
    let whole = snapshot(&house, true_up).await?;
    story.say(&format!(
        "Who used how much on {}, an hour before the reports were closed (`slp-collector snapshot create --as-of …`):",
        day(Some(true_up))
    ));
    let of_accounts = whole.roll_ups.iter().filter(|sum| sum.by == By::VirtualAccount);
    let (licences, accounts): (Vec<RollUp>, Vec<RollUp>) =
        of_accounts.cloned().partition(|sum| sum.entitlement_tag.is_some());
    story.table(&accounts, ACCOUNTS);
    let Some(sum) = licences.iter().filter(|sum| sum.name.is_some()).max_by_key(|sum| sum.measured) else {
        return Err("no licence of any account was measured".into());
    };
    let tag = sum.entitlement_tag.as_ref().map(|tag| &*tag.0);
    let behind: Vec<Entry> = whole.of(tag, sum.name.as_deref()).cloned().collect();
    story.say(&format!(
        "The {} of {} in {} go back to signed reports (`slp-collector snapshot explain --tag … --account …`):",
        output::or_dash(sum.quantity.as_ref()),
        output::or_dash(behind.first().and_then(|entry| entry.row.license_name.as_ref())),
        output::or_dash(sum.name.as_ref())
    ));
    story.table(&behind, BEHIND);
    let added: u64 = behind.iter().filter_map(|entry| entry.row.quantity).sum();
    story.check(Some(added) == sum.quantity, "the reports add up to the number");
    let unmeasured = |entry: &&Entry| entry.row.quantity.is_none();
    let down = |entry: &Entry| entry.row.device.as_ref().is_some_and(|device| device.0 == DOWN.into());
    story.check(
        whole.rows.iter().filter(unmeasured).any(down) && whole.head.completeness.is_some_and(|share| share < 1.0),
        &format!("{DOWN}, whose report is still owed, is not counted as 0 but as not measured"),
    );

    story.step("What was real here, and what was not");
    story.say(
        "Real: the collector, its ledger, its TLS and HTTP, the reports' way byte for byte, the signature of the bundle. \
         Simulated: the devices, Cisco's portal and the time. The lab encodes our reading of Cisco's public documents, \
         sample code and recordings; some of it nobody outside Cisco can know, such as the inside of an ACK. So this \
         shows that the code does what we mean, not that a device or the portal does. README.md, \"Limits\", has the list.",
    );
    fleet.stop().await;
    Ok(())
}

/// Twelve devices of three systems and seven kinds, three sites, two Smart Accounts, with the differences found in public sources.
fn fleet() -> Vec<Spec> {
    let production = || Some(Account::new("Example Works", "example.com", "Production"));
    let laboratory = || Some(Account::new("Example Works", "example.com", "Laboratory"));
    let islands = || Some(Account::new("Example Islands", "islands.example.com", "Default"));
    let spec = |spec: Spec, age: i64, account: Option<Account>| {
        let site = spec.name.split('-').next().unwrap_or_default().to_owned();
        Spec { user: format!("slp-{site}"), password: format!("of-{site}-only"), site, age: age * DAY, account, ..spec }
    };
    let mut fleet = vec![
        spec(specs::pair("plant-core"), 41, production()),
        spec(specs::stack("plant-stack", 4), 33, production()),
        spec(specs::switch("plant-sw1"), 12, production()),
        spec(specs::switch("plant-sw2"), 60, laboratory()),
        spec(specs::wlc("plant-wlc"), 25, production()),
        spec(Spec { faces: Faces::ssh_and_scp(), ..specs::router("harbour-rtr1") }, 70, production()),
        spec(specs::branch("harbour-rtr2"), 80, production()),
        spec(specs::switch("harbour-sw1"), 5, None),
        spec(Spec { faces: Faces::ssh_and_scp(), ..specs::nexus("harbour-nx1") }, 50, laboratory()),
        spec(Spec { faces: Faces::ssh_and_sftp(), ..specs::xr("islands-xr1") }, 45, islands()),
        spec(specs::switch(LATE), 75, islands()),
        spec(specs::switch(DOWN), 20, islands()),
    ];
    for spec in &mut fleet {
        match spec.name.as_str() {
            "plant-core" => spec.policy = Policy::custom("Works Policy", 90, 180, 90),
            "plant-sw1" => spec.knobs.import_form = ImportForm::Base64,
            "plant-wlc" => (spec.software, spec.knobs.list_shape) = ("17.15.02".to_owned(), ListShape::Strings),
            "plant-sw2" => (spec.software, spec.knobs.state_model) = ("17.12.03".to_owned(), StateModel::Full),
            "harbour-sw1" => spec.knobs.import_form = ImportForm::Json("import".to_owned()),
            "harbour-rtr2" => {
                let tag = "regid.2018-12.com.cisco.DNA_ISR,1.0_00000000-0000-4000-8000-000000000000";
                spec.licences.push(Licence::new(tag, "network-advantage", Class::Subscription, 1));
            }
            // A policy of 60 days whose first ACK was owed two weeks ago. No other has its software: nobody else's form of
            // import is tried on it first.
            LATE => {
                (spec.software, spec.policy) = ("17.03.05".to_owned(), Policy::custom("SLE Policy", 30, 60, 60));
            }
            _ => {}
        }
        spec.tls.expired = spec.name.contains("-sw");
    }
    fleet
}

/// Writes what an operator would write, and opens the collector over it.
fn collector(folder: &Path, fleet: &Fleet, clock: lab::Clock) -> Result<Arc<House>> {
    let mut devices = String::from("name,address,port,ssh_port,access,site,smart_account,virtual_account\n");
    let mut sites = BTreeMap::new();
    for device in fleet.devices() {
        let (spec, addr) = (device.spec(), device.addr());
        let account = spec.account.as_ref().map(|account| (account.smart.as_str(), account.virtual_name.as_str()));
        let (smart, part) = account.unwrap_or_default();
        let (name, ip, https, site) = (&spec.name, addr.ip(), addr.port(), &spec.site);
        match device.ssh_addr() {
            Some(ssh) => writeln!(devices, "{name},{ip},,{},ssh,{site},{smart},{part}", ssh.port())?,
            None => writeln!(devices, "{name},{ip},{https},,rest,{site},{smart},{part}")?,
        }
        sites.insert(spec.site.clone(), (spec.user.clone(), spec.password.clone()));
    }
    let mut config = String::from("[collector]\nstate_dir = \"state\"\n\n[defaults]\nmode = \"deliver\"\n");
    for (site, (user, password)) in &sites {
        writeln!(config, "\n[sites.{site}]\ncredential = \"{site}\"")?;
        writeln!(config, "[credentials.{site}]\nusername = \"{user}\"\npassword_file = \"{site}.password\"")?;
        fs::write(folder.join(format!("{site}.password")), password)?;
    }
    let file = folder.join("slp-collector.toml");
    fs::write(&file, config)?;
    fs::write(folder.join("devices.csv"), devices)?;
    let config = Config::load(&file)?;
    let ledger = flow::open_ledger(&config)?;
    let now = move || Timestamp::from_second(clock.now()).unwrap_or_default();
    Ok(Arc::new(House::new(config, ledger, Clock::of(now))))
}

/// Asks as the command line does. Answers what came on the way, and the end of it.
async fn ask(house: &Arc<House>, request: Request) -> Result<(Vec<Reply>, Answered)> {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let answered = control::execute(house, request, &tell).await?;
    drop(tell);
    let mut replies = Vec::new();
    while let Some(reply) = told.recv().await {
        replies.push(reply);
    }
    Ok((replies, answered))
}

async fn poll(house: &Arc<House>) -> Result<Vec<Polled>> {
    let (replies, _) = ask(house, Request::Poll { devices: Vec::new(), ask: Ask::default() }).await?;
    Ok(polls(replies))
}

fn polls(replies: Vec<Reply>) -> Vec<Polled> {
    let polled = |reply| if let Reply::Polled(polled) = reply { Some(polled) } else { None };
    let mut polled: Vec<Polled> = replies.into_iter().filter_map(polled).collect();
    polled.sort_by(|a, b| a.device.cmp(&b.device));
    polled
}

async fn register(house: &Arc<House>, at: Option<Timestamp>) -> Result<Vec<Row>> {
    let (replies, _) = ask(house, Request::Status(StatusQuery { at, ..StatusQuery::default() })).await?;
    let rows = |reply| if let Reply::Rows(rows) = reply { Some(rows) } else { None };
    Ok(replies.into_iter().filter_map(rows).flatten().collect())
}

/// The bundle, and how many devices could not be asked for their part.
async fn create(house: &Arc<House>) -> Result<(Made, usize)> {
    let request =
        Request::CreateBundle { selection: Selection::default(), close: true, tar: false, out: None, at: None };
    let (replies, answered) = ask(house, request).await?;
    let not_polled = polls(replies).iter().filter(|polled| polled.failure.is_some()).count();
    match answered {
        Answered::Made(made) => Ok((made, not_polled)),
        other => Err(format!("expected a bundle, got {other:?}").into()),
    }
}

async fn snapshot(house: &Arc<House>, as_of: Timestamp) -> Result<Whole> {
    let window = SignedDuration::from_hours(24 * 90);
    let asked = Asked { as_of: Some(as_of), window, form: Form::Json, out: None };
    match ask(house, Request::CreateSnapshot(asked)).await?.1 {
        Answered::Snapshot(snapped) => Ok(read(&snapped.path)?),
        other => Err(format!("expected a snapshot, got {other:?}").into()),
    }
}

/// Hands the answers to the collector: how many it took, and how each device's delivery ended.
async fn import(house: &Arc<House>, answers: &[(String, Vec<u8>)]) -> Result<(usize, BTreeMap<String, Outcome>)> {
    let files = answers.iter().map(|(name, bytes)| (name.clone(), data_encoding::BASE64.encode(bytes))).collect();
    let (replies, _) = ask(house, Request::ImportAnswers { files, deliver: true }).await?;
    let (mut accepted, mut outcomes) = (0, BTreeMap::new());
    for reply in replies {
        match reply {
            Reply::Taken(taken) if taken.result == TakenAs::Accepted => accepted += 1,
            Reply::Delivered(delivered) => drop(outcomes.insert(delivered.device.to_string(), delivered.outcome)),
            _ => {}
        }
    }
    Ok((accepted, outcomes))
}

/// The newest writes to the late device, a line each.
async fn writes(house: &Arc<House>) -> Result<Vec<String>> {
    let Answered::Device(sheet) = ask(house, Request::Device { name: LATE.into() }).await?.1 else {
        return Err("expected a device".into());
    };
    let line = |write: &slp_collector::domain::fleet::WriteRecord| {
        format!("{}  {:<13}  {}", output::minute(Some(write.at)), output::word(&write.write), write.detail)
    };
    Ok(sheet.known.writes.iter().map(line).collect())
}

/// Serves the status page as the daemon does and reads it once: its address, and its line about the one that is down.
async fn page(house: &Arc<House>) -> Result<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let (shown, views) = watch::channel(daemon::view(house));
    let serving = tokio::spawn(http::serve(views, listener));
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    drop(shown);
    serving.await?;
    let line = page.lines().find(|line| line.contains(DOWN)).ok_or("the page lacks a device")?;
    let cells = line.split(['<', '>']).skip(2).step_by(2).filter(|cell| !cell.is_empty());
    Ok((format!("http://{addr}/"), cells.take(6).collect::<Vec<_>>().join("  ")))
}

/// Uploads what READ-ME.txt says to upload: the archives, and the files nobody knows an account for.
fn portal(clock: &lab::Clock, files: &[(String, Vec<u8>)]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut portal = Portal::new();
    let mut answers = Vec::new();
    for (path, bytes) in files {
        let name = path.rsplit('/').next().unwrap_or(path);
        if path.starts_with("UD_SA_") || path.starts_with("unassigned/") {
            let answer = portal.upload(clock.now(), name, bytes)?;
            answers.push((answer.name, answer.bytes));
        }
    }
    Ok(answers)
}

/// Every file below a folder, by its path within.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(folder)?.display().to_string(), fs::read(&path)?));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Does a copy of the bundle verify that differs in one bit of one report?
fn verifies_when_changed(bundle: &Path, folder: &Path, files: &[(String, Vec<u8>)]) -> Result<bool> {
    let copy: PathBuf = folder.join("changed").join(bundle.file_name().unwrap_or_default());
    for (name, bytes) in files {
        let mut bytes = bytes.clone();
        if name.starts_with("unassigned/")
            && let Some(byte) = bytes.get_mut(500)
        {
            *byte ^= 1;
        }
        let path = copy.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&copy))?;
        fs::write(path, bytes)?;
    }
    Ok(bundle::open(&copy, &Limits::own())?.verify(None).is_ok())
}

/// Does the register say what each simulated device holds to be true of itself? They are asked past network and collector.
fn same_as_devices(rows: &[Row], fleet: &Fleet) -> bool {
    rows.iter().all(|row| {
        let handle = row.device.as_ref().and_then(|name| fleet.find(&name.0));
        handle.is_some_and(|handle| handle.state().due == row.due.map(Timestamp::as_second))
    })
}

fn state(rows: &[Row], name: &str) -> Option<ObligationState> {
    rows.iter().find(|row| row.device.as_ref().is_some_and(|device| device.0 == name.into())).map(|row| row.state)
}

/// A deadline before and after the ACKs.
struct Move {
    device: String,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    outcome: Option<Outcome>,
}

impl Move {
    /// Later than it was, or gone because the policy asks for nothing more.
    fn moved(&self) -> bool {
        self.before.is_some() && self.after.is_none_or(|after| Some(after) > self.before)
    }
}

fn moves(before: &[Row], after: &[Row], outcomes: &BTreeMap<String, Outcome>) -> Vec<Move> {
    let due = |row: &Row| after.iter().find(|other| other.device == row.device).and_then(|other| other.due);
    before
        .iter()
        .map(|row| {
            let device = row.device.as_ref().map(ToString::to_string).unwrap_or_default();
            let outcome = outcomes.get(&device).cloned();
            Move { device, before: row.due, after: due(row), outcome }
        })
        .collect()
}

fn day(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// The first words of a long cause.
fn shorten(text: &str) -> String {
    let text = output::printable(text);
    if text.chars().count() <= 90 { text } else { text.chars().take(89).chain(['…']).collect() }
}

const FLEET: &[Column<Spec>] = &[
    ("device", |spec| spec.name.clone()),
    ("product", |spec| spec.udi().pid.clone()),
    ("chassis", |spec| spec.members.len().to_string()),
    ("software", |spec| spec.software.clone()),
    ("reporting policy", |spec| spec.policy.name.clone().unwrap_or_else(|| "Cisco's default".to_owned())),
    ("Smart Account / Virtual Account", |spec| {
        let account = |account: &Account| format!("{} / {}", account.smart, account.virtual_name);
        spec.account.as_ref().map_or_else(|| "none known".to_owned(), account)
    }),
];

const POLLED: &[Column<Polled>] = &[
    ("device", |one| one.device.to_string()),
    ("instance", |one| one.udi.as_ref().map(|udi| format!("{} {}", udi.pid, udi.sn)).unwrap_or_default()),
    ("software", |one| output::or_dash(one.software.as_ref())),
    ("new reports", |one| one.collected.to_string()),
    ("failure", |one| one.failure.as_ref().map_or_else(|| "none".to_owned(), |(_, cause)| shorten(cause))),
];

const REGISTER: &[Column<Row>] = &[
    ("device", |row| output::or_dash(row.device.as_ref())),
    ("state", |row| row.state.to_string()),
    ("contact", |row| row.contact.to_string()),
    ("due", |row| day(row.due)),
    ("leave by", |row| day(row.leave_by)),
    ("days left", |row| row.days_left.map_or_else(|| "-".to_owned(), |days| format!("{days:.0}"))),
    ("last ACK", |row| day(row.last_ack)),
    ("waiting", |row| row.reports_waiting.to_string()),
    ("policy", |row| output::or_dash(row.policy.as_ref())),
];

const ACCOUNTS: &[Column<RollUp>] = &[
    ("Virtual Account", |sum| output::or_dash(sum.name.as_ref())),
    ("quantity", |sum| output::or_dash(sum.quantity.as_ref())),
    ("peak", |sum| output::or_dash(sum.quantity_peak.as_ref())),
    ("measured", |sum| format!("{} of {}", sum.measured, sum.rows)),
];

const BEHIND: &[Column<Entry>] = &[
    ("device", |entry| output::or_dash(entry.row.device.as_ref())),
    ("quantity", |entry| output::or_dash(entry.row.quantity.as_ref())),
    ("how", |entry| entry.row.measured_state.to_string()),
    ("report", |entry| output::or_dash(entry.row.last_report_id.as_ref())),
    ("SHA-256", |entry| {
        entry.row.source_sha256.map_or_else(|| "-".to_owned(), |digest| digest.to_string()[..16].to_owned())
    }),
];

const FILES: &[Column<(String, usize)>] =
    &[("bytes", |(_, size)| format!("{size:>7}")), ("file in the bundle", |(name, _)| name.clone())];

const ANSWERS: &[Column<(String, usize)>] =
    &[("bytes", |(_, size)| format!("{size:>7}")), ("answer of the portal", |(name, _)| name.clone())];

const MOVES: &[Column<Move>] = &[
    ("device", |one| one.device.clone()),
    ("due before", |one| day(one.before)),
    ("due after", |one| match (one.after, &one.outcome) {
        (None, Some(_)) => "no more".to_owned(),
        (after, _) => day(after),
    }),
    ("moved by", |one| match one.before.zip(one.after) {
        Some((before, after)) => format!("{} days", after.duration_since(before).as_hours() / 24),
        None => "-".to_owned(),
    }),
    ("ACK", |one| match &one.outcome {
        Some(Outcome::ConfirmedById) => "the device lists its reports as acknowledged".to_owned(),
        Some(Outcome::ConfirmedByTime) => "the device's last-ACK time moved".to_owned(),
        Some(other) => format!("NOT confirmed: {}", output::word(other)),
        None => "none: it is down".to_owned(),
    }),
];

/// What is printed, and what was checked.
struct Story {
    step: usize,
    failed: Vec<String>,
}

impl Story {
    fn step(&mut self, title: &str) {
        self.step += 1;
        self.put(&format!("\n{:>2}. {title}\n    {}", self.step, "-".repeat(title.chars().count())));
    }

    /// Prose, broken at 112 columns.
    fn say(&self, text: &str) {
        let mut line = String::from("   ");
        for word in text.split_whitespace() {
            if line.chars().count() + word.chars().count() >= 112 {
                self.put(&line);
                line = String::from("   ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.put(&line);
    }

    fn check(&mut self, holds: bool, what: &str) {
        self.put(&format!("    [{}] {what}", if holds { "ok" } else { "FAILED" }));
        if !holds {
            self.failed.push(what.to_owned());
        }
    }

    fn table<T: Sync>(&self, rows: &[T], columns: &[Column<T>]) {
        let mut text = Vec::new();
        output::table(&mut text, rows, columns).unwrap_or_default();
        self.quote(&String::from_utf8_lossy(&text));
    }

    fn quote(&self, text: &str) {
        self.put("");
        text.lines().for_each(|line| self.line(line));
        self.put("");
    }

    fn line(&self, line: &str) {
        self.put(&format!("      {line}"));
    }

    fn note(&self, text: &str) {
        drop(writeln!(std::io::stderr(), "{text}"));
    }

    /// Whoever reads may have seen enough; the checks go on.
    fn put(&self, line: &str) {
        drop(writeln!(std::io::stdout(), "{}", line.trim_end()));
    }
}
