//! A device with everything around it that a face needs: doors, faults, certificates, host keys, counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::device::Device;
use crate::face::Way;
use crate::face::certificate::Certificates;
use crate::face::counters::{Level, Meter};
use crate::face::door::Door;
use crate::face::hostkey::HostKeys;
use crate::fault::{Fault, Faults, Point, Scope};
use crate::lock;
use crate::operation::{Operation, Reply};
use crate::spec::Spec;

const DEVICES_AN_ADDRESS: usize = 4000;

#[derive(Debug)]
pub struct Station {
    pub spec: Arc<Spec>,
    pub clock: Clock,
    pub device: Mutex<Device>,
    pub faults: Faults,
    pub certificates: Certificates,
    pub host_keys: HostKeys,
    pub meter: Arc<Meter>,
    /// Requests under way in the whole fleet.
    pub fleet_in_flight: Arc<Level>,
    /// Where HTTPS is, or would be.
    pub addr: SocketAddr,
    /// Counts up when every open connection must end.
    pub hang_up: watch::Sender<u32>,
    https: Door,
    ssh: Option<Door>,
    netconf: Option<Door>,
}

impl Station {
    /// Listens on free ports of loopback. Must be called within a runtime.
    ///
    /// The first few thousand devices are at 127.0.0.1, the next at 127.0.0.2 and so on where the system has it: once
    /// half of an address's free ports are taken, finding another takes the kernel longer than all the rest.
    pub fn new(index: usize, spec: Spec, clock: Clock, fleet_in_flight: Arc<Level>) -> io::Result<Station> {
        let last = u8::try_from(1 + index / DEVICES_AN_ADDRESS).unwrap_or(1);
        let free = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        let faces = spec.faces;
        let https = Door::at(free(last), faces.https()).or_else(|_| Door::at(free(1), faces.https()))?;
        let beside = |serves: bool| serves.then(|| Door::at((https.addr.ip(), 0).into(), true)).transpose();
        let spec = Arc::new(spec);
        Ok(Station {
            device: Mutex::new(Device::new(Arc::clone(&spec), clock.now())),
            spec,
            clock,
            faults: Faults::default(),
            certificates: Certificates::at(https.addr.ip()),
            host_keys: HostKeys::default(),
            meter: Arc::default(),
            fleet_in_flight,
            addr: https.addr,
            hang_up: watch::channel(0).0,
            ssh: beside(faces.ssh)?,
            netconf: beside(faces.netconf)?,
            https,
        })
    }

    /// What the device's own clock shows.
    pub fn device_clock(&self) -> i64 {
        lock(&self.device).clock_at(self.clock.now())
    }

    /// Does something to the device at the fleet's time, as far as the faults of the device itself let it.
    pub fn apply(&self, operation: Operation) -> Reply {
        match self.faults.at_work(&operation) {
            Some(refusal) => Reply::Refused(refusal),
            None => lock(&self.device).apply(self.clock.now(), operation),
        }
    }

    /// The port of a way in, if the device has that way.
    pub fn door(&self, way: Way) -> Option<&Door> {
        match way {
            Way::Https => Some(&self.https),
            Way::Ssh => self.ssh.as_ref(),
            Way::Netconf => self.netconf.as_ref(),
        }
    }

    /// The next connection by a way; waits while its door is shut, and for ever where there is none.
    pub async fn accept(&self, way: Way) -> io::Result<TcpStream> {
        match self.door(way) {
            Some(door) => door.accept().await,
            None => std::future::pending().await,
        }
    }

    pub fn add_fault(&self, fault: Fault, scope: Scope) {
        if fault.point() == Point::Door {
            let meant = Way::ALL.into_iter().filter(|way| scope.way.is_none_or(|only| only == *way));
            meant.filter_map(|way| self.door(way)).for_each(Door::shut);
            self.hang_up.send_modify(|times| *times += 1);
        } else {
            self.faults.add(fault, scope);
        }
    }

    /// Takes all faults away and listens again, on the ports it had.
    pub fn clear_faults(&self) -> io::Result<()> {
        self.faults.clear();
        Way::ALL.into_iter().filter_map(|way| self.door(way)).try_for_each(Door::open)
    }
}
