//! What an upstream told in one reading, and how its JSON is read.
//!
//! No list of the members of License On-Prem's answers is public. Confirmed by public programs that use its API are the
//! lists `accounts`, `virtualAccounts`, `devices`, `licenses` and `alerts`; `name`, `cssm_smart_account_name` of an account;
//! `license`, `status`, `inUse`, `available`, `quantity` of a licence; `messageType`, `severity`, `source` of an alert; and
//! `sudi` with `udiPid` and `udiSerialNumber` where it takes instances back. How a device's last contact and a server's
//! last synchronisation and version are called is inferred from Cisco's cloud API (`lastContactDate`) and guessed. So
//! names are compared by letters and digits alone, several are tried, and what is not found is told, never assumed.

use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::certificate::Certificate;
use crate::domain::cross_check::Seen;
use crate::domain::instance::{Account, Udi};
use crate::domain::problem::{Problems, excerpt, printable};

/// The longest name that is taken from an answer, in characters.
const LONGEST: usize = 256;

/// What an upstream told in one reading; kept as JSON of this form. **stored**
#[derive(Debug, Default, Serialize)]
pub struct Said {
    /// The Smart Accounts that were read, by name.
    pub smart_accounts: Vec<String>,
    pub devices: Vec<Seen>,
    pub licenses: Vec<License>,
    pub alerts: Vec<Alert>,
    pub version: Option<String>,
    /// When it last synchronised with Cisco; of several accounts the one longest ago.
    pub synced: Option<Timestamp>,
    /// The chain that it showed, its own certificate first.
    pub certificates: Vec<Certificate>,
    #[serde(serialize_with = "sentences")]
    pub problems: Problems,
}

fn sentences<S: serde::Serializer>(problems: &Problems, serializer: S) -> Result<S::Ok, S::Error> {
    problems.sentences().serialize(serializer)
}

/// One licence of an account, as the upstream counts it. **stored**
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct License {
    pub account: Account,
    pub name: String,
    /// The tag that reports carry, where it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    pub status: Option<String>,
    pub in_use: Option<i64>,
    pub available: Option<i64>,
    pub quantity: Option<i64>,
}

/// One of the upstream's own alerts. **stored**
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The account that it is about, by its name there.
    pub account: String,
    pub severity: Option<String>,
    pub kind: Option<String>,
    pub source: Option<String>,
}

/// A local account of License On-Prem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// What it is called there, and in paths.
    pub name: String,
    /// The Smart Account at Cisco that it is tied to, where that is told.
    pub smart_account: Option<String>,
    pub synced: Option<Timestamp>,
}

/// The list that an answer must have, under any of these names or as the whole answer.
pub(super) fn list<'v>(answer: &'v Value, names: &[&str]) -> Result<&'v [Value], String> {
    let list = match answer {
        Value::Array(list) => Some(list),
        Value::Object(members) => member(members, names).and_then(Value::as_array),
        _ => None,
    };
    list.map(Vec::as_slice).ok_or_else(|| printable(&excerpt(&answer.to_string())))
}

/// The accounts of a server, and its version where it told that too.
pub(super) fn accounts(answer: &Value, problems: &mut Problems) -> Result<(Vec<Local>, Option<String>), String> {
    let mut read = Vec::new();
    for one in list(answer, &["accounts"])? {
        let Some((members, name)) = named(one, &["name", "accountname"]) else {
            problems.fault(format!("an account without a name: {}", shown(one)));
            continue;
        };
        let smart_account = word(members, &["cssmsmartaccountname", "smartaccountname"]);
        read.push(Local { name, smart_account, synced: synchronised(members, problems) });
    }
    let version =
        answer.as_object().and_then(|members| word(members, &["version", "onpremversion", "softwareversion"]));
    Ok((read, version))
}

