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

mod contains;
mod manifest;
mod opened;
mod place;
mod readme;
mod verify;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use self::contains::Contains;
pub use self::manifest::{Manifest, ManifestMember, ManifestReport, SCHEMA};
pub use self::opened::{Opened, open};
use self::place::Place;
pub use self::place::{Form, sweep};
pub use self::verify::Verified;
use super::archive::{AccountArchive, ArchiveError, name_time};
use super::seal::{SealError, Signer};
use crate::domain::digest::Sha256;
use crate::domain::event::BundleUpload;
use crate::domain::instance::{Account, DeviceName, Site, Udi};
use crate::domain::report::read::{self, ReportForm};
use crate::domain::report::{EntitlementTag, ReportFacts, ReportId};
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
    /// In any order.
    pub parcels: Vec<Parcel>,
    pub previous_bundle_id: Option<String>,
}

/// What one product instance hands over.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub account: Account,
    pub udi: Udi,
    pub device: Option<DeviceName>,
    /// Does the device put its host name into what it reports, by its own word?
    pub sends_hostname: Option<bool>,
    pub reports: Vec<Wanted>,
}

/// One report on its way out, before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub report_id: ReportId,
    pub payload_sha256: Sha256,
    /// The name of its bytes.
    pub object: Sha256,
}

/// Gives the signed object of a report byte for byte, or a sentence why not.
pub type Fetch<'a> = &'a mut dyn FnMut(&Wanted) -> Result<Vec<u8>, String>;

/// A bundle that was written.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Name of its folder.
    pub name: String,
    /// The folder or tar.
    pub path: PathBuf,
    pub manifest: Manifest,
    pub manifest_sha256: Sha256,
    /// Every name under which an answer may come back (with `ACK_` before it).
    pub uploads: Vec<BundleUpload>,
    /// Reports that must not leave; the others are not held up by them.
    pub left_out: Vec<LeftOut>,
}

/// A report whose bytes are not there, are not what was kept, or that no device signed.
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
    #[error("{member}: {source}")]
    Seal { member: &'static str, source: SealError },
    #[error("{SIGNER}: signed by {got}, expected {expected}")]
    Signer { expected: Sha256, got: Sha256 },
    #[error("{MANIFEST} is signed but cannot be read: {cause}")]
    Manifest { cause: String },
    #[error("the contents are not those of the manifest: {}", problems.join("; "))]
    Contents { problems: Vec<String> },
}

impl BundleError {
    /// Is it that what is there is not what a signer stated, rather than that it could not be looked at?
    pub fn is_unverified(&self) -> bool {
        match self {
            BundleError::Seal { .. }
            | BundleError::NotAFile { .. }
            | BundleError::Archive(_)
            | BundleError::NotABundle { .. }
            | BundleError::Signer { .. }
            | BundleError::Manifest { .. }
            | BundleError::Contents { .. } => true,
            BundleError::Empty { .. } | BundleError::Io { .. } | BundleError::AlreadyThere { .. } => false,
        }
    }
}

fn at<T>(doing: &'static str, path: &Path, result: io::Result<T>) -> Result<T, BundleError> {
    result.map_err(|source| BundleError::Io { doing, path: path.to_owned(), source })
}

/// Makes the bundle under `parent`, instance by instance: in memory are the reports of one, and the manifest.
/// Archives and the files in them are the same bytes for the same reports and time.
pub fn create(
    mut input: BundleInput,
    fetch: Fetch<'_>,
    signer: &Signer,
    form: Form,
    parent: &Path,
) -> Result<Bundle, BundleError> {
    let parcels = in_order(std::mem::take(&mut input.parcels));
    let name = folder_name(&input);
    let mut writing = Writing {
        place: Place::begin(parent, &name, form)?,
        names: Names::new(input.created),
        creator: creator(&input.collector),
        archive: None,
        archives: Vec::new(),
        singles: BTreeMap::new(),
        uploads: Vec::new(),
        reports: Vec::new(),
        tags: HashSet::new(),
        contains: Contains::default(),
        accounts: BTreeSet::new(),
        left_out: Vec::new(),
    };
    for parcel in parcels {
        writing.add(&parcel, fetch)?;
    }
    writing.end_archive()?;
    writing.seal(input, name, signer)
}

