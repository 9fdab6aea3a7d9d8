//! Who is behind each device of the inventory, for a fleet of 100,000 in a few milliseconds.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::domain::beside::beside;
use crate::domain::fleet::{Device, Fleet};
use crate::domain::instance::Udi;
use crate::domain::plan::Watched;

/// A device of the inventory with what was learned of it.
#[derive(Clone, Copy)]
pub(super) struct Listed<'a> {
    pub watched: &'a Watched,
    pub known: Option<&'a Device>,
    pub last_contact: Option<jiff::Timestamp>,
}

/// The inventory and the fleet, joined.
pub(super) struct Index<'a> {
    listed: Vec<Listed<'a>>,
    by_instance: HashMap<BySerial<'a>, usize, BuildHasherDefault<Fnv>>,
    /// Pairs of devices that are one instance.
    pub twice: Vec<(&'a Udi, usize, usize)>,
}

impl<'a> Index<'a> {
    pub(super) fn of(fleet: &'a Fleet, watched: &'a [Watched]) -> Self {
        let by_instance = HashMap::with_capacity_and_hasher(watched.len(), BuildHasherDefault::default());
        let mut index = Index { listed: Vec::with_capacity(watched.len()), by_instance, twice: Vec::new() };
        let (mut devices, mut contacts) = (beside(&fleet.devices), beside(&fleet.contacts));
        for (at, watched) in watched.iter().enumerate() {
            let known = devices(&watched.name).map(|device| &**device);
            let last_contact = contacts(&watched.name).copied();
            if let Some(udi) = known.and_then(|known| known.instance.as_ref()) {
                match index.by_instance.get(&BySerial(udi)) {
                    None => drop(index.by_instance.insert(BySerial(udi), at)),
                    Some(first) => index.twice.push((udi, *first, at)),
                }
            }
            index.listed.push(Listed { watched, known, last_contact });
        }
        index
    }

    /// The device of the inventory that an instance is.
    pub(super) fn get(&self, udi: &Udi) -> Option<Listed<'a>> {
        self.by_instance.get(&BySerial(udi)).and_then(|at| self.listed.get(*at)).copied()
    }

    pub(super) fn watched(&self, at: usize) -> Option<&'a Watched> {
        self.listed.get(at).map(|listed| listed.watched)
    }

    pub(super) fn devices(&self, each: impl FnMut(&Listed<'a>)) {
        self.listed.iter().for_each(each);
    }
}

/// A UDI under its serial number alone, which hardly two products share.
#[derive(PartialEq, Eq)]
struct BySerial<'a>(&'a Udi);

impl Hash for BySerial<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.sn.as_bytes());
    }
}

/// FNV-1a: short keys of our own records, where nobody gains by making them collide.
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
