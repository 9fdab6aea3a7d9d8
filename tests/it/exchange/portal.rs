//! The person at the portal, who does what READ-ME.txt says and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use lab::account::Account;
use lab::portal::Answer;
use lab::{Handle, Portal};

use crate::support::site::Site;

/// Which of the two forms of a bundle a person takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `UD_SA_*.tar.gz`, one a Smart Account.
    Archives,
    /// `single/`, one file a device.
    Singles,
}

/// Where a person puts what `unassigned/` holds and the device itself belongs nowhere yet.
pub fn anywhere() -> Account {
    Account::new("Example Works", "example.com", "Default")
}

/// Writes the inventory anew: another access where one is given, and the account of the devices whose is `known` to
/// the operator.
pub fn inventory(site: &Site, access: impl Fn(&Handle) -> Option<&'static str>, known: impl Fn(&Handle) -> bool) {
    let path = site.path("devices.csv");
    let text = fs::read_to_string(&path).unwrap();
    let mut rows = text.lines();
    let columns: Vec<&str> = rows.next().unwrap().split(',').collect();
    let own = columns.iter().position(|column| *column == "smart_account").unwrap_or(columns.len());
    let at = columns.iter().position(|column| *column == "access").unwrap();
    let mut csv = format!("{},smart_account,virtual_account\n", columns[..own].join(","));
    for row in rows {
        let mut fields: Vec<&str> = row.split(',').take(own).collect();
        let device = site.device(fields[0]);
        fields[at] = access(&device).unwrap_or(fields[at]);
        let account = device.spec().account.as_ref().filter(|_| known(&device));
        let (smart, of) = account.map_or(("", ""), |account| (&account.smart, &account.virtual_name));
        csv += &format!("{},{smart},{of}\n", fields.join(","));
    }
    fs::write(path, csv).unwrap();
}

/// The portal to which every device of the site already belongs, with all of its chassis.
pub fn portal_of(site: &Site) -> Portal {
    let mut portal = Portal::new();
    for device in site.fleet.devices() {
        if let Some(account) = &device.spec().account {
            device.spec().members.iter().for_each(|member| portal.enrol(member.udi.clone(), account.clone()));
        }
    }
    portal
}

/// Uploads everything in one form, and what is in `unassigned/`. The answers; any refusal ends the test.
pub fn carry(site: &Site, portal: &mut Portal, bundle: &Path, form: Form) -> Vec<Answer> {
    let now = site.fleet.clock().now();
    let mut upload = |path: &Path, under: Option<&Account>| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(path).unwrap();
        let answer = match under {
            Some(account) => portal.upload_under(now, account, name, &bytes),
            None => portal.upload(now, name, &bytes),
        };
        answer.unwrap_or_else(|refusal| panic!("{form:?}: the portal refuses {refusal}"))
    };
    let mut answers = Vec::new();
    match form {
        Form::Archives => {
            let archives = children(bundle).into_iter().filter(|path| of_name(path).starts_with("UD_SA_"));
            answers.extend(archives.map(|archive| upload(&archive, None)));
        }
        Form::Singles => {
            let told = accounts_told(bundle);
            assert_eq!(told.len(), children(&bundle.join("single")).len(), "READ-ME.txt names every single file");
            answers.extend(told.iter().map(|(file, account)| upload(file, Some(account))));
        }
    }
    for file in children(&bundle.join("unassigned")) {
        let account = owner(site, &file).spec().account.clone().unwrap_or_else(anywhere);
        answers.push(upload(&file, Some(&account)));
    }
    answers
}

/// The device whose serial number stands in a file's name.
pub fn owner(site: &Site, file: &Path) -> Handle {
    let name = of_name(file);
    let serial = |device: &&Handle| device.spec().members.iter().any(|member| name.contains(&member.udi.sn));
    site.fleet.devices().find(serial).unwrap_or_else(|| panic!("{name} is of no device")).clone()
}

/// The files of `single/` and the account under which READ-ME.txt tells a person to upload each.
fn accounts_told(bundle: &Path) -> Vec<(PathBuf, Account)> {
    let read_me = fs::read_to_string(bundle.join("READ-ME.txt")).unwrap();
    let (mut told, mut account) = (Vec::new(), None);
    for line in read_me.lines().map(str::trim) {
        if let Some((smart, of)) =
            line.strip_prefix("Smart Account ").and_then(|rest| rest.split_once(", Virtual Account "))
        {
            account = Some(Account::new(smart, "", of));
        } else if line.starts_with("single/") && line.ends_with(".txt") {
            told.push((bundle.join(line), account.clone().expect("an account stands above the files")));
        }
    }
    told
}

/// What is in a folder, in the order of names; nothing when it is not there.
pub fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn of_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