/// One parcel an instance and account, in the order of accounts and UDIs, each report once.
fn in_order(mut parcels: Vec<Parcel>) -> Vec<Parcel> {
    parcels.sort_by(|a, b| (&a.account, &a.udi).cmp(&(&b.account, &b.udi)));
    let mut merged: Vec<Parcel> = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        match merged.last_mut() {
            Some(last) if last.account == parcel.account && last.udi == parcel.udi => {
                last.reports.extend(parcel.reports);
            }
            Some(_) | None => merged.push(parcel),
        }
    }
    for parcel in &mut merged {
        parcel.reports.sort_unstable();
        parcel.reports.dedup_by_key(|wanted| (wanted.report_id, wanted.payload_sha256));
    }
    merged
}

/// A bundle while it is written.
struct Writing {
    place: Place,
    names: Names,
    creator: String,
    /// The Smart Account that is being packed.
    archive: Option<AccountArchive>,
    /// Smart Account and the name of its archive.
    archives: Vec<(String, String)>,
    /// The files in `single/` of each account.
    singles: BTreeMap<Account, Vec<String>>,
    uploads: Vec<BundleUpload>,
    reports: Vec<ManifestReport>,
    /// Every report names one of few.
    tags: HashSet<EntitlementTag>,
    contains: Contains,
    accounts: BTreeSet<Account>,
    left_out: Vec<LeftOut>,
}

impl Writing {
    /// One file an instance; what is of known accounts goes into archives as well.
    fn add(&mut self, parcel: &Parcel, fetch: Fetch<'_>) -> Result<(), BundleError> {
        let mut raws = Vec::with_capacity(parcel.reports.len());
        for wanted in &parcel.reports {
            match fetch(wanted).and_then(|raw| check(parcel, wanted, raw)) {
                Ok((raw, facts)) => {
                    self.contains.see(parcel, &raw, &facts);
                    self.state(parcel, facts);
                    raws.push(raw);
                }
                Err(cause) => {
                    self.left_out.push(LeftOut { udi: parcel.udi.clone(), report_id: wanted.report_id, cause });
                }
            }
        }
        if raws.is_empty() {
            return Ok(());
        }
        let text = rum_file::compose(&raws);
        drop(raws);
        let udi = &parcel.udi;
        let name = self.names.single(udi);
        let upload = |name: &str| BundleUpload { name: name.to_owned(), udi: Some(udi.clone()) };
        self.uploads.push(upload(&name));
        self.accounts.insert(parcel.account.clone());
        self.contains.device(parcel);
        match (parcel.account.smart_account.as_deref(), parcel.account.virtual_account.as_deref()) {
            (Some(smart), Some(of)) => {
                self.place.put(&format!("single/{name}"), text.len() as u64, &mut text.as_slice())?;
                self.singles.entry(parcel.account.clone()).or_default().push(name);
                let name = self.names.device(udi);
                self.uploads.push(upload(&name));
                self.pack(smart, of, &name, &text)
            }
            (_, None) | (None, _) => {
                self.place.put(&format!("unassigned/{name}"), text.len() as u64, &mut text.as_slice())
            }
        }
    }

    fn state(&mut self, parcel: &Parcel, facts: ReportFacts) {
        let tag = facts.entitlement_tag.as_ref().map(|tag| {
            if !self.tags.contains(tag) {
                self.tags.insert(tag.clone());
            }
            self.tags.get(tag).unwrap_or(tag).clone()
        });
        self.reports.push(ManifestReport {
            udi: parcel.udi.clone(),
            report_id: facts.report_id,
            payload_sha256: facts.payload_sha256,
            entitlement_tag: tag,
            device: parcel.device.clone(),
            start: facts.start(),
            end: facts.end(),
        });
    }