/// The names of the Virtual Accounts of an account.
pub(super) fn virtual_accounts(answer: &Value, problems: &mut Problems) -> Result<Vec<String>, String> {
    let mut read = Vec::new();
    for one in list(answer, &["virtualaccounts"])? {
        match one.as_str().map(short).or_else(|| named(one, &["name", "virtualaccountname"]).map(|(_, name)| name)) {
            Some(name) if !name.is_empty() => read.push(name),
            Some(_) | None => problems.fault(format!("a Virtual Account without a name: {}", shown(one))),
        }
    }
    Ok(read)
}

/// The product instances on one page, the entries on it, and how many there are in all where that is told.
pub(super) struct Page {
    pub seen: Vec<Seen>,
    pub entries: usize,
    pub total: Option<u64>,
}

pub(super) fn devices(answer: &Value, account: &Account, problems: &mut Problems) -> Result<Page, String> {
    let entries = list(answer, &["devices", "productinstances"])?;
    let mut seen = Vec::with_capacity(entries.len());
    for one in entries {
        match device(one, account, problems) {
            Some(read) => seen.push(read),
            None => problems.fault(format!("a product instance without a product id or serial number: {}", shown(one))),
        }
    }
    let total = answer.as_object().and_then(|members| member(members, &["totalrecords", "total"])?.as_u64());
    Ok(Page { seen, entries: entries.len(), total })
}

fn device(one: &Value, account: &Account, problems: &mut Problems) -> Option<Seen> {
    const PID: &[&str] = &["udipid", "pid", "productid"];
    const SERIAL: &[&str] = &["udiserialnumber", "serialnumber", "sn"];
    let members = one.as_object()?;
    let nested = member(members, &["sudi", "udi"]).and_then(Value::as_object);
    let found = |names: &[&str]| nested.and_then(|nested| word(nested, names)).or_else(|| word(members, names));
    let udi = Udi::new(found(PID)?, found(SERIAL)?);
    let host = found(&["hostname", "displayname", "hostidentifier", "productinstancename"]);
    let contact = member(members, &["lastcontactdate", "lastcontact", "lastcontactedat", "lastcontacttime"]);
    Some(Seen { udi, account: account.clone(), last_contact: instant(contact, "last contact", problems), host })
}

pub(super) fn licenses(answer: &Value, account: &Account, problems: &mut Problems) -> Result<Vec<License>, String> {
    let mut read = Vec::new();
    for one in list(answer, &["licenses"])? {
        let Some((members, name)) = named(one, &["license", "licensename", "name"]) else {
            problems.fault(format!("a licence without a name: {}", shown(one)));
            continue;
        };
        let number = |names: &[&str]| member(members, names).and_then(Value::as_i64);
        let mut account = account.clone();
        account.virtual_account =
            word(members, &["virtualaccount", "virtualaccountname"]).map(Arc::from).or(account.virtual_account);
        read.push(License {
            account,
            name,
            tag: None,
            status: word(members, &["status"]),
            in_use: number(&["inuse"]),
            available: number(&["available"]),
            quantity: number(&["quantity"]),
        });
    }
    Ok(read)
}

pub(super) fn alerts(answer: &Value, account: &str) -> Result<Vec<Alert>, String> {
    let read = |one: &Value| {
        let members = one.as_object();
        let word = |names: &[&str]| members.and_then(|members| word(members, names));
        Alert {
            account: account.to_owned(),
            severity: word(&["severity"]).map(|severity| severity.to_ascii_lowercase()),
            kind: word(&["messagetype", "type"]),
            source: word(&["source", "sourcename"]),
        }
    };
    Ok(list(answer, &["alerts"])?.iter().map(read).collect())
}

/// The last synchronisation: a member whose name begins with `last` and has `sync` in it, and which is a time.
fn synchronised(members: &Map<String, Value>, problems: &mut Problems) -> Option<Timestamp> {
    let other = ["status", "fail", "error", "attempt", "type", "message"];
    let told = members.iter().find(|(key, value)| {
        let key = plain(key);
        let named = key.starts_with("last") && key.contains("sync") && !other.iter().any(|word| key.contains(word));
        named && !value.is_null()
    });
    instant(told.map(|(_, value)| value), "last synchronisation", problems)
}

