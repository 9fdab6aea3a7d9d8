//! The fleet: devices that listen on loopback, each at an address and port of its own, all by one clock.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::device::Device;
use crate::face::certificate::Shown;
use crate::face::counters::{Counters, Level};
use crate::face::station::Station;
use crate::face::{Way, http, netconf, ssh};
use crate::fault::{Fault, Scope};
use crate::lock;
use crate::operation::{Operation, Reply};
use crate::spec::Spec;
use crate::specs;
use crate::state::State;

/// Running devices. Dropping it ends them; [`Fleet::stop`] also waits until they have.
#[derive(Debug)]
pub struct Fleet {
    clock: Clock,
    stations: BTreeMap<String, Handle>,
    in_flight: Arc<Level>,
    serving: JoinSet<()>,
}

impl Fleet {
    /// Starts a device for each spec. Each needs one descriptor for each port and one a connection.
    pub async fn start(specs: Vec<Spec>, clock: Clock) -> io::Result<Fleet> {
        let in_flight = Arc::new(Level::default());
        let mut stations = BTreeMap::new();
        let mut serving = JoinSet::new();
        for (index, spec) in specs.into_iter().enumerate() {
            let name = spec.name.clone();
            let station = Station::new(index, spec, clock.clone(), Arc::clone(&in_flight))
                .map_err(|error| io::Error::new(error.kind(), format!("{name} cannot listen: {error}")))?;
            let station = Arc::new(station);
            if station.spec.faces.https() {
                serving.spawn(http::serve(Arc::clone(&station)));
            }
            for way in [Way::Ssh, Way::Netconf] {
                if station.door(way).is_some() {
                    serving.spawn(ssh::serve(Arc::clone(&station), way));
                }
            }
            if stations.insert(name.clone(), Handle(station)).is_some() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is there twice")));
            }
        }
        Ok(Fleet { clock, stations, in_flight, serving })
    }

    /// Specs of a varied fleet of IOS XE devices that are asked over HTTPS; see [`specs::fleet`].
    pub fn spec(devices: usize, seed: u64) -> Vec<Spec> {
        specs::fleet(devices, seed)
    }

    /// Specs of a fleet of all three systems and all ways in; see [`specs::mixed`].
    pub fn mixed(devices: usize, seed: u64) -> Vec<Spec> {
        specs::mixed(devices, seed)
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The device of this name. Panics when there is none: a test that misspells a name wants to know.
    pub fn device(&self, name: &str) -> Handle {
        self.find(name).unwrap_or_else(|| panic!("no device {name} in the fleet"))
    }

    pub fn find(&self, name: &str) -> Option<Handle> {
        self.stations.get(name).cloned()
    }

    pub fn devices(&self) -> impl Iterator<Item = &Handle> {
        self.stations.values()
    }

    pub fn names(&self) -> Vec<String> {
        self.stations.keys().cloned().collect()
    }

    /// The most requests that were under way at once in the whole fleet.
    pub fn max_in_flight(&self) -> usize {
        self.in_flight.highest()
    }

    pub async fn stop(mut self) {
        self.serving.shutdown().await;
    }
}

/// One running device. Clones are the same device.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Station>);

impl Handle {
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// Where HTTPS is; on a device without it, where connections are refused.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Where the command line is, on a device that serves it over SSH.
    pub fn ssh_addr(&self) -> Option<SocketAddr> {
        self.0.door(Way::Ssh).map(|door| door.addr)
    }

    /// Where NETCONF is, on a device that serves it.
    pub fn netconf_addr(&self) -> Option<SocketAddr> {
        self.0.door(Way::Netconf).map(|door| door.addr)
    }

    /// `https://` and the address.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr())
    }

    pub fn user(&self) -> &str {
        &self.0.spec.user
    }

    pub fn password(&self) -> &str {
        &self.0.spec.password
    }

    /// Looks inside, or acts, past every face and fault.
    pub fn with<T>(&self, act: impl FnOnce(&mut Device) -> T) -> T {
        act(&mut lock(&self.0.device))
    }

    /// Does something to the device at the fleet's time, past every face; faults of the device itself strike.
    pub fn apply(&self, operation: Operation) -> Reply {
        self.0.apply(operation)
    }

    /// The truth about it now.
    pub fn state(&self) -> State {
        match self.apply(Operation::State) {
            Reply::State(state) => *state,
            other => unreachable!("a device always tells its state, not {other:?}"),
        }
    }

    /// This fault alone from now on, everywhere and always.
    pub fn set_fault(&self, fault: Fault) {
        self.set_fault_on(fault, Scope::default());
    }

    /// This fault alone from now on, within a scope.
    pub fn set_fault_on(&self, fault: Fault, scope: Scope) {
        self.clear_fault();
        self.0.add_fault(fault, scope);
    }

    /// This fault beside those already set.
    pub fn add_fault(&self, fault: Fault, scope: Scope) {
        self.0.add_fault(fault, scope);
    }

    /// No fault from now on. Panics when another program took the port while connections were refused.
    pub fn clear_fault(&self) {
        self.0.clear_faults().unwrap_or_else(|error| panic!("{} cannot listen again: {error}", self.name()));
    }

    /// The certificate it shows, when no fault shows another.
    pub fn certificate_der(&self) -> Vec<u8> {
        self.0.certificates.of(&self.0.spec, Shown::Own).der.to_vec()
    }

    /// SHA-256 of [`Handle::certificate_der`].
    pub fn fingerprint(&self) -> [u8; 32] {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate_der());
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// A new key and certificate for every connection from now on.
    pub fn rotate_certificate(&self) {
        self.0.certificates.rotate();
    }

    /// One NETCONF session over any stream, until it ends.
    pub async fn netconf<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<()> {
        netconf::serve(&self.0, stream).await
    }

    /// The public host key it shows when no fault shows another, as a line of `known_hosts` has it: type and base64.
    pub fn host_key(&self) -> String {
        self.0.host_keys.line(&self.0.spec)
    }

    /// The fingerprint of [`Handle::host_key`]: `SHA256:` and base64.
    pub fn host_key_fingerprint(&self) -> String {
        self.0.host_keys.fingerprint(&self.0.spec)
    }

    /// Another host key for every connection from now on.
    pub fn rotate_host_key(&self) {
        self.0.host_keys.rotate();
    }

    /// Cuts every open connection.
    pub fn hang_up(&self) {
        self.0.hang_up.send_modify(|times| *times += 1);
    }

    pub fn counters(&self) -> Counters {
        self.0.meter.counters()
    }
}