    fn pack(&mut self, smart: &str, of: &str, name: &str, text: &[u8]) -> Result<(), BundleError> {
        if self.archive.as_ref().is_none_or(|archive| archive.smart_account() != smart) {
            self.end_archive()?;
            self.archive = Some(AccountArchive::new(smart, &self.creator, self.place.scratch()?));
        }
        let Some(archive) = &mut self.archive else { return Ok(()) };
        let packed = if archive.virtual_account() == Some(of) {
            archive.add(name, text)
        } else {
            let archive_name = self.names.archive("UD_VA");
            self.uploads.push(BundleUpload { name: archive_name.clone(), udi: None });
            archive.begin(of, &archive_name).and_then(|()| archive.add(name, text))
        };
        at("compose", Path::new(name), packed)
    }

    /// Ends the Smart Account that is being packed.
    fn end_archive(&mut self) -> Result<(), BundleError> {
        let Some(archive) = self.archive.take() else { return Ok(()) };
        let (smart, name) = (archive.smart_account().to_owned(), self.names.archive("UD_SA"));
        let scratch = self.place.scratch()?;
        let written = archive.write(BufWriter::new(scratch)).and_then(|mut writer| {
            writer.flush()?;
            let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            let size = file.stream_position()?;
            file.rewind()?;
            Ok((file, size))
        });
        let (mut file, size) = at("compose", Path::new(&name), written)?;
        self.place.put(&name, size, &mut file)?;
        self.uploads.push(BundleUpload { name: name.clone(), udi: None });
        self.archives.push((smart, name));
        Ok(())
    }

    /// Writes what speaks of the bundle as a whole, and ends it.
    fn seal(mut self, input: BundleInput, name: String, signer: &Signer) -> Result<Bundle, BundleError> {
        if self.reports.is_empty() {
            return Err(BundleError::Empty { left_out: self.left_out.len() });
        }
        let mut manifest = Manifest {
            schema: SCHEMA.to_owned(),
            bundle_id: input.bundle_id,
            nonce: input.nonce,
            created: input.created,
            collector: input.collector,
            site: input.site,
            accounts: self.accounts.into_iter().collect(),
            members: Vec::new(),
            reports: self.reports,
            contains: self.contains.kinds().map(|kind| kind.word().to_owned()).collect(),
            previous_bundle_id: input.previous_bundle_id,
        };
        let mut put = |path: &str, bytes: &[u8]| self.place.put(path, bytes.len() as u64, &mut &*bytes);
        let told = readme::Told { singles: &self.singles, archives: &self.archives, contains: &self.contains };
        put(READ_ME, readme::text(&manifest, &told, signer.certificate()).as_bytes())?;
        put(SIGNER, &signer.certificate().pem)?;
        manifest.members = self.place.members();
        let bytes = manifest.to_bytes();
        let mut put = |path: &str, bytes: &[u8]| self.place.put(path, bytes.len() as u64, &mut &*bytes);
        put(SIGNATURE, &signer.sign(&bytes))?;
        put(MANIFEST, &bytes)?;
        let manifest_sha256 = Sha256::of(&bytes);
        drop(bytes);
        let path = self.place.finish()?;
        Ok(Bundle { name, path, manifest, manifest_sha256, uploads: self.uploads, left_out: self.left_out })
    }
}

/// Are the bytes what was kept, and signed?
fn check(parcel: &Parcel, wanted: &Wanted, raw: Vec<u8>) -> Result<(String, ReportFacts), String> {
    let raw = String::from_utf8(raw).map_err(|error| error.to_string())?;
    let read = read::report(&raw).map_err(|error| error.to_string())?;
    if read.form != ReportForm::Signed {
        return Err("it carries no signature".to_owned());
    }
    let (expected, got) = (wanted.payload_sha256, read.facts.payload_sha256);
    if expected != got {
        return Err(format!("expected a payload with SHA-256 {expected}, got {got}"));
    }
    if (&read.facts.udi, read.facts.report_id) != (&parcel.udi, wanted.report_id) {
        return Err(format!("it is report {} of {}", read.facts.report_id, read.facts.udi));
    }
    Ok((raw, read.facts))
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
