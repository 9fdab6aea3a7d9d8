//! Who a device is, put together from what it said.

use jiff::tz::TimeZone;

use super::{Kind, Reading, read};
use crate::domain::instance::{Member, Udi};
use crate::domain::state::Stamp;

/// What several outputs of one device say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `ios-xe`, `ios-xr`, `nx-os`.
    pub os: Option<&'static str>,
    pub hostname: Option<String>,
    pub software: Option<String>,
    /// Of `show license …` where that was among them, else of the chassis.
    pub udi: Option<Udi>,
    pub uuid: Option<String>,
    pub members: Vec<Member>,
    /// The last clock among the outputs.
    pub clock: Option<Stamp>,
}

/// Puts `show version`, `show inventory`, `show license udi|all|…`, `show clock` together, in any order.
pub fn identity<'a>(texts: impl IntoIterator<Item = &'a str>, zone: Option<&TimeZone>) -> Identity {
    let mut identity = Identity::default();
    let mut chassis: Option<(bool, Udi)> = None;
    let mut prompt = None;
    for text in texts {
        let reading = read(text, zone);
        let version = reading.software.is_some();
        let inventory = reading.kind == Kind::ShowInventory;
        let Reading { os, hostname, software, state, clock, chassis: found, chassis_certain, .. } = reading;
        // What show version says of itself is surer than what a prompt or a product name lets infer.
        identity.os = if version { os.or(identity.os) } else { identity.os.or(os) };
        if version {
            identity.hostname = hostname.or(identity.hostname);
        } else {
            prompt = prompt.or(hostname);
        }
        identity.software = software.or(identity.software);
        identity.udi = state.udi.or(identity.udi);
        identity.uuid = state.uuid.or(identity.uuid);
        if !state.members.is_empty() {
            identity.members = state.members;
        }
        identity.clock = clock.or(identity.clock);
        // A name that lacks a part would make another instance of it.
        if let Some(udi) = found.filter(|_| chassis_certain)
            && chassis.as_ref().is_none_or(|(by_inventory, _)| !by_inventory || inventory)
        {
            chassis = Some((inventory, udi));
        }
    }
    identity.hostname = identity.hostname.or(prompt);
    identity.udi = identity.udi.or(chassis.map(|(_, udi)| udi));
    identity
}
