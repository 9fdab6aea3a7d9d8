//! What the instances of a fleet have in common, held once by each thread that reads them: a hundred thousand devices have
//! few policies, few licences with the same count, and few names.

use std::sync::Arc;

use super::{Device, Instance};
use crate::domain::instance::Udi;
use crate::domain::policy::Policy;
use crate::domain::shared::Alike;
use crate::domain::state::{Compliance, DeviceState, License, Transport};

/// No part of what is known: fleets that know the same are equal, and a copy of a fleet begins without.
#[derive(Debug, Default)]
pub(super) struct Pool {
    policies: Alike<Policy>,
    transports: Alike<Transport>,
    licenses: Alike<License>,
    compliances: Alike<Compliance>,
    texts: Alike<str>,
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        Pool::default()
    }
}

impl PartialEq for Pool {
    fn eq(&self, _: &Pool) -> bool {
        true
    }
}

impl Pool {
    /// Lets a record share what others of the fleet have too, and what it says of itself more than once. Also gives back
    /// what its lists hold in reserve: a fleet has many instances, and few of them change in a day.
    pub(super) fn instance(&mut self, instance: &mut Instance) {
        let Instance { udi, members, state, collected, acknowledged, owed, usage, site, os, software, .. } = instance;
        for text in os.iter_mut().chain(software) {
            self.texts.settle(text);
        }
        self.texts.settle(&mut site.0);
        self.texts.settle(&mut udi.pid);
        for member in &mut *members {
            self.udi(&mut member.udi, [&*udi]);
        }
        let known = || std::iter::once(&*udi).chain(members.iter().map(|member| &member.udi));
        for own in collected.udis_mut().chain(acknowledged.udis_mut()).chain(owed.iter_mut().map(|owed| &mut owed.udi))
        {
            self.udi(own, known());
        }
        for tag in owed.iter_mut().filter_map(|owed| owed.entitlement_tag.as_mut()) {
            self.texts.settle(&mut tag.0);
        }
        for used in &mut *usage {
            self.texts.settle(&mut used.entitlement_tag.0);
        }
        if let Some(state) = state {
            self.state(udi, state);
        }
        members.shrink_to_fit();
        owed.shrink_to_fit();
        usage.shrink_to_fit();
    }

    /// The same for what a device of that instance told.
    pub(super) fn state(&mut self, udi: &Udi, state: &mut DeviceState) {
        if let Some(policy) = &mut state.policy {
            self.policies.settle(&mut policy.0);
        }
        if let Some(transport) = &mut state.transport {
            self.transports.settle(&mut transport.0);
        }
        self.compliances.settle(&mut state.compliance.0);
        for license in &mut state.licenses {
            self.licenses.settle(&mut license.0);
        }
        for name in state.smart_account.iter_mut().chain(&mut state.virtual_account).chain(&mut state.agent_version) {
            self.texts.settle(name);
        }
        let trusted = state.trust_codes.iter_mut().filter_map(|code| code.udi.as_mut());
        let members = state.members.iter_mut().map(|member| &mut member.udi);
        for own in state.udi.iter_mut().chain(trusted).chain(members) {
            self.udi(own, [udi]);
        }
        state.licenses.shrink_to_fit();
        state.members.shrink_to_fit();
        state.rum_ids.shrink_to_fit();
        state.trust_codes.shrink_to_fit();
    }

    /// The same for what was learned of a device of the inventory.
    pub(super) fn device(&mut self, device: &mut Device) {
        if let Some(udi) = &mut device.instance {
            self.texts.settle(&mut udi.pid);
        }
        if let Some(software) = &mut device.learned_on {
            self.texts.settle(software);
        }
        device.writes.shrink_to_fit();
    }

    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.one(text)
    }

    /// A chassis, most often one of those that are known already.
    fn udi<'a>(&mut self, own: &mut Udi, known: impl IntoIterator<Item = &'a Udi>) {
        match known.into_iter().find(|known| *known == own) {
            Some(known) => own.clone_from(known),
            None => self.texts.settle(&mut own.pid),
        }
    }
}
