//! Outward: what is owed is put together, sealed, written as a bundle, and remembered.

use std::path::PathBuf;
use std::sync::PoisonError;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Error, House};
use crate::domain::bundle::{self, Selection};
use crate::domain::digest::Sha256;
use crate::domain::event::{BundleMade, BundledReport, Fact};
use crate::domain::instance::{Account, DeviceName};
use crate::domain::problem::with_causes;
use crate::domain::report::{ReportFacts, ReportId, read};
use crate::exchange::bundle::{BundleInput, BundleReport, compose, sweep, write_folder, write_tar};
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
    let (owed, previous_bundle_id) = owed(house, selection);
    let instances = owed.iter().map(|owed| &owed.instance).collect::<std::collections::BTreeSet<_>>().len();
    let (reports, mut left_out) = read_objects(house, owed);
    let input = BundleInput {
        bundle_id: random(8)?,
        nonce: random(16)?,
        created: at.unwrap_or(now),
        collector: house.config.collector.name.clone(),
        site: selection.site.clone(),
        reports,
        previous_bundle_id: previous_bundle_id.clone(),
    };
    let signer = Signer::open_or_create(&house.config.exchange.signer, &input.collector, now)
        .map_err(|error| Error::Exchange(with_causes(&error)))?;
    let bundle = compose(&input, &signer).map_err(refused)?;
    let folder = out.unwrap_or_else(|| house.exchange_dir());
    std::fs::create_dir_all(&folder).map_err(|error| Error::Exchange(format!("{}: {error}", folder.display())))?;
    sweep(&folder).map_err(refused)?;
    let path = if tar { write_tar(&bundle, &folder) } else { write_folder(&bundle, &folder) }.map_err(refused)?;
    let reports: Vec<BundledReport> = bundle
        .manifest
        .reports
        .iter()
        .map(|report| BundledReport {
            udi: report.udi.clone(),
            report_id: report.report_id,
            payload_sha256: report.payload_sha256,
        })
        .collect();
    let count = reports.len();
    let unfit = bundle.left_out.iter();
    left_out.extend(unfit.map(|left| format!("report {} of {}: {}", left.report_id, left.udi, left.cause)));
    let made = BundleMade {
        bundle_id: input.bundle_id.clone(),
        nonce: input.nonce,
        site: selection.site.clone(),
        manifest_sha256: bundle.manifest_sha256,
        name: bundle.name,
        uploads: bundle.uploads,
        reports,
        previous_bundle_id: previous_bundle_id.clone(),
    };
    // Written first: a bundle on disk that the ledger does not know is only made again.
    house.ledger.append(now, vec![Fact::BundleMade(made)], Vec::new())?;
    Ok(Made { bundle_id: input.bundle_id, path, instances, reports: count, previous_bundle_id, left_out })
}

/// A report on its way, before its bytes are read.
struct Owed {
    instance: String,
    device: Option<DeviceName>,
    account: Account,
    report_id: ReportId,
    object: Sha256,
    payload_sha256: Sha256,
}

/// What the selection takes, and the bundle made before this one.
fn owed(house: &House, selection: &Selection) -> (Vec<Owed>, Option<String>) {
    let fleet = house.ledger.fleet();
    let mut owed = Vec::new();
    for contribution in bundle::owed(&fleet, &house.watched, selection) {
        owed.extend(contribution.reports.iter().map(|report| Owed {
            instance: contribution.udi.to_string(),
            device: contribution.device.cloned(),
            account: contribution.account.clone(),
            report_id: report.report_id,
            object: report.object,
            payload_sha256: report.payload_sha256,
        }));
    }
    let of_site = fleet.bundles.values().filter(|bundle| bundle.facts.site == selection.site);
    let previous = of_site.max_by_key(|bundle| bundle.made).map(|bundle| bundle.facts.bundle_id.clone());
    (owed, previous)
}

/// Reads the bytes. A report whose bytes are gone, or are not what was kept, holds nobody else up.
fn read_objects(house: &House, owed: Vec<Owed>) -> (Vec<BundleReport>, Vec<String>) {
    let read = |owed: &Owed| -> Result<(Vec<u8>, ReportFacts), String> {
        let raw = house.ledger.object(&owed.object).map_err(|error| with_causes(&error))?;
        let raw = raw.ok_or("its bytes are gone from the ledger")?;
        let text = std::str::from_utf8(&raw).map_err(|error| error.to_string())?;
        let facts = read::report(text).map_err(|error| error.to_string())?.facts;
        if facts.payload_sha256 != owed.payload_sha256 {
            return Err(format!(
                "expected a payload with SHA-256 {}, got {}",
                owed.payload_sha256, facts.payload_sha256
            ));
        }
        Ok((raw, facts))
    };
    let (mut reports, mut left_out) = (Vec::with_capacity(owed.len()), Vec::new());
    for owed in owed {
        match read(&owed) {
            Ok((raw, facts)) => {
                reports.push(BundleReport { device: owed.device, account: owed.account, raw, facts });
            }
            Err(cause) => left_out.push(format!("report {} of {}: {cause}", owed.report_id, owed.instance)),
        }
    }
    (reports, left_out)
}

fn refused(error: crate::exchange::bundle::BundleError) -> Error {
    use crate::exchange::bundle::BundleError;
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
