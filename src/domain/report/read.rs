//! Reading one RUM report: the outer object a device signed, and the payload in it.
//!
//! Both published payload schemas are read: the older one without `version` (IOS XE 17.6,
//! NX-OS 10.2; `report_id` in `meta`) and `"2.0"` (IOS XE 17.9 on; `report_id` in
//! `asset_identification`). Fields we do not know are no problem, because the bytes are kept;
//! a name that comes twice in one object is, because two readers would see two reports.

mod scalar;
mod unique;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use self::scalar::{Count, Lenient, List, Seconds, Text};
use super::{EntitlementTag, Measurement, ReportFacts, ReportId, ReportType};
use crate::domain::digest::Sha256;
use crate::domain::instance::{Member, Role, Udi};
use crate::domain::problem::{Problems, excerpt};

/// Goes up with every change of what the same bytes are read as. **stored** with each report.
pub const READER_VERSION: u32 = 1;

/// A report as it came, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReport {
    /// The outer JSON object byte for byte, or the payload's own bytes where only that was found.
    pub raw: Vec<u8>,
    pub facts: ReportFacts,
    pub form: ReportForm,
    /// What is odd about it; all remarks, since it could be read.
    pub remarks: Problems,
}

/// Is it still what the device signed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// The outer object with payload and signature: Cisco takes it.
    Signed,
    /// An outer object without a signature.
    Unsigned,
    /// Only the payload: can be read, cannot be handed over.
    PayloadOnly,
}

