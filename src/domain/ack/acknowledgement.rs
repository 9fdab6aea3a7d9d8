//! The report ids in the data of a RUM ACK, searched for by what they could be called.

use serde_json::Value;

use super::Acknowledgement;
use crate::domain::instance::Udi;
use crate::domain::report::ReportId;

/// More ids than a device ever keeps.
const MOST: usize = 100_000;

/// Every id in `data`, each once; `Err` when it is not JSON.
pub fn find(data: &str) -> Result<Vec<Acknowledgement>, String> {
    let value: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    search(&value, None, &mut found);
    found.sort_by(|a, b| (a.report_id, &a.udi, &a.status).cmp(&(b.report_id, &b.udi, &b.status)));
    found.dedup();
    Ok(found)
}

/// `udi` is the instance that the objects around tell. The depth is bounded by what serde_json reads.
fn search(value: &Value, udi: Option<&Udi>, found: &mut Vec<Acknowledgement>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| search(value, udi, found)),
        Value::Object(object) => {
            let own = pair(value).or_else(|| object.iter().find_map(|(name, value)| named_udi(name, value)));
            let udi = own.as_ref().or(udi);
            let status = object
                .iter()
                .find(|(name, _)| ["status", "state", "result", "ackstatus"].contains(&plain(name).as_str()))
                .and_then(|(_, value)| value.as_str());
            for (name, value) in object {
                if ["reportid", "rumreportid", "rumid", "reportids", "rumreportids", "rumids"]
                    .contains(&plain(name).as_str())
                {
                    let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    for id in ids.iter().filter_map(id) {
                        if found.len() < MOST {
                            let status = status.map(str::to_owned);
                            found.push(Acknowledgement { report_id: ReportId(id), udi: udi.cloned(), status });
                        }
                    }
                }
                if value.is_array() || value.is_object() {
                    search(value, udi, found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A name without the marks that different writers put in it.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn id(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn named_udi(name: &str, value: &Value) -> Option<Udi> {
    let name = plain(name);
    if name != "sudi" && name != "udi" {
        return None;
    }
    match value {
        Value::String(text) => super::udi(text),
        other => pair(other),
    }
}

/// An object that itself holds product id and serial number.
fn pair(value: &Value) -> Option<Udi> {
    let object = value.as_object()?;
    let text = |known: &[&str]| {
        let (_, value) = object.iter().find(|(name, _)| known.contains(&plain(name).as_str()))?;
        value.as_str().filter(|text| !text.is_empty())
    };
    Some(Udi::new(text(&["udipid", "pid"])?, text(&["udiserialnumber", "udisn", "serialnumber", "sn"])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_under_any_likely_name_with_the_instance_around_them() {
        let data = r#"[{"sudi":{"udi_pid":"C9300-48T","udi_serial_number":"XXX00000001"},
            "acks":[{"report_id":1671840750,"status":"OK"},{"reportId":"18446744073709551615"}]},
            {"udi":"P:C8000V,S:9INVENTED01","rum_report_ids":[7,8,"x",-1]}]"#;
        let found = find(data).unwrap();
        let c9300 = Some(Udi::new("C9300-48T", "XXX00000001"));
        let c8000v = Some(Udi::new("C8000V", "9INVENTED01"));
        let row = |id, udi: &Option<Udi>, status: Option<&str>| Acknowledgement {
            report_id: ReportId(id),
            udi: udi.clone(),
            status: status.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                row(7, &c8000v, None),
                row(8, &c8000v, None),
                row(1671840750, &c9300, Some("OK")),
                row(u64::MAX, &c9300, None)
            ]
        );
    }

    #[test]
    fn nothing_likely_is_nothing_found() {
        assert_eq!(find(r#"[{"a":1,"b":{"c":[1,2,3]}}]"#).unwrap(), []);
        assert!(find(r#"[{"[REDACTED]}]"#).is_err());
        assert!(find("").is_err());
    }
}
