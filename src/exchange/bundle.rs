//! The bundle: what one exchange carries to a desk with a way to Cisco.
//!
//! ```text
//! exchange-<site|all>-<UTC time>-<short id>/
//!   single/<pid>_<sn>_<time>.txt      one RUM text file a product instance: the documented upload
//!   UD_SA_<time>.tar.gz               all of one Smart Account at once; known from sample code only
//!   unassigned/<pid>_<sn>_<time>.txt  instances whose account is not known: a person must choose
//!   manifest.json  manifest.sig  signer.pem  READ-ME.txt
//! ```
//!
//! Names of files for upload are made of product id and serial number, which are in the reports
//! anyway: the operator's names of devices stand in the manifest and go to nobody at Cisco.

mod manifest;
mod readme;
mod store;
mod verify;

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

pub use self::manifest::{Manifest, ManifestMember, ManifestReport, SCHEMA};
pub use self::store::{Opened, open, sweep, write_folder, write_tar};
pub use self::verify::Verified;
use super::archive::{AccountArchive, ArchiveError, NamedBytes, VirtualAccountFiles, name_time};
use super::seal::{SealError, Signer};
use crate::domain::digest::Sha256;
use crate::domain::event::BundleUpload;
use crate::domain::instance::{Account, DeviceName, Site, Udi};
use crate::domain::report::read::{self, ReportForm};
use crate::domain::report::{ReportFacts, ReportId, ReportType};
use crate::domain::rum_file;

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
const SIGNER: &str = "signer.pem";
const READ_ME: &str = "READ-ME.txt";

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub struct BundleInput {
    pub bundle_id: String,
    /// Never used twice; it makes each manifest one of its kind.
    pub nonce: String,
    pub created: Timestamp,
    /// The collector's own name.
    pub collector: String,
    /// `None`: all sites.
    pub site: Option<Site>,
    pub reports: Vec<BundleReport>,
    pub previous_bundle_id: Option<String>,
}

/// One report on its way out.
#[derive(Clone, Debug)]
pub struct BundleReport {
    pub device: Option<DeviceName>,
    pub account: Account,
    /// The signed object byte for byte.
    pub raw: Vec<u8>,
    pub facts: ReportFacts,
}

/// A bundle in memory.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Name of its folder.
    pub name: String,
    /// Paths within the folder, with `/`, and their bytes.
    pub files: Vec<NamedBytes>,
    pub manifest: Manifest,
    pub manifest_sha256: Sha256,
    /// Every name under which an answer may come back (with `ACK_` before it).
    pub uploads: Vec<BundleUpload>,
    /// Reports that must not leave; the others are not held up by them.
    pub left_out: Vec<LeftOut>,
}

/// A report whose bytes are not what its facts say, or that no device signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub udi: Udi,
    pub report_id: ReportId,
    pub cause: String,
}