/// Why some JSON is no RUM report.
#[derive(Debug, thiserror::Error)]
pub enum NotAReport {
    #[error("expected a report object with a payload string, got {got}")]
    Outer { got: String },
    #[error("the payload cannot be read: {cause}")]
    Payload { cause: String },
    #[error("the name {name:?} comes twice in one object of the {place}")]
    Duplicate { place: &'static str, name: String },
    #[error("the payload has no {what}")]
    Missing { what: &'static str },
}

/// Reads the outer object (`payload`, `header`, `signature`); `raw` may have white space around it.
pub fn report(raw: &str) -> Result<RawReport, NotAReport> {
    let raw = raw.trim_matches(JSON_SPACE);
    if !raw.starts_with('{') {
        return Err(NotAReport::Outer { got: format!("{:?}", excerpt(raw)) });
    }
    let not = |got| NotAReport::Outer { got };
    let outer: Outer = typed(raw, "report object", not)?;

    let mut remarks = Problems::default();
    let mut facts = facts(&outer.payload, &mut remarks)?;
    let form = match outer.signature {
        None => {
            remarks.remark("the report carries no signature");
            ReportForm::Unsigned
        }
        Some(signature) => {
            let signature = signature.0.unwrap_or_default();
            facts.signing_type = signature.signing_type.into_string();
            if let Some(signer) = signature.sudi.0.and_then(Sudi::udi)
                && signer != facts.udi
            {
                remarks.remark(format!("signed by {signer}, but the payload is about {}", facts.udi));
            }
            ReportForm::Signed
        }
    };
    Ok(RawReport { raw: raw.as_bytes().to_vec(), facts, form, remarks })
}

/// Reads a payload that stands alone, without the object that signs it.
pub fn payload(text: &str) -> Result<RawReport, NotAReport> {
    let text = text.trim_matches(JSON_SPACE);
    let mut remarks = Problems::default();
    let facts = facts(text, &mut remarks)?;
    remarks.remark("only the payload, without the signature around it: it can be read but not handed over");
    Ok(RawReport { raw: text.as_bytes().to_vec(), facts, form: ReportForm::PayloadOnly, remarks })
}

/// What JSON itself allows around a value.
pub(in crate::domain) const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// More measurements than one report can hold: one a minute for four months.
const MOST_MEASUREMENTS: usize = 200_000;

fn facts(text: &str, remarks: &mut Problems) -> Result<ReportFacts, NotAReport> {
    if !text.trim_start_matches(JSON_SPACE).starts_with('{') {
        return Err(NotAReport::Payload { cause: format!("expected a JSON object, got {:?}", excerpt(text)) });
    }
    let payload: Payload = typed(text, "payload", |cause| NotAReport::Payload { cause })?;

    let identification = payload.asset_identification.0.ok_or(NotAReport::Missing { what: "asset_identification" })?;
    let meta = payload.meta.0.unwrap_or_default();
    let report_id = match (identification.report_id.0, meta.report_id.0) {
        (Some(one), Some(other)) if one != other => {
            remarks.remark(format!("two report ids, {one} and {other}; the one beside the asset counts"));
            one
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(NotAReport::Missing { what: "report_id" }),
    };
    let instance = identification.instance.0.unwrap_or_default();
    let udi = instance.sudi.0.and_then(Sudi::udi).ok_or(NotAReport::Missing { what: "UDI of the instance" })?;

    let entitlement_tag = meta.entitlement_tag.into_string().map(EntitlementTag::from);
    let report_type = match meta.report_type.into_string() {
        None => ReportType::Entitlement,
        Some(word) if word.eq_ignore_ascii_case("telemetry") => ReportType::Telemetry,
        Some(word) if word.eq_ignore_ascii_case("entitlement") => ReportType::Entitlement,
        Some(word) => ReportType::Other(word),
    };
    if entitlement_tag.is_none() && report_type == ReportType::Entitlement {
        remarks.remark("no entitlement tag: which licence it counts is not told");
    }
    Ok(ReportFacts {
        report_id: ReportId(report_id),
        payload_version: payload.version.into_string(),
        udi,
        product_instance_identifier: instance.product_instance_identifier.into_string(),
        software_tag: identification.asset.0.and_then(|asset| asset.name.into_string()),
        software_version: meta.software_version.into_string(),
        entitlement_tag,
        report_type,
        members: members(meta.ha_udi.items, remarks),
        signing_type: None,
        payload_sha256: Sha256::of(text.as_bytes()),
        measurements: measurements(payload.measurements, remarks)?,
    })
}

/// Reads `json` as a `T` in which no object has a name twice.
fn typed<'a, T: Deserialize<'a>>(
    json: &'a str,
    place: &'static str,
    not: impl Fn(String) -> NotAReport,
) -> Result<T, NotAReport> {
    let read = serde_json::from_str(json);
    match (read, unique::twice(json)) {
        (_, Some(name)) => Err(NotAReport::Duplicate { place, name }),
        (Ok(value), None) => Ok(value),
        (Err(error), None) => Err(not(excerpt(&error.to_string()).into_owned())),
    }
}

fn members(list: Vec<HaUdi>, remarks: &mut Problems) -> Vec<Member> {
    let mut members = Vec::with_capacity(list.len());
    for one in list {
        let role = one.role.0.as_deref().unwrap_or_default();
        match (Role::read(role), one.sudi.0.and_then(Sudi::udi)) {
            (Some(role), Some(udi)) => members.push(Member { role, udi }),
            (None, Some(udi)) => remarks.remark(format!("unknown role {:?} of {udi}", excerpt(role))),
            (_, None) => remarks.remark("a member without a UDI"),
        }
    }
    members
}

fn measurements(list: List<RawMeasurement>, remarks: &mut Problems) -> Result<Vec<Measurement>, NotAReport> {
    if list.odd {
        remarks.remark("something among the measurements is none, and is left out");
    }
    let list = list.items;
    if list.len() > MOST_MEASUREMENTS {
        return Err(NotAReport::Payload { cause: format!("more than {MOST_MEASUREMENTS} measurements") });
    }
    let mut measurements = Vec::with_capacity(list.len());
    for (index, one) in list.into_iter().enumerate() {
        let mut instant = |seconds: Seconds, what: &str| {
            let instant = seconds.0.and_then(|seconds| Timestamp::from_second(seconds).ok());
            if instant.is_none() {
                remarks.remark(format!("measurement {index} has no usable {what} time"));
            }
            instant
        };
        let (start, end) = (instant(one.start_time, "start"), instant(one.end_time, "end"));
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            remarks.remark(format!("measurement {index} ends before it starts"));
        }
        let value = one.value.0.and_then(|value| match value.kind.0.as_deref() {
            None | Some("COUNT") => {
                if value.value.0.is_none() {
                    remarks.remark(format!("measurement {index} counts something that is not a whole number"));
                }
                value.value.0
            }
            Some(_) => None,
        });
        let meta = one.meta.0.unwrap_or_default();
        measurements.push(Measurement {
            metric: one.metric_name.into_string().unwrap_or_default(),
            start,
            end,
            samples: one.num_samples.0,
            value,
            termination_reason: meta.termination_reason.into_string(),
            close_reason: meta.close_reason.into_string(),
            clock_change_seconds: meta.clock_change_delta.0,
            added: udis(meta.added_sudi_list),
            removed: udis(meta.removed_sudi_list),
        });
    }
    Ok(measurements)
}

fn udis(list: List<Sudi>) -> Vec<Udi> {
    list.items.into_iter().filter_map(Sudi::udi).collect()
}

// The wire's own shapes. Everything but the payload string itself may be missing or of another
// type than known: a licence's count must not be lost to a new kind of `meta`.

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow, default)]
    signature: Option<Lenient<Signature<'a>>>,
}

