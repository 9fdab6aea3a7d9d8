//! Configuration: what is read, what is refused, and what the shipped files say.

use std::fs;

use super::*;
use crate::domain::event::ImportForm;
use crate::domain::instance::DeviceName;
use crate::domain::settings::{Access, ByteSize, Mode, Os, Reporter, Trust};

const SHIPPED: &str = include_str!("../../config/slp-collector.toml");
const SHIPPED_DEVICES: &str = include_str!("../../config/devices.csv");

/// Loads a configuration and an inventory out of a folder of their own.
fn load(toml: &str, csv: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slp-collector.toml");
    fs::write(&file, toml).unwrap();
    fs::write(folder.path().join("devices.csv"), csv).unwrap();
    fs::write(folder.path().join("ca.pem"), "").unwrap();
    let prefix = format!("{}/", folder.path().display());
    let mut config = Config::load(&file).map_err(|mistakes| mistakes.to_string().replace(&prefix, ""))?;
    config.file = "slp-collector.toml".into();
    config.collector.inventory = config.collector.inventory.strip_prefix(folder.path()).unwrap().to_owned();
    Ok(config)
}

fn defaults() -> Config {
    load("", SHIPPED_DEVICES).unwrap()
}

#[test]
fn shipped_file_is_the_defaults() {
    assert_eq!(load(SHIPPED, SHIPPED_DEVICES).unwrap(), defaults());
}

/// A key of the shipped file is a line `# key = value`; prose never has that form.
fn is_key(line: &str) -> bool {
    line.strip_prefix("# ")
        .and_then(|line| line.split_once(" = "))
        .is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

#[test]
fn uncommenting_any_key_of_the_shipped_file_changes_nothing() {
    let lines: Vec<&str> = SHIPPED.lines().collect();
    let keys: Vec<usize> = (0..lines.len()).filter(|at| is_key(lines[*at])).collect();
    let uncommented = |chosen: &[usize]| -> String {
        let line =
            |(at, line): (usize, &&str)| if chosen.contains(&at) { line[2..].to_owned() } else { (*line).to_owned() };
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    };
    for at in &keys {
        assert_eq!(load(&uncommented(&[*at]), SHIPPED_DEVICES).as_ref(), Ok(&defaults()), "{}", lines[*at]);
    }
    assert_eq!(load(&uncommented(&keys), SHIPPED_DEVICES).as_ref(), Ok(&defaults()));
}

/// Every key that is read has its line in the shipped file; the reader itself tells which those are.
#[test]
fn shipped_file_has_every_key() {
    let tables = [
        "",
        "collector",
        "poll",
        "deadline",
        "deadline.default_policy",
        "deadline.default_policy.ios-xe",
        "deadline.default_policy.ios-xr",
        "deadline.default_policy.nx-os",
        "deadline.default_policy.nx-os.export",
        "exchange",
        "delivery",
        "snapshot",
        "snapshot.post",
        "violations",
        "violations.severity",
        "http",
        "log",
        "defaults",
        "sites.x",
        "credentials.x",
        "commands.x",
        "sinks.webhook",
        "sinks.alertmanager",
        "sinks.mail",
        "sinks.syslog",
        "sinks.command",
        "upstreams.cssm",
    ];
    let unknown = |table: &&str| match *table {
        "" => "zzzzzzzzzz = 1\n".to_owned(),
        table => match table.strip_prefix("sinks.").or(table.strip_prefix("upstreams.")) {
            Some(kind) => format!("[{table}]\ntype = {kind:?}\nzzzzzzzzzz = 1\n"),
            None => format!("[{table}]\nzzzzzzzzzz = 1\n"),
        },
    };
    let text: String = tables.iter().map(unknown).collect();
    let told = load(&text, SHIPPED_DEVICES).unwrap_err();
    let mut seen = 0;
    for line in told.lines().filter(|line| line.contains("is not a known key")) {
        let (_, known) = line.rsplit_once("; write ").unwrap();
        for key in known.split([',', ' ']).filter(|key| !key.is_empty() && *key != "or") {
            let written = SHIPPED.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ']);
                line.starts_with(&format!("{key} = "))
                    || line.split(['[', ']', '.']).any(|part| part == key)
                    || line.contains(&format!("{key} = "))
            });
            assert!(written, "{key} is not in the shipped file: {line}");
            seen += 1;
        }
    }
    assert!(told.lines().filter(|line| line.contains("is not a known key")).count() == tables.len(), "{told}");
    assert!(seen > 60, "{seen}");
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = defaults();
    assert_eq!(config.poll.schedule.to_string(), "0 3 * * *");
    assert_eq!(config.deadline.stale_after, duration::parse("3d").unwrap());
    assert_eq!(config.exchange.folder, Path::new("/var/lib/slp-collector/exchange"));
    assert_eq!(config.poll.in_flight_limit, ByteSize::mib(256));
    assert_eq!(config.defaults.mode, Mode::Observe);
    assert_eq!(config.defaults.exchange_lead, duration::parse("10d").unwrap());
    assert_eq!(config.deadline.default_policy.of(Os::IosXr).source.as_deref(), Some(CONFIGURED_DEFAULT));
}