/// A time as an API may write it. One without a zone is taken for UTC: what is told by it counts in days.
fn instant(value: Option<&Value>, what: &str, problems: &mut Problems) -> Option<Timestamp> {
    let value = value.filter(|value| !value.is_null() && value.as_str() != Some(""))?;
    let read = match value {
        Value::String(text) => written(text.trim()),
        Value::Number(number) => number.as_i64().and_then(counted),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    if read.is_none() {
        problems.fault(format!("a {what} that is no time known here: {}", shown(value)));
    }
    read
}

fn written(text: &str) -> Option<Timestamp> {
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix("GMT")).unwrap_or(text).trim_end();
    let bare = || text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(|day| day.at(0, 0, 0, 0)));
    // Cisco's portal shows months by name.
    let named = || {
        let forms = ["%Y-%b-%d %H:%M:%S", "%Y-%b-%d", "%b %d, %Y %H:%M:%S", "%b %d, %Y"];
        let read = |form: &&str| {
            let read = strtime::parse(form, text).ok()?;
            read.to_datetime().ok().or_else(|| read.to_date().ok().map(|day| day.at(0, 0, 0, 0)))
        };
        forms.iter().find_map(read)
    };
    let number = || text.parse().ok().and_then(counted);
    text.parse().ok().or_else(|| bare().and_then(utc)).or_else(|| named().and_then(utc)).or_else(number)
}

/// Seconds or milliseconds since 1970: which, the size tells.
fn counted(number: i64) -> Option<Timestamp> {
    const SECONDS_UNTIL: i64 = 100_000_000_000;
    let since = match number {
        ..=0 => return None,
        1..SECONDS_UNTIL => SignedDuration::from_secs(number),
        _ => SignedDuration::from_millis(number),
    };
    Timestamp::from_duration(since).ok()
}

/// An object and the name that it has under one of these.
fn named<'v>(one: &'v Value, names: &[&str]) -> Option<(&'v Map<String, Value>, String)> {
    let members = one.as_object()?;
    Some((members, word(members, names)?))
}

/// The member under the first of these names that is there. Names are given by their lower-case letters and digits.
fn member<'v>(members: &'v Map<String, Value>, names: &[&str]) -> Option<&'v Value> {
    let of = |name: &&str| members.iter().find(|(key, _)| same(key, name)).map(|(_, value)| value);
    names.iter().find_map(of)
}