#[derive(Deserialize, Default)]
struct Signature<'a> {
    #[serde(borrow, default)]
    sudi: Lenient<Sudi<'a>>,
    #[serde(borrow, default)]
    signing_type: Text<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    version: Text<'a>,
    #[serde(borrow, default)]
    asset_identification: Lenient<AssetIdentification<'a>>,
    #[serde(borrow, default)]
    meta: Lenient<Meta<'a>>,
    #[serde(borrow, default)]
    measurements: List<RawMeasurement<'a>>,
}

#[derive(Deserialize)]
struct AssetIdentification<'a> {
    #[serde(default)]
    report_id: Count,
    #[serde(borrow, default)]
    asset: Lenient<Asset<'a>>,
    #[serde(borrow, default)]
    instance: Lenient<Instance<'a>>,
}

#[derive(Deserialize)]
struct Asset<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
struct Instance<'a> {
    #[serde(borrow, default)]
    sudi: Lenient<Sudi<'a>>,
    #[serde(borrow, default)]
    product_instance_identifier: Text<'a>,
}

#[derive(Deserialize)]
struct Sudi<'a> {
    #[serde(borrow, default)]
    udi_pid: Text<'a>,
    #[serde(borrow, default)]
    udi_serial_number: Text<'a>,
}

impl Sudi<'_> {
    /// `None` unless both are there.
    fn udi(self) -> Option<Udi> {
        Some(Udi::new(self.udi_pid.into_string()?, self.udi_serial_number.into_string()?))
    }
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(default)]
    report_id: Count,
    #[serde(borrow, default)]
    entitlement_tag: Text<'a>,
    #[serde(borrow, default)]
    report_type: Text<'a>,
    #[serde(borrow, default)]
    software_version: Text<'a>,
    #[serde(borrow, default)]
    ha_udi: List<HaUdi<'a>>,
}

#[derive(Deserialize)]
struct HaUdi<'a> {
    #[serde(borrow, default)]
    role: Text<'a>,
    #[serde(borrow, default)]
    sudi: Lenient<Sudi<'a>>,
}

#[derive(Deserialize)]
struct RawMeasurement<'a> {
    #[serde(borrow, default)]
    metric_name: Text<'a>,
    #[serde(default)]
    start_time: Seconds,
    #[serde(default)]
    end_time: Seconds,
    #[serde(default)]
    num_samples: Count,
    /// An object on licence reports, a list on telemetry.
    #[serde(borrow, default)]
    meta: Lenient<MeasurementMeta<'a>>,
    #[serde(borrow, default)]
    value: Lenient<Value<'a>>,
}