/// Why a bundle cannot be made, written, read, or believed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("there is no report to put into a bundle ({left_out} left out)")]
    Empty { left_out: usize },
    #[error("cannot {doing} {path}")]
    Io {
        doing: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is already there")]
    AlreadyThere { path: std::path::PathBuf },
    #[error("{path}: expected plain files and folders of a bundle, got {got}")]
    NotAFile { path: std::path::PathBuf, got: &'static str },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("expected a bundle, but there is no {missing}")]
    NotABundle { missing: &'static str },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("signed by {got}, expected {expected}")]
    Signer { expected: Sha256, got: Sha256 },
    #[error("the manifest is signed but cannot be read: {cause}")]
    Manifest { cause: String },
    #[error("the contents are not those of the manifest: {}", problems.join("; "))]
    Contents { problems: Vec<String> },
}

impl BundleError {
    /// Is it that something did not verify, rather than that something was not there?
    pub fn is_unverified(&self) -> bool {
        match self {
            BundleError::Seal(_)
            | BundleError::Signer { .. }
            | BundleError::Manifest { .. }
            | BundleError::Contents { .. } => true,
            BundleError::Empty { .. }
            | BundleError::Io { .. }
            | BundleError::AlreadyThere { .. }
            | BundleError::NotAFile { .. }
            | BundleError::Archive(_)
            | BundleError::NotABundle { .. } => false,
        }
    }
}

/// Makes the bundle. Archives and the files in them are the same bytes for the same reports and time.
pub fn compose(input: &BundleInput, signer: &Signer) -> Result<Bundle, BundleError> {
    let (reports, left_out) = checked(&input.reports)?;
    let mut names = Names::new(input.created);
    let mut files: Vec<NamedBytes> = Vec::new();
    let mut uploads: Vec<BundleUpload> = Vec::new();

    // One file an instance; what is of the same accounts goes into archives as well.
    let mut accounts: BTreeMap<&str, BTreeMap<&str, Vec<NamedBytes>>> = BTreeMap::new();
    let mut singles: BTreeMap<&Account, Vec<String>> = BTreeMap::new();
    for ((account, udi), own) in by_instance(&reports) {
        let text = rum_file::compose(own.iter().map(|report| &report.raw));
        let name = names.single(udi);
        uploads.push(BundleUpload { name: name.clone(), udi: Some(udi.clone()) });
        match (account.smart_account.as_deref(), account.virtual_account.as_deref()) {
            (Some(smart), Some(of)) => {
                files.push((format!("single/{name}"), text.clone()));
                singles.entry(account).or_default().push(name);
                let name = names.device(udi);
                uploads.push(BundleUpload { name: name.clone(), udi: Some(udi.clone()) });
                accounts.entry(smart).or_default().entry(of).or_default().push((name, text));
            }
            (_, None) | (None, _) => files.push((format!("unassigned/{name}"), text)),
        }
    }
    let mut archives = Vec::new();
    for (smart_account, of) in accounts {
        let virtual_accounts = of.into_iter().map(|(name, files)| VirtualAccountFiles {
            virtual_account: name.to_owned(),
            archive_name: names.archive("UD_VA"),
            files,
        });
        let archive = AccountArchive {
            smart_account: smart_account.to_owned(),
            creator: creator(&input.collector),
            virtual_accounts: virtual_accounts.collect(),
        };
        let name = names.archive("UD_SA");
        let inner = archive.virtual_accounts.iter().map(|one| one.archive_name.clone());
        uploads.extend(inner.chain([name.clone()]).map(|name| BundleUpload { name, udi: None }));
        let bytes = archive.write().map_err(|source| BundleError::Io {
            doing: "compose",
            path: name.clone().into(),
            source,
        })?;
        files.push((name.clone(), bytes));
        archives.push((smart_account.to_owned(), name));
    }

    let mut manifest = Manifest {
        schema: SCHEMA.to_owned(),
        bundle_id: input.bundle_id.clone(),
        nonce: input.nonce.clone(),
        created: input.created,
        collector: input.collector.clone(),
        site: input.site.clone(),
        accounts: Vec::new(),
        members: Vec::new(),
        reports: reports.iter().map(|report| ManifestReport::of(report)).collect(),
        contains: contains(&reports),
        previous_bundle_id: input.previous_bundle_id.clone(),
    };
    manifest.accounts = reports.iter().map(|report| report.account.clone()).collect();
    manifest.accounts.sort();
    manifest.accounts.dedup();
    files.push((SIGNER.to_owned(), signer.certificate().pem.clone()));
    let read_me = readme::text(&manifest, &singles, &archives, signer.certificate());
    files.push((READ_ME.to_owned(), read_me.into_bytes()));
    files.sort_by(|a, b| a.0.cmp(&b.0));
    manifest.members = files.iter().map(|(path, bytes)| ManifestMember::of(path, bytes)).collect();

    let bytes = manifest.to_bytes();
    files.push((SIGNATURE.to_owned(), signer.sign(&bytes)));
    let manifest_sha256 = Sha256::of(&bytes);
    files.push((MANIFEST.to_owned(), bytes));
    Ok(Bundle { name: folder_name(input), files, manifest, manifest_sha256, uploads, left_out })
}

/// The reports, each once, in the order of account, instance and id; and those that must not leave.
fn checked(reports: &[BundleReport]) -> Result<(Vec<&BundleReport>, Vec<LeftOut>), BundleError> {
    let mut sorted: Vec<&BundleReport> = Vec::with_capacity(reports.len());
    let mut left_out = Vec::new();
    for report in reports {
        match check(report) {
            Ok(()) => sorted.push(report),
            Err(cause) => {
                let (udi, report_id) = (report.facts.udi.clone(), report.facts.report_id);
                left_out.push(LeftOut { udi, report_id, cause });
            }
        }
    }
    if sorted.is_empty() {
        return Err(BundleError::Empty { left_out: left_out.len() });
    }
    fn key(report: &BundleReport) -> (&Account, &Udi, ReportId, Sha256) {
        (&report.account, &report.facts.udi, report.facts.report_id, report.facts.payload_sha256)
    }
    sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    sorted.dedup_by(|a, b| key(a) == key(b));
    Ok((sorted, left_out))
}

/// Are the bytes what was kept, and signed?
fn check(report: &BundleReport) -> Result<(), String> {
    let text = std::str::from_utf8(&report.raw).map_err(|error| error.to_string())?;
    let read = read::report(text).map_err(|error| error.to_string())?;
    if read.form != ReportForm::Signed {
        return Err("it carries no signature".to_owned());
    }
    let (expected, got) = (report.facts.payload_sha256, read.facts.payload_sha256);
    if expected != got {
        return Err(format!("expected a payload with SHA-256 {expected}, got {got}"));
    }
    Ok(())
}

fn by_instance<'a>(reports: &[&'a BundleReport]) -> BTreeMap<(&'a Account, &'a Udi), Vec<&'a BundleReport>> {
    let mut instances: BTreeMap<_, Vec<&BundleReport>> = BTreeMap::new();
    for report in reports {
        instances.entry((&report.account, &report.facts.udi)).or_default().push(*report);
    }
    instances
}

