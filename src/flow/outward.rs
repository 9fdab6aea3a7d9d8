//! Outward: what is owed is put together, sealed, written as a bundle, and remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::PoisonError;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::domain::bundle::{self as domain, Selection};
use crate::domain::event::{BundleMade, BundledReport, Fact};
use crate::domain::fleet::OwedReport;
use crate::domain::instance::Udi;
use crate::domain::problem::with_causes;
use crate::exchange::bundle::{self, BundleError, BundleInput, Form, Parcel, Wanted, sweep};
use crate::exchange::seal::Signer;

/// The bundle that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub bundle_id: String,
    /// The folder or tar.
    pub path: PathBuf,
    pub instances: usize,
    pub reports: usize,
    pub previous_bundle_id: Option<String>,
    /// Kept reports that must not leave, each with the reason.
    pub left_out: Vec<String>,
}

/// Makes a bundle of everything owed that the selection takes. `at` is the instant that names
/// carry; now if it is not given. Blocks while it reads, packs and writes.
pub fn create(
    house: &House,
    selection: &Selection,
    tar: bool,
    out: Option<PathBuf>,
    at: Option<Timestamp>,
) -> Result<Made, Error> {
    let _one_at_a_time = house.between.composing.lock().unwrap_or_else(PoisonError::into_inner);
    let now = house.clock.now();
    let (parcels, previous_bundle_id) = owed(house, selection, at.unwrap_or(now));
    let input = BundleInput {
        bundle_id: random(8)?,
        nonce: random(16)?,
        created: at.unwrap_or(now),
        collector: house.config.collector.name.clone(),
        site: selection.site.clone(),
        parcels,
        previous_bundle_id: previous_bundle_id.clone(),
    };
    if input.parcels.is_empty() {
        return Err(refused(BundleError::Empty { left_out: 0 }));
    }
    let signer = Signer::open_or_create(&house.config.exchange.signer, &input.collector, now)
        .map_err(|error| Error::Exchange(with_causes(&error)))?;
    let folder = out.unwrap_or_else(|| house.exchange_dir());
    std::fs::create_dir_all(&folder).map_err(|error| Error::Exchange(format!("{}: {error}", folder.display())))?;
    sweep(&folder).map_err(refused)?;
    let form = if tar { Form::Tar } else { Form::Folder };
    let mut objects = house.ledger.objects();
    let mut fetch = |wanted: &Wanted| {
        let object = objects.read(&wanted.object).map_err(|error| with_causes(&error))?;
        object.ok_or_else(|| "its bytes are gone from the ledger".to_owned())
    };
    let bundle = bundle::create(input, &mut fetch, &signer, form, &folder).map_err(refused)?;
    let reports = bundle.manifest.reports.into_iter().map(|report| BundledReport {
        udi: report.udi,
        report_id: report.report_id,
        payload_sha256: report.payload_sha256,
    });
    let reports: Vec<BundledReport> = reports.collect();
    let count = reports.len();
    let instances = reports.iter().map(|report| &report.udi).collect::<BTreeSet<_>>().len();
    let left_out = bundle.left_out.iter();
    let left_out = left_out.map(|left| format!("report {} of {}: {}", left.report_id, left.udi, left.cause));
    let bundle_id = bundle.manifest.bundle_id;
    let made = BundleMade {
        bundle_id: bundle_id.clone(),
        nonce: bundle.manifest.nonce,
        site: selection.site.clone(),
        manifest_sha256: bundle.manifest_sha256,
        name: bundle.name,
        uploads: bundle.uploads,
        reports,
        previous_bundle_id: previous_bundle_id.clone(),
    };
    // Written first: a bundle on disk that the ledger does not know is only made again.
    house.ledger.append(now, vec![Fact::BundleMade(made)], Vec::new())?;
    Ok(Made {
        bundle_id,
        path: bundle.path,
        instances,
        reports: count,
        previous_bundle_id,
        left_out: left_out.collect(),
    })
}

/// What the selection takes, and the bundle made before this one.
fn owed(house: &House, selection: &Selection, at: Timestamp) -> (Vec<Parcel>, Option<String>) {
    let fleet = house.ledger.fleet();
    let mut parcels = Vec::new();
    for contribution in domain::owed(&fleet, &house.watched, &house.settings, selection, at) {
        // A chassis that signed is an instance of its own to Cisco, whoever was active when it was asked.
        let mut chassis: BTreeMap<&Udi, Vec<Wanted>> = BTreeMap::new();
        for OwedReport { udi, report_id, payload_sha256, object, .. } in contribution.reports {
            let wanted = Wanted { report_id: *report_id, payload_sha256: *payload_sha256, object: *object };
            chassis.entry(udi).or_default().push(wanted);
        }
        let state = fleet.resolve(contribution.udi).and_then(|instance| instance.state.as_ref());
        let sends_hostname = state.and_then(|state| state.privacy?.sends_hostname);
        parcels.extend(chassis.into_iter().map(|(udi, reports)| Parcel {
            account: contribution.account.clone(),
            udi: udi.clone(),
            device: contribution.device.cloned(),
            sends_hostname,
            reports,
        }));
    }
    let of_site = fleet.bundles.values().filter(|bundle| bundle.facts.site == selection.site);
    let previous = of_site.max_by_key(|bundle| bundle.made).map(|bundle| bundle.facts.bundle_id.clone());
    (parcels, previous)
}

fn refused(error: BundleError) -> Error {
    match error {
        BundleError::Empty { left_out: 0 } => {
            Error::Input("nothing is owed that this selection takes; see `report list`".to_owned())
        }
        other => Error::Exchange(with_causes(&other)),
    }
}

/// Random bytes as hex.
pub(super) fn random(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::Exchange("no random numbers".to_owned()))?;
    Ok(data_encoding::HEXLOWER.encode(&random))
}