const FLEET: &str = r#"
[collector]
state_dir = "state"

[poll]
schedule = "*/30 * * * *"
spread = "10m"

[exchange]
lead = "7d"

[delivery]
import_forms = ["json:ack", "raw"]

[credentials.routers]
username = "slpcol"
password_credential = "routers"

[credentials.core]
username = "admin"
password_command = ["bin/ask", "core"]

[defaults]
credential = "routers"
smart_account = "example.com"

[sites.dark]
mode = "deliver"
reporter = "collector"
exchange_lead = "21d"
virtual_account = "Dark"
timezone = "UTC"

[sites.hq]
trust = "ca"
ca_file = "ca.pem"
reporter = "on-prem"
"#;

const DEVICES: &str = "\
# a comment first
site,name,address,port,mode,credential,trust,pin,virtual_account,tags,os,access
dark,edge-01,192.0.2.1,,,,,,,\"a;b a\",,

# another
dark,edge-02,192.0.2.1,8443,collect,core,pinned,BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD,Core,,ios-xe,rest
hq,sw-1,Sw-1.Example.com,,,,,,,,,
,far,,,,,,,,,,by-hand
";

#[test]
fn device_takes_from_its_row_then_its_site_then_the_defaults() {
    let config = load(FLEET, DEVICES).unwrap();
    let device = |name: &str| config.inventory.device(&DeviceName::from(name)).unwrap();
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);

    let edge = device("edge-01");
    assert_eq!((edge.mode, edge.reporter, edge.trust), (Mode::Deliver, Reporter::Collector, Trust::Learn));
    assert_eq!((edge.credential.as_deref(), edge.exchange_lead, edge.line), (Some("routers"), days(21), 3));
    assert_eq!(edge.account.smart_account.as_deref(), Some("example.com"));
    assert_eq!(edge.account.virtual_account.as_deref(), Some("Dark"));
    assert_eq!(edge.tags, ["a", "b"]);
    assert_eq!((edge.os, edge.access), (None, Access::Auto));
    assert_eq!(edge.authority().as_deref(), Some("192.0.2.1:443"));

    let other = device("edge-02");
    assert_eq!((other.mode, other.trust, other.line), (Mode::Collect, Trust::Pinned, 6));
    assert_eq!((other.os, other.access, other.credential.as_deref()), (Some(Os::IosXe), Access::Rest, Some("core")));
    assert_eq!(other.pin, Some(crate::domain::digest::Sha256::of(b"abc").into()));
    assert_eq!(other.account.virtual_account.as_deref(), Some("Core"));

    let switch = device("sw-1");
    assert_eq!((switch.reporter, switch.trust, switch.exchange_lead), (Reporter::OnPrem, Trust::Ca, days(7)));
    assert!(switch.ca_file.as_ref().unwrap().ends_with("ca.pem"));
    assert_eq!(switch.authority().as_deref(), Some("sw-1.example.com:443"));

    let far = device("far");
    assert_eq!((far.address.as_ref(), far.within_reach(), far.mode), (None, false, Mode::Observe));
    assert_eq!(config.inventory.len(), 4);
}