#[derive(Deserialize, Default)]
struct MeasurementMeta<'a> {
    #[serde(borrow, default)]
    termination_reason: Text<'a>,
    #[serde(borrow, default)]
    close_reason: Text<'a>,
    #[serde(default)]
    clock_change_delta: Seconds,
    #[serde(borrow, default)]
    added_sudi_list: List<Sudi<'a>>,
    #[serde(borrow, default)]
    removed_sudi_list: List<Sudi<'a>>,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(default)]
    value: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = r#"{"version":"2.0","asset_identification":{"report_id":18446744073709551615,"asset":{"name":"regid.2017-05.com.cisco.C9300,v1_x"},"instance":{"sudi":{"udi_pid":"C9300-48T","udi_serial_number":"XXX00000001"},"product_instance_identifier":"0000-1"}},"signature":{"signing_type":"builtin"},"meta":{"entitlement_tag":"regid.2017-03.com.cisco.advantagek9,1.0_x","utility_enabled":false,"software_version":"17.12.04","ha_udi":[{"role":"Active","sudi":{"udi_pid":"C9300-48T","udi_serial_number":"XXX00000001"}},{"role":"Observer","sudi":{"udi_pid":"C9300-48T","udi_serial_number":"XXX00000002"}}]},"measurements":[{"log_time":1790000000,"metric_name":"ENTITLEMENT","start_time":1790000000,"end_time":1790086400,"sample_interval":86400,"num_samples":97,"meta":{"clock_change_delta":"-3433","termination_reason":"ProductReload","added_sudi_list":[{"udi_pid":"AP","udi_serial_number":"XXX00000003"}]},"value":{"type":"COUNT","value":"3"}}]}"#;

    fn object(payload: &str) -> String {
        let payload = serde_json::to_string(payload).unwrap();
        format!(
            r#"{{"payload":{payload},"header":{{"type":"rum"}},"signature":{{"sudi":{{"udi_pid":"C9300-48T","udi_serial_number":"XXX00000001"}},"signing_type":"builtin","key":"k","value":"dg=="}}}}"#
        )
    }

    #[test]
    fn a_report_of_schema_2_is_read_and_its_bytes_are_kept() {
        let raw = object(V2);
        let read = report(&format!("\n {raw}\r\n")).unwrap();
        assert_eq!(read.raw, raw.as_bytes());
        assert_eq!(read.form, ReportForm::Signed);
        let facts = &read.facts;
        assert_eq!(facts.report_id, ReportId(u64::MAX));
        assert_eq!(facts.payload_version.as_deref(), Some("2.0"));
        assert_eq!(facts.udi, Udi::new("C9300-48T", "XXX00000001"));
        assert_eq!(facts.payload_sha256, Sha256::of(V2.as_bytes()));
        assert_eq!(facts.signing_type.as_deref(), Some("builtin"));
        assert_eq!(facts.members.len(), 1);
        let measurement = &facts.measurements[0];
        assert_eq!((measurement.value, measurement.samples), (Some(3), Some(97)));
        assert_eq!(measurement.clock_change_seconds, Some(-3433));
        assert_eq!(measurement.added, [Udi::new("AP", "XXX00000003")]);
        assert_eq!(measurement.start.unwrap().to_string(), "2026-09-21T14:13:20Z");
        assert_eq!(read.remarks.sentences(), ["unknown role \"Observer\" of PID:C9300-48T,SN:XXX00000002"]);
    }

    #[test]
    fn the_digest_is_of_the_string_not_of_its_escapes() {
        let plain = object(V2);
        let escaped = plain.replacen("C9300-48T", r"C9300\u002d48T", 1);
        assert_ne!(plain, escaped);
        assert_eq!(report(&plain).unwrap().facts, report(&escaped).unwrap().facts);
        let spaced = object(&format!(" {V2}"));
        assert_eq!(report(&spaced).unwrap().facts.payload_sha256, Sha256::of(format!(" {V2}").as_bytes()));
    }

    #[test]
    fn the_older_schema_has_its_id_in_meta() {
        let v1 = V2.replacen(r#""version":"2.0","#, "", 1).replacen(r#""report_id":18446744073709551615,"#, "", 1);
        assert!(report(&object(&v1)).unwrap_err().to_string().contains("no report_id"));
        let v1 = v1.replacen(r#""meta":{"#, r#""meta":{"report_id":"42","#, 1);
        let facts = report(&object(&v1)).unwrap().facts;
        assert_eq!((facts.report_id, facts.payload_version), (ReportId(42), None));
    }

    #[test]
    fn what_is_no_report_is_said_to_be_none() {
        let sentence = |raw: &str| report(raw).unwrap_err().to_string();
        assert!(sentence("").contains("expected a report object"));
        assert!(sentence("[1]").contains("expected a report object"));
        assert!(sentence(r#"{"payload":{"a":1}}"#).contains("expected a string"));
        assert!(sentence(r#"{"payload":"x"}"#).contains("expected a JSON object"));
        assert!(sentence(r#"{"payload":"{}"}"#).contains("no asset_identification"));
        assert!(sentence(&object(&V2[..300])).contains("EOF"));
        let twice = object(V2).replacen(r#""header""#, r#""payload":"{}","header""#, 1);
        assert!(sentence(&twice).contains("\"payload\" comes twice in one object of the report object"));
        let twice = object(&V2.replacen(r#""utility_enabled":false"#, r#""x":1,"x":2"#, 1));
        assert!(sentence(&twice).contains("\"x\" comes twice in one object of the payload"));
    }

    #[test]
    fn fields_of_another_type_cost_nothing_but_themselves() {
        let odd = V2
            .replacen(r#""num_samples":97"#, r#""num_samples":{"n":97}"#, 1)
            .replacen(r#""meta":{"clock"#, r#""meta":["x"],"was":{"clock"#, 1)
            .replacen(r#"{"type":"COUNT","value":"3"}"#, r#"{"type":"TEXT","value":"three"}"#, 1)
            .replacen(r#""end_time":1790086400"#, r#""end_time":99999999999999999"#, 1);
        let read = report(&object(&odd)).unwrap();
        let measurement = &read.facts.measurements[0];
        assert_eq!((measurement.samples, measurement.value, measurement.end), (None, None, None));
        assert_eq!(measurement.termination_reason, None);
        assert!(read.remarks.sentences().contains(&"measurement 0 has no usable end time".to_owned()));
    }

    #[test]
    fn a_payload_alone_is_read_but_marked() {
        let read = payload(V2).unwrap();
        assert_eq!((read.form, read.facts.signing_type), (ReportForm::PayloadOnly, None));
        assert_eq!(read.facts.payload_sha256, Sha256::of(V2.as_bytes()));
    }
}
