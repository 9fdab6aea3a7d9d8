//! The stored form of runs is held to its version: `tests/data/runs-…` is what a sample of events came to under it.

mod sample;

use super::image::{END, Extent, Index, MAGIC};
use super::*;
use crate::domain::ack::StatedLicence;
use crate::domain::digest::Sha256;
use crate::domain::timeline::{Contact, Licence, Reading, Saying, What};
use crate::ledger::{Ledger, Options, RegisterKind};

/// Of the segment that the sample is.
const HEAD: Sha256 = Sha256::ZERO;

fn golden() -> PathBuf {
    let version = std::str::from_utf8(MAGIC).unwrap();
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/runs-{version}"))
}

/// The sample's runs; what its events say, batch by batch, is `told`.
fn image() -> Image {
    let mut builder = Builder::default();
    for batch in sample::events().chunks(3) {
        builder.add(told(batch), batch.len() as u64);
    }
    builder.image(HEAD).unwrap()
}

/// All that is stored, without what compression makes of it: another release of zstd changes no form.
fn plain(image: &[u8]) -> Vec<u8> {
    let (frames, end) = image.split_at(image.len() - END);
    let mut plain = zstd::decode_all(frames).unwrap();
    let index = u32::from_le_bytes(end[12..16].try_into().unwrap());
    let index = plain.split_off(plain.len() - index as usize);
    let mut index: Index = postcard::from_bytes(&index).unwrap();
    let of_compression = |extent: &mut Extent| (extent.at, extent.len) = (0, 0);
    index.blocks.iter_mut().for_each(|block| of_compression(&mut block.extent));
    of_compression(&mut index.contacts);
    postcard::to_extend(&index, plain).unwrap()
}

/// Which forms of what can be said have come up; of what may be so or not, which. Does not compile when something that
/// can be said is missing here, nor the expectation when something that is here is missing there.
#[derive(Debug, Default, PartialEq)]
struct Forms {
    report: bool,
    again: bool,
    counts: BTreeSet<bool>,
    span: BTreeSet<bool>,
    many_stretches: BTreeSet<bool>,
    with: BTreeSet<bool>,
    tells_nobody: BTreeSet<bool>,
    clock_moved_ahead: BTreeSet<bool>,
    reloaded: bool,
    left: bool,
    joined: bool,
    by_tag: BTreeSet<bool>,
    clock_ahead: BTreeSet<bool>,
    is_with: BTreeSet<bool>,
    lost: bool,
    restored: bool,
    listed: bool,
    answered_all: BTreeSet<bool>,
}

impl Forms {
    fn take(&mut self, saying: &Saying) {
        match saying {
            Saying::Chassis(_, Note::Report(_, reading)) => {
                self.report = true;
                self.reading(reading);
            }
            Saying::Chassis(_, Note::Again(_, reading)) => {
                self.again = true;
                self.reading(reading);
            }
            Saying::Chassis(_, Note::Licences(told)) => {
                self.by_tag.extend(told.iter().map(|(licence, _)| match licence {
                    Licence::Tag(_) => true,
                    Licence::Name(_) => false,
                }))
            }
            Saying::Chassis(_, Note::Clock(ahead)) => drop(self.clock_ahead.insert(*ahead > 0)),
            Saying::Device(_, Contact::Is(_, with)) => drop(self.is_with.insert(with.is_some())),
            Saying::Device(_, Contact::Lost) => self.lost = true,
            Saying::Device(_, Contact::Restored) => self.restored = true,
            Saying::Listed(_, _) => self.listed = true,
            Saying::Answered(StatedLicence { entitlement_tag: _, name, description, license_type, count }) => {
                let told = [name.is_some(), description.is_some(), license_type.is_some(), count.is_some()];
                self.answered_all.extend(told);
            }
        }
    }

    fn reading(&mut self, reading: &Reading) {
        let Reading { source: _, counts, span, stretches, changes, with, tells_nobody } = reading;
        self.counts.insert(*counts);
        self.span.insert(span.is_some());
        self.many_stretches.insert(stretches.len() > 1);
        self.with.insert(with.is_some());
        self.tells_nobody.insert(*tells_nobody);
        for (_, what) in changes {
            match what {
                What::ClockMoved(by) => drop(self.clock_moved_ahead.insert(*by > 0)),
                What::Reloaded => self.reloaded = true,
                What::Left(_) => self.left = true,
                What::Joined(_) => self.joined = true,
            }
        }
    }
}

