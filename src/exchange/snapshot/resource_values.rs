//! The form for importers of service and asset management, which take a resource, an attribute and its value: one line
//! an instance and licence. It is our own form after their habit, not one that any vendor promised to take.

use super::flat::Line;

type Column = (&'static str, fn(&Line<'_>) -> String);

/// The columns, in order. A quantity that was not measured is an empty `value`, never 0.
pub(super) const COLUMNS: &[Column] = &[
    // Who uses: the product instance as Cisco names it, or a device that was never reached.
    ("resource", |line| {
        let row = line.row;
        let name = || row.device.as_ref().map(ToString::to_string).unwrap_or_default();
        match (&row.uuid, &row.pid, &row.sn) {
            (_, Some(pid), Some(sn)) => format!("{pid}:{sn}"),
            (Some(uuid), _, _) => uuid.clone(),
            _ => name(),
        }
    }),
    ("resource_name", |line| text(&line.row.device)),
    // What of: the licence by the tag that is the same on all devices, and by its name.
    ("attribute", |line| text(&line.row.entitlement_tag)),
    ("attribute_name", |line| text(&line.row.license_name)),
    // How much, at `timestamp`, and whether it was measured.
    ("value", |line| text(&line.row.quantity)),
    ("value_peak", |line| text(&line.row.quantity_peak)),
    ("value_state", |line| line.row.measured_state.to_string()),
    ("timestamp", |line| line.as_of.to_string()),
    ("smart_account", |line| text(&line.row.smart_account)),
    ("virtual_account", |line| text(&line.row.virtual_account)),
    ("site", |line| line.row.site.to_string()),
    ("source", |line| line.snapshot_id.to_string()),
];

fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}