/// The kinds of data that leave the site, as found in these reports.
fn contains(reports: &[&BundleReport]) -> Vec<String> {
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    let any = |test: &dyn Fn(&BundleReport) -> bool| reports.iter().any(|report| test(report));
    let kinds = [
        ("product-ids-and-serial-numbers", true),
        ("licence-names-and-counts", any(&|report| report.facts.entitlement_tag.is_some())),
        ("times-of-use", any(&|report| !report.facts.measurements.is_empty())),
        ("software-versions", any(&|report| report.facts.software_version.is_some())),
        (
            "serial-numbers-of-members",
            any(&|report| {
                let joined = |m: &crate::domain::report::Measurement| !m.added.is_empty() || !m.removed.is_empty();
                report.facts.members.len() > 1 || report.facts.measurements.iter().any(joined)
            }),
        ),
        ("product-instance-identifiers", any(&|report| report.facts.product_instance_identifier.is_some())),
        ("telemetry", any(&|report| report.facts.report_type == ReportType::Telemetry)),
        ("host-names", any(&|report| has(&report.raw, "hostname"))),
        ("account-names", any(&|report| report.account.smart_account.is_some())),
        ("device-names-in-manifest-only", any(&|report| report.device.is_some())),
    ];
    kinds.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind.to_owned()).collect()
}

fn folder_name(input: &BundleInput) -> String {
    let site = input.site.as_ref().map_or("all".to_owned(), |site| safe(&site.0));
    let id: String = safe(&input.bundle_id).chars().take(8).collect();
    format!("exchange-{site}-{}-{id}", input.created.strftime("%Y%m%dT%H%M%SZ"))
}

/// A UUID that always is the same for one collector, so that archives do not differ without need.
fn creator(collector: &str) -> String {
    let mut bytes = Sha256::of(collector.as_bytes()).0;
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Names within one bundle, none twice: the portal answers by name.
struct Names {
    created: Timestamp,
    taken: HashSet<String>,
}

impl Names {
    fn new(created: Timestamp) -> Names {
        Names { created, taken: HashSet::new() }
    }

    fn single(&mut self, udi: &Udi) -> String {
        let time = name_time(self.created);
        self.free(|mark| format!("{}_{}{mark}_{time}.txt", safe(&udi.pid), safe(&udi.sn)))
    }

    /// The id is the third field between underscores, where the sample's reader looks for it.
    fn device(&mut self, udi: &Udi) -> String {
        let time = name_time(self.created);
        let id = safe(&udi.sn).replace('_', "-");
        self.free(|mark| format!("dev_{id}{mark}_{time}.txt"))
    }

    /// Archives differ by their time alone: each further one is a millisecond later.
    fn archive(&mut self, prefix: &str) -> String {
        let mut later = 0;
        loop {
            let time = self.created.checked_add(SignedDuration::from_millis(later)).unwrap_or(self.created);
            let name = format!("{prefix}_{}.tar.gz", name_time(time));
            if self.taken.insert(name.clone()) {
                return name;
            }
            later += 1;
        }
    }

    fn free(&mut self, name: impl Fn(&str) -> String) -> String {
        let mut mark = String::new();
        let mut next = 2;
        loop {
            let name = name(&mark);
            if self.taken.insert(name.clone()) {
                return name;
            }
            mark = format!("-{next}");
            next += 1;
        }
    }
}

/// Text cut down to what every file system and portal takes in a name.
fn safe(text: &str) -> String {
    const LONGEST: usize = 40;
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "._-".contains(character) { character } else { '-' }
    };
    let name: String = text.chars().map(plain).take(LONGEST).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