/// Text, or a number as text; nothing where it is empty.
fn word(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let text = match member(members, names)? {
        Value::String(text) => short(text.trim()),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn same(key: &str, name: &str) -> bool {
    let letters = |byte: &u8| byte.is_ascii_alphanumeric();
    key.bytes().filter(letters).map(|byte| byte.to_ascii_lowercase()).eq(name.bytes())
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn shown(value: &Value) -> String {
    printable(&excerpt(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_device_is_read_in_each_known_spelling() {
        let account = Account { smart_account: Some("Example".into()), virtual_account: Some("A".into()) };
        let mut problems = Problems::default();
        let answer = json!({"totalRecords": 9, "devices": [
            {"sudi": {"udiPid": "C9300-48T", "udiSerialNumber": "FOC1", "uuid": null}, "hostName": "edge-1",
             "lastContactDate": "2026-11-01T10:00:00Z"},
            {"udi_pid": "C9300-24T", "udi_serial_number": 77, "last_contact": "2026-Nov-01 10:00:00"},
            {"sudi": {"udiPid": "C9300-24T"}},
            "no object",
            {"pid": "C9300-24T", "sn": "FOC3", "hostname": "", "lastContactDate": {"odd": true}},
        ]});
        let page = devices(&answer, &account, &mut problems).unwrap();
        assert_eq!((page.entries, page.total), (5, Some(9)));
        let read: Vec<_> =
            page.seen.iter().map(|seen| (seen.udi.to_string(), seen.last_contact, seen.host.clone())).collect();
        let contact = Some(at("2026-11-01T10:00:00Z"));
        assert_eq!(read[0], ("PID:C9300-48T,SN:FOC1".to_owned(), contact, Some("edge-1".to_owned())));
        assert_eq!(read[1], ("PID:C9300-24T,SN:77".to_owned(), contact, None));
        assert_eq!(read[2], ("PID:C9300-24T,SN:FOC3".to_owned(), None, None));
        assert!(page.seen.iter().all(|seen| seen.account == account));
        let sentences = problems.sentences();
        assert_eq!(sentences.len(), 3, "{sentences:?}");
        assert_eq!(sentences[2], r#"a last contact that is no time known here: {"odd":true}"#);
    }

    #[test]
    fn times_are_read_as_apis_write_them() {
        for (value, instant) in [
            (json!("2026-11-01T10:00:00Z"), "2026-11-01T10:00:00Z"),
            (json!("2026-11-01T10:00:00.5+02:00"), "2026-11-01T08:00:00.5Z"),
            (json!("2026-11-01 10:00:00"), "2026-11-01T10:00:00Z"),
            (json!("2026-11-01 10:00:00 UTC"), "2026-11-01T10:00:00Z"),
            (json!("2026-11-01"), "2026-11-01T00:00:00Z"),
            (json!("2026-Nov-01"), "2026-11-01T00:00:00Z"),
            (json!("Nov 1, 2026 10:00:00"), "2026-11-01T10:00:00Z"),
            (json!(1_793_527_200), "2026-11-01T10:00:00Z"),
            (json!(1_793_527_200_000_i64), "2026-11-01T10:00:00Z"),
            (json!("1793527200000"), "2026-11-01T10:00:00Z"),
        ] {
            let mut problems = Problems::default();
            assert_eq!(super::instant(Some(&value), "time", &mut problems), Some(at(instant)), "{value}");
            assert!(problems.is_empty());
        }
        for wrong in [json!("yesterday"), json!(-1), json!(i64::MAX), json!(true), json!([]), json!("2026-13-01")] {
            let mut problems = Problems::default();
            assert_eq!(super::instant(Some(&wrong), "time", &mut problems), None, "{wrong}");
            assert!(!problems.is_empty());
        }
        for untold in [json!(null), json!("")] {
            let mut problems = Problems::default();
            assert_eq!(super::instant(Some(&untold), "time", &mut problems), None);
            assert!(problems.is_empty());
        }
    }

    #[test]
    fn an_account_tells_its_smart_account_and_its_synchronisation() {
        let mut problems = Problems::default();
        let answer = json!({"version": "9-202406", "accounts": [
            {"name": "Local", "cssm_smart_account_name": "example.com", "last_sync_status": "ok",
             "last_synchronized_at": "2026-11-01"},
            {"account_id": 7},
            {"name": "Bare"},
        ]});
        let (read, version) = accounts(&answer, &mut problems).unwrap();
        assert_eq!(version.as_deref(), Some("9-202406"));
        let local = Local {
            name: "Local".to_owned(),
            smart_account: Some("example.com".to_owned()),
            synced: Some(at("2026-11-01T00:00:00Z")),
        };
        assert_eq!(read, [local, Local { name: "Bare".to_owned(), smart_account: None, synced: None }]);
        assert_eq!(problems.sentences(), [r#"an account without a name: {"account_id":7}"#]);
    }

    #[test]
    fn what_is_not_there_is_told_and_not_taken_for_an_empty_list() {
        let mut problems = Problems::default();
        for wrong in
            [json!({}), json!({"devices": null}), json!("x"), json!({"status": "ERROR", "statusMessage": "no"})]
        {
            assert!(devices(&wrong, &Account::default(), &mut problems).is_err(), "{wrong}");
            assert!(accounts(&wrong, &mut problems).is_err());
            assert!(virtual_accounts(&wrong, &mut problems).is_err());
            assert!(licenses(&wrong, &Account::default(), &mut problems).is_err());
            assert!(alerts(&wrong, "a").is_err());
        }
        assert_eq!(
            virtual_accounts(&json!({"virtual_accounts": ["A", {"name": "B"}, {}]}), &mut problems).unwrap(),
            ["A", "B"]
        );
        assert_eq!(problems.sentences(), ["a Virtual Account without a name: {}"]);
    }
}
