//! A device with everything around it that a face needs: listener, faults, certificates, counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use tokio::runtime;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::device::Device;
use crate::face::certificate::Certificates;
use crate::face::counters::{Level, Meter};
use crate::fault::{Fault, Faults, Point, Scope};
use crate::lock;
use crate::operation::{Operation, Reply};
use crate::spec::Spec;

#[derive(Debug)]
pub struct Station {
    pub spec: Arc<Spec>,
    pub clock: Clock,
    pub device: Mutex<Device>,
    pub faults: Faults,
    pub certificates: Certificates,
    pub meter: Arc<Meter>,
    /// Requests under way in the whole fleet.
    pub fleet_in_flight: Arc<Level>,
    pub addr: SocketAddr,
    /// Counts up when every open connection must end.
    pub hang_up: watch::Sender<u32>,
    door: Mutex<Door>,
    runtime: runtime::Handle,
}

/// The listener, or nothing while connections are refused.
#[derive(Debug)]
struct Door {
    listener: Option<tokio::net::TcpListener>,
    waiting: Option<Waker>,
}

impl Station {
    /// Listens on a free port of loopback. Must be called within a runtime.
    pub fn new(spec: Spec, clock: Clock, fleet_in_flight: Arc<Level>) -> io::Result<Station> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = Some(tokio::net::TcpListener::from_std(listener)?);
        let spec = Arc::new(spec);
        Ok(Station {
            device: Mutex::new(Device::new(Arc::clone(&spec), clock.now())),
            spec,
            clock,
            faults: Faults::default(),
            certificates: Certificates::default(),
            meter: Arc::default(),
            fleet_in_flight,
            addr,
            hang_up: watch::channel(0).0,
            door: Mutex::new(Door { listener, waiting: None }),
            runtime: runtime::Handle::current(),
        })
    }

    /// Does something to the device at the fleet's time.
    pub fn apply(&self, operation: Operation) -> Reply {
        lock(&self.device).apply(self.clock.now(), operation)
    }

    /// The next connection; waits while the door is shut.
    pub async fn accept(&self) -> io::Result<tokio::net::TcpStream> {
        std::future::poll_fn(|cx| {
            let mut door = lock(&self.door);
            door.waiting = Some(cx.waker().clone());
            match &door.listener {
                Some(listener) => listener.poll_accept(cx).map_ok(|(socket, _)| socket),
                None => Poll::Pending,
            }
        })
        .await
    }

    pub fn add_fault(&self, fault: Fault, scope: Scope) {
        if fault.point() == Point::Door {
            lock(&self.door).listener = None;
            self.hang_up.send_modify(|times| *times += 1);
        } else {
            self.faults.add(fault, scope);
        }
    }

    /// Takes all faults away and listens again, on the port it had.
    pub fn clear_faults(&self) -> io::Result<()> {
        self.faults.clear();
        let mut door = lock(&self.door);
        if door.listener.is_none() {
            let _guard = self.runtime.enter();
            let listener = TcpListener::bind(self.addr)?;
            listener.set_nonblocking(true)?;
            door.listener = Some(tokio::net::TcpListener::from_std(listener)?);
            if let Some(waiting) = door.waiting.take() {
                waiting.wake();
            }
        }
        Ok(())
    }
}
