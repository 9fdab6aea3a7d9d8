//! The configuration file, table by table, into [`Config`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::place::Place;
use super::raw::{self, Document, Section, duration_in, path_in, size, whole, word};
use super::settings::{Collector, Deadline, Delivery, Exchange, Http, Log, Poll};
use super::{Config, alerts, commands, credential, duration, sinks, snapshot, terms, upstreams, violations};
use crate::domain::event::ImportForm;
use crate::domain::instance::Site;
use crate::domain::policy::{ClassPolicy, Policy};
use crate::domain::settings::{Os, Word};
use crate::domain::violation;

/// Reads the whole file; the inventory comes after it.
pub(super) fn config(document: &Document<'_>, table: &DeTable<'_>, file: &Path) -> Config {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut root = Section::root(document, table);

    let collector = collector(root.section("collector"), folder);
    let poll = poll(root.section("poll"));
    let deadline = deadline(root.section("deadline"), &poll);
    let exchange = exchange(root.section("exchange"), folder, &collector.state_dir);
    let delivery = delivery(root.section("delivery"));
    let mut section = root.section("snapshot");
    let terms = terms::read(&mut section, folder);
    let snapshot = snapshot::read(section, folder, &collector.state_dir);
    let mut violations = violation::Rules::default();
    violations::read(root.section("violations"), &mut violations.everywhere);
    let alerts = alerts::read(root.section("alerts"));
    let http = http(root.section("http"));
    let log = log(root.section("log"));
    let credentials = credential::read(&mut root, folder);
    let commands = commands::read(&mut root);

    let (exchange_lead, site_concurrency) = (exchange.lead, poll.site_concurrency);
    let mut defaults = Place { exchange_lead, site_concurrency, ..Place::default() };
    let mut section = root.section("defaults");
    defaults.read(&mut section, folder, &credentials, &commands);
    section.refuse("exchange_lead", "is for a site; write the lead of everybody as lead in [exchange]");
    section.refuse("site_concurrency", "is for a site; write that of every site as site_concurrency in [poll]");
    section.finish(&["exchange_lead", "site_concurrency"]);

    let mut sites = BTreeMap::new();
    for (name, at, mut section) in root.named("sites") {
        section.check_name(&name, at);
        let mut site = defaults.clone();
        site.read(&mut section, folder, &credentials, &commands);
        section.read("exchange_lead", &mut site.exchange_lead, duration_in("0s", "365d"));
        section.read("site_concurrency", &mut site.site_concurrency, places);
        let mut own = violations.everywhere.clone();
        violations::read(section.section("violations"), &mut own);
        if own != violations.everywhere {
            violations.sites.insert(Site::from(name.clone()), own);
        }
        section.finish(&[]);
        sites.insert(Site::from(name), site);
    }
    let sinks = sinks::read(&mut root, folder, &sites);
    let upstreams = upstreams::read(&mut root, folder, &credentials);
    root.finish(&[]);

    let file = file.to_owned();
    let inventory = super::inventory::Inventory::default();
    Config {
        file,
        collector,
        poll,
        deadline,
        exchange,
        delivery,
        terms,
        snapshot,
        violations,
        alerts,
        http,
        log,
        credentials,
        commands,
        defaults,
        sites,
        inventory,
        licences: super::Licences::default(),
        sinks,
        upstreams,
    }
}

fn collector(mut section: Section<'_, '_>, folder: &Path) -> Collector {
    let mut collector = Collector::default();
    section.read("name", &mut collector.name, raw::text);
    section.read("state_dir", &mut collector.state_dir, path_in(folder));
    // The one default that is relative, and so to the file as well.
    collector.inventory = folder.join(&collector.inventory);
    match section.optional("inventory", path_in(folder)) {
        Some(inventory) => collector.inventory = inventory,
        None if section.place("inventory").is_some() => collector.inventory = PathBuf::new(),
        None => {}
    }
    section.read("socket", &mut collector.socket, path_in(folder));
    section.read("credential_hold_after", &mut collector.credential_hold_after, small(1, 1000));
    section.finish(&[]);
    collector
}

fn poll(mut section: Section<'_, '_>) -> Poll {
    let mut poll = Poll::default();
    section.read("schedule", &mut poll.schedule, raw::schedule);
    section.read("spread", &mut poll.spread, duration_in("0s", "7d"));
    section.read("concurrency", &mut poll.concurrency, places);
    section.read("connect_timeout", &mut poll.connect_timeout, duration_in("100ms", "5m"));
    section.read("read_timeout", &mut poll.read_timeout, duration_in("100ms", "1h"));
    section.read("device_timeout", &mut poll.device_timeout, duration_in("1s", "6h"));
    section.read("body_limit", &mut poll.body_limit, size);
    section.read("in_flight_limit", &mut poll.in_flight_limit, size);
    section.read("requests_per_connection", &mut poll.requests_per_connection, small(1, 1000));
    section.read("site_concurrency", &mut poll.site_concurrency, places);
    section.read("connects_per_second", &mut poll.connects_per_second, small(1, 10_000));
    section.read("back_off", &mut poll.back_off, duration_in("1s", "12h"));
    section.read("circuit_after", &mut poll.circuit_after, small(2, 100_000));
    section.read("circuit_pause", &mut poll.circuit_pause, duration_in("1s", "12h"));

    let gap = poll.schedule.shortest();
    if poll.spread >= gap {
        let (spread, gap) = (duration::show(poll.spread), duration::show(gap));
        section.mistake(
            "spread",
            format!("poll.spread is {spread}, but poll.schedule runs every {gap}, so that runs would overlap; write less than {gap}"),
        );
    }
    for (key, timeout) in [("connect_timeout", poll.connect_timeout), ("read_timeout", poll.read_timeout)] {
        if timeout > poll.device_timeout {
            let (timeout, whole) = (duration::show(timeout), duration::show(poll.device_timeout));
            section.mistake(
                key,
                format!("poll.{key} is {timeout}, longer than poll.device_timeout; write at most {whole}"),
            );
        }
    }
    if poll.body_limit > poll.in_flight_limit {
        let (body, all) = (poll.body_limit, poll.in_flight_limit);
        section.mistake(
            "body_limit",
            format!(
                "poll.body_limit is {body}, more than poll.in_flight_limit leaves for all polls; write at most {all}"
            ),
        );
    }
    section.finish(&[]);
    poll
}