#[test]
fn what_is_derived_follows_what_it_is_derived_from() {
    let config = load(FLEET, DEVICES).unwrap();
    assert_eq!(config.deadline.stale_after, duration::parse("90m").unwrap());
    assert!(config.collector.state_dir.ends_with("state") && config.collector.state_dir.is_absolute());
    assert_eq!(config.exchange.signer, config.collector.state_dir.join("signer"));
    assert_eq!(config.delivery.import_forms, [ImportForm::Json("ack".to_owned()), ImportForm::Raw]);
    let Some(crate::secret::Source::Command(words)) = &config.credentials["core"].password else {
        panic!("not a command")
    };
    assert!(words[0].ends_with("/bin/ask") && Path::new(&words[0]).is_absolute());
}

#[test]
fn a_sites_word_on_violations_is_laid_over_that_of_everybody() {
    use crate::domain::violation::{Kind, Severity};

    let toml = "[violations]\noff = [\"not-slp\", \"orphaned\"]\nack_missing_after = \"21d\"\n\
                [violations.severity]\nclock-skew = \"info\"\nreport-gap = \"critical\"\n\
                [sites.far.violations]\noff = [\"clock-skew\"]\nexpected_policy = \"Field\"\n\
                [sites.far.violations.severity]\nreport-gap = \"info\"\n[sites.near]\nmode = \"collect\"\n";
    let rules = load(toml, SHIPPED_DEVICES).unwrap().violations;
    let (far, near) = (rules.of(&Site::from("far")), rules.of(&Site::from("near")));
    assert_eq!(near, &rules.everywhere);
    assert!(!near.is_on(Kind::NotSlp) && !near.is_on(Kind::Orphaned) && near.is_on(Kind::ClockSkew));
    assert!(far.is_on(Kind::NotSlp) && !far.is_on(Kind::ClockSkew));
    let severity = |kind: Kind| (near.severity(kind, kind.severity()), far.severity(kind, kind.severity()));
    assert_eq!(severity(Kind::ClockSkew), (Severity::Info, Severity::Info));
    assert_eq!(severity(Kind::ReportGap), (Severity::Critical, Severity::Info));
    assert_eq!(severity(Kind::AckOverdue), (Severity::Critical, Severity::Critical));
    assert_eq!((near.ack_missing_after, far.ack_missing_after), (far.ack_missing_after, near.ack_missing_after));
    assert_eq!(far.ack_missing_after.as_hours(), 21 * 24);
    assert_eq!(far.expected_policy.as_deref(), Some("Field"));
}

/// What is said of the operator's tables, by file and line.
fn licences(names: &str, entitlements: &str) -> Result<Licences, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("c.toml", "[snapshot]\nnames = \"licences.csv\"\nentitlements = \"entitlements.csv\"\n");
    write("devices.csv", SHIPPED_DEVICES);
    write("licences.csv", names);
    write("entitlements.csv", entitlements);
    let prefix = format!("{}/", folder.path().display());
    let loaded = Config::load(&folder.path().join("c.toml"));
    loaded.map(|config| config.licences).map_err(|mistakes| mistakes.to_string().replace(&prefix, ""))
}

