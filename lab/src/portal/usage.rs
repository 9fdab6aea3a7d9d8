//! One device's usage file as the portal checks it: structure, then every signature.

use serde_json::Value;

use crate::sign;
use crate::udi::Udi;
use crate::xml;

/// The reports of one device.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage {
    pub reports: Vec<Signed>,
}

/// A report whose signature holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    pub udi: Udi,
    pub id: u64,
    members: Vec<Udi>,
}

impl Usage {
    pub fn read(bytes: &[u8]) -> Result<Usage, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_string())?;
        let root = xml::read(text)?;
        let mut reports = Vec::new();
        match root.name {
            // A file downloaded from a portal page may hold one report without the root around it.
            "RUMReport" => reports.push(report(&root.text)?),
            "smartLicense" => {
                for part in &root.children {
                    match part.name {
                        "RUMReport" => reports.push(report(&part.text)?),
                        "smartLicenseSystemInfo" => {
                            let data = part.text_at(&["data"]).ok_or("smartLicenseSystemInfo has no data")?;
                            serde_json::from_str::<Value>(data)
                                .map_err(|error| format!("system information: {error}"))?;
                        }
                        other => return Err(format!("<{other}> does not belong in a usage file")),
                    }
                }
            }
            other => return Err(format!("<{other}> is no usage file")),
        }
        let first = reports.first().ok_or("no report in the file")?;
        // After a switch-over another member signs, so a file's reports share a device when they share its members.
        if let Some(other) = reports.iter().find(|report| !first.members.contains(&report.udi)) {
            return Err(format!("holds reports of {} and of {}", first.udi, other.udi));
        }
        Ok(Usage { reports })
    }
}

fn report(json: &str) -> Result<Signed, String> {
    let outer: Value = serde_json::from_str(json).map_err(|error| format!("a report is no JSON: {error}"))?;
    let payload = text(&outer, "/payload")?;
    if let Some(kind) = outer.pointer("/header/type")
        && kind != "rum"
    {
        return Err(format!("a report's type is {kind}"));
    }
    let udi = udi(&outer, "/signature/sudi")?;
    text(&outer, "/signature/signing_type")?;
    let key = text(&outer, "/signature/key")?;
    let value = text(&outer, "/signature/value")?;
    if !sign::report_holds(&udi, payload, value) {
        return Err(format!("the signature of a report of {udi} does not hold: the payload was altered"));
    }
    inner(payload, key, udi)
}

/// What a signed payload must still agree with: the object around it.
fn inner(payload: &str, key: &str, signer: Udi) -> Result<Signed, String> {
    let payload: Value = serde_json::from_str(payload).map_err(|error| format!("a payload is no JSON: {error}"))?;
    let id = ["/asset_identification/report_id", "/meta/report_id"];
    let id =
        id.iter().find_map(|at| payload.pointer(at)).and_then(Value::as_u64).ok_or("a payload has no report_id")?;
    if text(&payload, "/asset_identification/asset/name")? != key {
        return Err(format!("report {id}: asset and key differ"));
    }
    if udi(&payload, "/asset_identification/instance/sudi")? != signer {
        return Err(format!("report {id}: another device signed it"));
    }
    if payload.pointer("/measurements").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(format!("report {id} measures nothing"));
    }
    let mut members = vec![signer.clone()];
    for member in payload.pointer("/meta/ha_udi").and_then(Value::as_array).into_iter().flatten() {
        members.push(udi(member, "/sudi")?);
    }
    Ok(Signed { udi: signer, id, members })
}

fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str, String> {
    value.pointer(at).and_then(Value::as_str).ok_or_else(|| format!("a report has no {at}"))
}

fn udi(value: &Value, at: &str) -> Result<Udi, String> {
    Ok(Udi::new(text(value, &format!("{at}/udi_pid"))?, text(value, &format!("{at}/udi_serial_number"))?))
}
