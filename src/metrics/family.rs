//! The list of metrics: name, type, labels, and what each tells.

/// One metric with all its series.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Type,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// What may be done with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Gauge,
    Counter,
    Histogram,
}

impl Type {
    pub fn word(self) -> &'static str {
        match self {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::Histogram => "histogram",
        }
    }
}

/// Writes the constants and the list of them once.
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)+) => {
        $(pub(super) const $constant: &Family =
            &Family { name: $name, kind: Type::$kind, labels: &[$($label),*], help: $help };)+

        /// Every metric of the program, in the order in which they are written.
        pub const FAMILIES: &[&Family] = &[$($constant),+];
    };
}

families! {
    BUILD Gauge "slp_build_info" ["version"]
        "Which version runs; always 1."
    HEARTBEAT Gauge "slp_heartbeat_timestamp_seconds" []
        "When the daemon's loop last turned; at least once a minute while all is well."
    POLLS Counter "slp_polls_total" ["outcome"]
        "Polls of devices by how they ended; not-tried: nothing was sent, because a credential is held or a circuit is open."
    POLL_DURATION Histogram "slp_poll_duration_seconds" []
        "How long the dialogues with devices took, waiting for a turn not counted."
    SINK_MESSAGES Counter "slp_sink_messages_total" ["sink"]
        "Messages that a sink took."
    SINK_ERRORS Counter "slp_sink_errors_total" ["sink"]
        "Tries in which a sink did not take a message; each is tried again."
    POSTS Counter "slp_snapshot_posts_total" ["outcome"]
        "Tries to hand a snapshot over by POST; failed: tried again; refused: only when a person asks or the configuration changes."
    LEDGER_RECORDS Gauge "slp_ledger_records" []
        "Records of the fold: instances, devices, bundles, answers, violations and so on."
    LEDGER_BYTES Gauge "slp_ledger_bytes" []
        "What the ledger takes on disk, journal and register."
    LEDGER_SEGMENTS Gauge "slp_ledger_segments" []
        "Segments of the journal, the open one counted."
    LEDGER_BATCHES Counter "slp_ledger_batches_total" []
        "Batches appended to the journal since the ledger was made."
    LEDGER_TROUBLE Gauge "slp_ledger_trouble" []
        "1 while the ledger keeps everything, but not as it should; the log says why."
    FIGURES Gauge "slp_figures_timestamp_seconds" []
        "When the figures of the fleet, all that follow, were computed."
    VIOLATIONS Gauge "slp_violations" ["kind", "severity"]
        "Violations that are not resolved, acknowledged ones included."
    SITE_VIOLATIONS Gauge "slp_site_violations" ["site", "severity"]
        "Violations of a site that are not resolved; no series where there is none."
    SITE_DEVICES Gauge "slp_site_devices" ["site", "state"]
        "Obligations of a site by state; those of devices gone from the inventory included."
    SITE_CONTACTS Gauge "slp_site_contacts" ["site", "contact"]
        "Devices of a site by contact."
    SITE_DOWN Gauge "slp_site_devices_down" ["site"]
        "Devices of a site that did not answer their newest poll, or never did."
    SITE_DEADLINE Gauge "slp_site_deadline_timestamp_seconds" ["site"]
        "The soonest deadline of a site; no series where there is none."
    SITE_LEAVE_BY Gauge "slp_site_leave_by_timestamp_seconds" ["site"]
        "The soonest instant at which a bundle must leave a site; no series where there is none."
    UPSTREAM_READ Gauge "slp_upstream_last_read_timestamp_seconds" ["upstream"]
        "When what the upstream knows was last put on record: at each reading with news, else once a day."
    UPSTREAM_DIFFERENCES Gauge "slp_upstream_differences" ["upstream", "kind"]
        "Instances on which the upstream and the fleet do not agree, by what about."
    UPSTREAM_CERTIFICATE Gauge "slp_upstream_certificate_expiry_timestamp_seconds" ["upstream"]
        "When the first certificate of the chain that the upstream showed ends."
    HANDOVERS Gauge "slp_snapshots_to_hand_over" ["stage"]
        "Snapshots that the receiver has not: owed, tried again by itself; refused, waiting for a person."
    UP Gauge "slp_up" ["device", "site"]
        "1 when the newest poll of the device was answered, 0 when not or when it was never reached; none for devices that nobody polls."
    LAST_CONTACT Gauge "slp_last_contact_timestamp_seconds" ["device", "site"]
        "When the device last answered as it should; 0: never."
    CONTACT Gauge "slp_contact" ["device", "site", "contact"]
        "1 for the present word of contact: ok, stale or never."
    STATE Gauge "slp_state" ["device", "site", "state"]
        "1 for the present state of the obligation; the other states have no series."
    DEADLINE Gauge "slp_deadline_timestamp_seconds" ["device", "site"]
        "When the next acknowledgement is due; no series where nothing is owed."
    LEAVE_BY Gauge "slp_leave_by_timestamp_seconds" ["device", "site"]
        "The deadline less what courier, portal and way back take."
    LAST_ACK Gauge "slp_last_ack_timestamp_seconds" ["device", "site"]
        "When the device was last acknowledged, by its own word."
}