fn deadline(mut section: Section<'_, '_>, poll: &Poll) -> Deadline {
    let mut deadline = Deadline::under(&poll.schedule);
    section.read("due_soon", &mut deadline.due_soon, duration_in("1d", "365d"));
    section.read("stale_after", &mut deadline.stale_after, duration_in("1m", "365d"));
    let mut policies = section.section("default_policy");
    for (os, name) in Os::ALL.iter().zip(Os::WORDS) {
        policy(policies.section(name), deadline.default_policy.of_mut(*os));
    }
    policies.finish(&[]);
    section.finish(&[]);
    deadline
}

fn policy(mut section: Section<'_, '_>, policy: &mut Policy) {
    for (key, class) in [
        ("perpetual", &mut policy.perpetual),
        ("subscription", &mut policy.subscription),
        ("enforced", &mut policy.enforced),
        ("export", &mut policy.export),
    ] {
        let mut numbers = section.section(key);
        let mut read = class.unwrap_or_default();
        let ClassPolicy { first_report_days, reporting_frequency_days, report_on_change_days } = &mut read;
        numbers.read("first_report_days", first_report_days, |value| days(value).map(Some));
        numbers.read("reporting_frequency_days", reporting_frequency_days, |value| days(value).map(Some));
        numbers.read("report_on_change_days", report_on_change_days, |value| days(value).map(Some));
        numbers.finish(&[]);
        *class = Some(read);
    }
    section.finish(&[]);
}

fn exchange(mut section: Section<'_, '_>, folder: &Path, state_dir: &Path) -> Exchange {
    let mut exchange = Exchange::within(state_dir);
    section.read("lead", &mut exchange.lead, duration_in("0s", "365d"));
    section.read("folder", &mut exchange.folder, path_in(folder));
    let path = path_in(folder);
    let watched = |value: &DeValue<'_>| if value.as_str() == Some("") { Ok(None) } else { path(value).map(Some) };
    section.read("import", &mut exchange.import, watched);
    section.read("signer", &mut exchange.signer, path_in(folder));
    section.read("close_within", &mut exchange.close_within, duration_in("0s", "365d"));
    let import = exchange.import.as_deref();
    if [&*exchange.folder, &*exchange.signer, state_dir].into_iter().any(|taken| import == Some(taken)) {
        let message = "exchange.import is a folder that the collector writes other things to, which it would take in; \
                       write one of its own, or \"\" for none";
        section.mistake("import", message.to_owned());
    }
    section.finish(&[]);
    exchange
}

fn delivery(mut section: Section<'_, '_>) -> Delivery {
    let mut delivery = Delivery::default();
    section.read("retry_after", &mut delivery.retry_after, duration_in("1m", "30d"));
    section.read("attempts", &mut delivery.attempts, small(1, 100));
    section.read("import_forms", &mut delivery.import_forms, import_forms);
    section.finish(&[]);
    delivery
}

fn http(mut section: Section<'_, '_>) -> Http {
    let mut http = Http::default();
    section.read("enabled", &mut http.enabled, raw::yes_or_no);
    section.read("listen", &mut http.listen, listen);
    section.read("per_device", &mut http.per_device, word);
    section.finish(&[]);
    http
}

fn listen(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let addr = value.as_str().and_then(|text| text.parse().ok());
    addr.ok_or_else(|| r#"write an address and a port such as "127.0.0.1:9824" or "[::1]:9824""#.to_owned())
}

fn log(mut section: Section<'_, '_>) -> Log {
    let mut log = Log::default();
    section.read("level", &mut log.level, word);
    section.read("format", &mut log.format, word);
    section.finish(&[]);
    log
}

/// So many at once.
fn places(value: &DeValue<'_>) -> Result<usize, String> {
    whole(1, 4096)(value).map(|number| number as usize)
}

fn days(value: &DeValue<'_>) -> Result<u32, String> {
    small(0, 3650)(value)
}

fn small(least: u32, most: u32) -> impl Fn(&DeValue<'_>) -> Result<u32, String> {
    let read = whole(least.into(), most.into());
    move |value| read(value).map(|number| u32::try_from(number).unwrap_or(most))
}

fn import_forms(value: &DeValue<'_>) -> Result<Vec<ImportForm>, String> {
    let instead = || r#"write a list of "raw", "base64" and "json:KEY", each once"#.to_owned();
    let mut forms = Vec::new();
    for form in raw::list(value).map_err(|_| instead())? {
        let form = match form.as_str() {
            "raw" => ImportForm::Raw,
            "base64" => ImportForm::Base64,
            other => match other.strip_prefix("json:").filter(|key| !key.is_empty()) {
                Some(key) => ImportForm::Json(key.to_owned()),
                None => return Err(format!("{:?} is no form; {}", raw::printable(other), instead())),
            },
        };
        if forms.contains(&form) {
            return Err(instead());
        }
        forms.push(form);
    }
    Ok(forms)
}