#[test]
fn tables_of_licences_are_read_and_each_mistake_has_its_line() {
    use crate::domain::snapshot::{Family, Milestones, Naming, OperatorNames, Tier};

    let names = "family,licence,tier,name\nadd-on,\"regid.x.com.cisco.y,1.0_z\",,Spaces\n,dna-p,premier,\n";
    let bought = "account,suite,licence,quantity,tier,growth_allowance,term_start,term_end,milestones,rate_model\n\
                  # a comment\n\
                  Branch,Switching,dna-a; dna-e,120,advantage,15%,2025-01-01,2027-12-31,annual,list price\n\
                  Branch,,dna-a,150,,,2028-01-01,2028-12-31,,\n";
    let read = licences(names, bought).unwrap();
    let spaces = Naming { name: Some("Spaces".into()), family: Some(Family::AddOn), ..Naming::default() };
    let premier = Naming { tier: Some(Tier::Premier), ..Naming::default() };
    let table = [("regid.x.com.cisco.y,1.0_z", spaces), ("dna-p", premier)];
    assert_eq!(read.names, table.map(|(key, naming)| (key.to_owned(), naming)).into_iter().collect::<OperatorNames>());
    let read = read.entitlements.unwrap();
    assert_eq!(read[0].licences, ["dna-a", "dna-e"]);
    assert_eq!((read[0].quantity, read[0].tier, read[0].growth_allowance), (120, Some(Tier::Advantage), Some(15)));
    assert_eq!((read[0].milestones, read[0].rate_model.as_deref()), (Some(Milestones::Annual), Some("list price")));
    assert_eq!((read[1].term_end.to_string(), read.len()), ("2028-12-31".to_owned(), 2));

    let names = "licence,name,tier,family\ndna-a,,best,\ndna-a,A,,\n,B,,\ndna-b,,,\n";
    let bought = "account,licence,quantity,term_start,term_end,price\n\
                  Branch,dna-a,12.5,2025-01-01,2027-12-31,1\n\
                  Branch,dna-a,12,2025-01-01,2027-12-31,1\n\
                  branch,DNA-A,13,2027-12-31,2028-12-31,1\n\
                  Branch,dna-b,13,2027-12-31,2026-12-31,1\n\
                  Branch,;,13,01.01.2027,,1\n\
                  ,dna-c,,2025-01-01,2027-12-31,1\n";
    let told = licences(names, bought).unwrap_err();
    let expected = "\
entitlements.csv:1: \"price\" is not a known column; write account, suite, licence, quantity, tier, growth_allowance, term_start, term_end, milestones or rate_model
entitlements.csv:2: quantity is \"12.5\"; write a whole number
entitlements.csv:4: licence \"DNA-A\" of account \"branch\" is at line 3 for that time, too; write one line with the quantity of both, or terms that do not overlap
entitlements.csv:5: the term is from 2027-12-31 to 2026-12-31; write an end that is not before the start, and at most 20 years after it
entitlements.csv:6: has no term_end; write one
entitlements.csv:6: term_start is \"01.01.2027\"; write a day such as 2026-01-31
entitlements.csv:7: has no account; write one
entitlements.csv:7: has no quantity; write one
licences.csv:2: tier is \"best\"; write essentials, advantage or premier
licences.csv:3: licence \"dna-a\" is at line 2, too; write it once
licences.csv:4: has no licence; write one
licences.csv:5: says nothing of the licence; write its name, its tier or its family";
    assert_eq!(told, expected);
    assert!(
        licences("name,tier\n", "").unwrap_err().contains("licences.csv:1: has no column licence; write a first line")
    );
}

#[test]
fn all_mistakes_of_both_files_come_at_once_in_order() {
    let toml = "[poll]\nconcurency = 3\nspread = \"1x\"\n\n[log]\nlevel = \"loud\"\n";
    let told = load(toml, "name,address,sites\na,192.0.2.1,x\na b,192.0.2.2,\n").unwrap_err();
    let places: Vec<&str> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "devices.csv:1",
            "devices.csv:2",
            "devices.csv:3",
            "slp-collector.toml:2",
            "slp-collector.toml:3",
            "slp-collector.toml:6"
        ],
        "{told}"
    );
    assert!(told.contains("poll.concurency is not a known key; did you mean \"concurrency\"?"), "{told}");
    assert!(told.contains("\"sites\" is not a known column; did you mean \"site\"?"), "{told}");
}

#[test]
fn lines_are_counted_through_comments_blanks_and_carriage_returns() {
    let csv =
        "\u{feff}# one\r\n\r\nname,address\r\n# four\r\n\r\n\r\na,192.0.2.1\r\n,,\r\n#\r\nb b,192.0.2.2\r\n,192.0.2.3";
    let toml = "[defaults]\naccess = \"by-hand\"\n";
    let told = load(toml, csv).unwrap_err();
    let places: Vec<&str> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["devices.csv:10", "devices.csv:11"], "{told}");
}

#[test]
fn missing_files_are_told_by_name() {
    let told = Config::load(Path::new("/nonexistent/x.toml")).unwrap_err().to_string();
    assert!(told.starts_with("/nonexistent/x.toml:1: cannot be read: "), "{told}");
    let told = load("[collector]\ninventory = \"other.csv\"\n", "").unwrap_err();
    assert!(told.starts_with("other.csv:1: cannot be read: "), "{told}");
    let told = load("[snapshot]\nnames = \"licences.csv\"\n", SHIPPED_DEVICES).unwrap_err();
    assert!(told.starts_with("licences.csv:1: cannot be read: "), "{told}");
}
