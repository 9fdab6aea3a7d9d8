//! The payload of a report in either schema, and the signed object around it.

use serde::Serialize;

use crate::measurement::Measurement;
use crate::report::{Report, Subject};
use crate::sign;
use crate::spec::{Payload, Spec};
use crate::udi::{Member, Udi};

/// The object of `usage` and `<RUMReport>`: payload as a string, header, signature. Compact, as REST would send it.
pub fn signed(spec: &Spec, members: &[Member], udi: &Udi, report: &Report) -> String {
    let payload = text(spec, members, udi, report);
    let outer = Outer {
        payload: &payload,
        header: Header { kind: "rum" },
        signature: Signature {
            sudi: Some(udi),
            signing_type: "builtin",
            key: &spec.product,
            value: sign::report(udi, &payload),
        },
    };
    json(&outer)
}

/// The report's own JSON; its bytes are what the outer signature covers.
fn text(spec: &Spec, members: &[Member], udi: &Udi, report: &Report) -> String {
    let asset = Asset { name: &spec.product };
    let instance = Instance { sudi: udi, product_instance_identifier: spec.uuid.as_deref() };
    let signature =
        || Signature { sudi: None, signing_type: "builtin", key: &spec.product, value: sign::identity(udi, report.id) };
    let licence = match report.subject {
        Subject::Licence(index) => &spec.licences[index],
        // Telemetry exists in the second schema alone.
        Subject::Telemetry => {
            return json(&V2 {
                version: "2.0",
                asset_identification: IdentificationV2 { report_id: report.id, asset, instance },
                signature: None,
                meta: MetaV2 {
                    entitlement_tag: None,
                    report_type: Some("telemetry"),
                    utility_enabled: false,
                    software_version: None,
                    ha_udi: members,
                },
                measurements: vec![telemetry(spec, udi, report)],
            });
        }
    };
    match spec.knobs.payload {
        Payload::V1 => json(&V1 {
            asset_identification: IdentificationV1 { asset, instance, signature: signature() },
            meta: MetaV1 {
                entitlement_tag: &licence.tag,
                report_id: report.id,
                software_version: &spec.software,
                ha_udi: members,
            },
            measurements: &report.measurements,
        }),
        Payload::V2 => json(&V2 {
            version: "2.0",
            asset_identification: IdentificationV2 { report_id: report.id, asset, instance },
            signature: Some(signature()),
            meta: MetaV2 {
                entitlement_tag: Some(&licence.tag),
                report_type: None,
                utility_enabled: false,
                software_version: Some(&spec.software),
                ha_udi: members,
            },
            measurements: report.measurements.iter().map(Row::Usage).collect(),
        }),
    }
}

/// One inventory row: little, yet with the spaces and the JSON within JSON that trip whoever rewrites a payload.
fn telemetry<'a>(spec: &'a Spec, udi: &'a Udi, report: &'a Report) -> Row<'a> {
    let inventory = serde_json::json!([{ "cname": "Chassis 1", "serial_no": udi.sn, "part_no": udi.pid }]);
    let value = |kind, value: String| TelemetryValue { kind, value };
    Row::Telemetry(TelemetryRow {
        start_time: report.start,
        end_time: report.end.unwrap_or(report.start),
        metric_name: "Telemetry Meta Info",
        values: vec![
            value("report_id", report.id.to_string()),
            value("product_id", udi.pid.clone()),
            value("serial_number", udi.sn.clone()),
            value("software_version", spec.software.clone()),
            value("json_encode", inventory.to_string()),
        ],
        log_time: report.end.unwrap_or(report.start),
    })
}

/// Serialising our own structs of strings and numbers has no way to fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs become JSON")
}

#[derive(Serialize)]
struct Outer<'a> {
    payload: &'a str,
    header: Header,
    signature: Signature<'a>,
}

#[derive(Serialize)]
struct Header {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Signature<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sudi: Option<&'a Udi>,
    signing_type: &'static str,
    key: &'a str,
    value: String,
}

#[derive(Serialize)]
struct Asset<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Instance<'a> {
    sudi: &'a Udi,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_instance_identifier: Option<&'a str>,
}

#[derive(Serialize)]
struct V1<'a> {
    asset_identification: IdentificationV1<'a>,
    meta: MetaV1<'a>,
    measurements: &'a [Measurement],
}

#[derive(Serialize)]
struct IdentificationV1<'a> {
    asset: Asset<'a>,
    instance: Instance<'a>,
    signature: Signature<'a>,
}

#[derive(Serialize)]
struct MetaV1<'a> {
    entitlement_tag: &'a str,
    report_id: u64,
    software_version: &'a str,
    ha_udi: &'a [Member],
}

#[derive(Serialize)]
struct V2<'a> {
    version: &'static str,
    asset_identification: IdentificationV2<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature<'a>>,
    meta: MetaV2<'a>,
    measurements: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct IdentificationV2<'a> {
    report_id: u64,
    asset: Asset<'a>,
    instance: Instance<'a>,
}

#[derive(Serialize)]
struct MetaV2<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    entitlement_tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_type: Option<&'static str>,
    utility_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    software_version: Option<&'a str>,
    ha_udi: &'a [Member],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Usage(&'a Measurement),
    Telemetry(TelemetryRow),
}

#[derive(Serialize)]
struct TelemetryRow {
    start_time: i64,
    end_time: i64,
    metric_name: &'static str,
    values: Vec<TelemetryValue>,
    log_time: i64,
}

#[derive(Serialize)]
struct TelemetryValue {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}