#[test]
fn the_sample_says_everything_that_can_be_said() {
    let mut forms = Forms::default();
    told(&sample::events()).iter().for_each(|told| forms.take(&told.saying));
    let both = || BTreeSet::from([false, true]);
    let all = Forms {
        report: true,
        again: true,
        counts: both(),
        span: both(),
        many_stretches: both(),
        with: both(),
        tells_nobody: both(),
        clock_moved_ahead: both(),
        reloaded: true,
        left: true,
        joined: true,
        by_tag: both(),
        clock_ahead: both(),
        is_with: both(),
        lost: true,
        restored: true,
        listed: true,
        answered_all: both(),
    };
    assert_eq!(forms, all);
}

#[test]
fn what_is_stored_is_as_its_version_says() {
    let (own, golden) = (image(), golden());
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !golden.exists() {
        std::fs::write(&golden, own.bytes()).unwrap();
    }
    let kept = std::fs::read(&golden).unwrap_or_default();
    assert!(
        kept.len() > END && plain(own.bytes()) == plain(&kept),
        "what runs store of the same events is not what {} has: raise MAGIC in src/ledger/runs/image.rs, or collectors \
         in the field misread the runs that they have; then remove that file and UPDATE_GOLDEN=1",
        golden.display(),
    );
}

#[test]
fn what_was_stored_is_read_as_it_was_said() {
    let kept = Image::open(&golden(), HEAD).unwrap();
    let (mut notes, mut contacts, mut called) = (Vec::new(), Vec::new(), Called::default());
    for Told { place, at, saying } in told(&sample::events()) {
        match saying {
            // Where it stands matters only for what is of a time with what became of devices.
            Saying::Chassis(udi, note @ Note::Licences(_)) => notes.push((udi, place, at, note)),
            Saying::Chassis(udi, note) => notes.push((udi, 0, at, note)),
            Saying::Device(device, what) => contacts.push((place, at, device, what)),
            Saying::Listed(tag, feature) => called.listed(&tag, &feature),
            Saying::Answered(licence) => called.answered(&licence),
        }
    }
    // Chassis by chassis, each in the order of the journal.
    notes.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut read = Vec::new();
    let mut each = |udi: &Udi, place, at, note| read.push((udi.clone(), place, at, note));
    kept.stretch(&mut Decoder::new().unwrap(), Bound::Unbounded, Bound::Unbounded, &mut each).unwrap();
    assert_eq!(read, notes);
    let mut read = Vec::new();
    kept.contacts(&mut |place, at, device, what| read.push((place, at, device, what))).unwrap();
    assert_eq!(read, contacts);
    let mut read = Called::default();
    kept.calls(&mut read);
    assert!(read.each().eq(called.each()));
    assert_eq!(kept.companies(), [Together::from([sample::udi(1), sample::udi(2)])]);
}

#[test]
fn what_another_version_stored_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { register: RegisterKind::Memory, segment_months: false, ..Options::default() };
    let ledger = Ledger::open(folder.path(), options).unwrap();
    for event in sample::events() {
        ledger.append(event.at, vec![event.fact], Vec::new()).unwrap();
    }
    ledger.seal().unwrap();
    let file = file_of(folder.path(), 1);
    let own = std::fs::read(&file).unwrap();
    let reports = |runs: &Runs| runs.stretch(Bound::Unbounded, Bound::Unbounded).unwrap().reports();
    let reach = Reach::window(Seconds::MIN, Seconds::MAX);
    let expected = reports(&ledger.runs(reach).unwrap());

    // Whole, of this very segment, and wrong: whoever took it would tell of nobody.
    let sealed = ledger.inner.shared.layout().sealed[0].seal.head;
    let mut another = Builder::default().image(sealed).unwrap().bytes().to_vec();
    std::fs::write(&file, &another).unwrap();
    assert_ne!(reports(&ledger.runs(reach).unwrap()), expected, "of this version it would be taken");
    for version in [b"slpruns1", b"slpruns~"] {
        let magic = another.len() - MAGIC.len();
        another[magic..].copy_from_slice(version);
        std::fs::write(&file, &another).unwrap();
        assert_eq!(reports(&ledger.runs(reach).unwrap()), expected);
        assert_eq!(std::fs::read(&file).unwrap(), own);
    }
    ledger.close().unwrap();
}
