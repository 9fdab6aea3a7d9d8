//! A device with everything around it that a face needs: listener, faults, certificates, counts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
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

const DEVICES_AN_ADDRESS: usize = 4000;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

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

/// Where connections come in, or are refused.
#[derive(Debug)]
struct Door {
    state: Doorway,
    waiting: Option<Waker>,
}

#[derive(Debug)]
enum Doorway {
    Open(TcpListener),
    /// Bound and not listening: connections are refused and nobody else gets the port meanwhile.
    Shut(TcpSocket),
    /// The moment between the two, or the port was lost in it.
    Gone,
}

impl Station {
    /// Listens on a free port of loopback. Must be called within a runtime.
    ///
    /// The first few thousand devices are at 127.0.0.1, the next at 127.0.0.2 and so on where the system has it: once
    /// half of an address's free ports are taken, finding another takes the kernel longer than all the rest.
    pub fn new(index: usize, spec: Spec, clock: Clock, fleet_in_flight: Arc<Level>) -> io::Result<Station> {
        let last = u8::try_from(1 + index / DEVICES_AN_ADDRESS).unwrap_or(1);
        let free = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
        let listener = bound(free(last)).or_else(|_| bound(free(1)))?.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let spec = Arc::new(spec);
        Ok(Station {
            device: Mutex::new(Device::new(Arc::clone(&spec), clock.now())),
            spec,
            clock,
            faults: Faults::default(),
            certificates: Certificates::at(addr.ip()),
            meter: Arc::default(),
            fleet_in_flight,
            addr,
            hang_up: watch::channel(0).0,
            door: Mutex::new(Door { state: Doorway::Open(listener), waiting: None }),
            runtime: runtime::Handle::current(),
        })
    }

    /// Does something to the device at the fleet's time.
    pub fn apply(&self, operation: Operation) -> Reply {
        lock(&self.device).apply(self.clock.now(), operation)
    }

    /// The next connection; waits while the door is shut.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        std::future::poll_fn(|cx| {
            let mut door = lock(&self.door);
            door.waiting = Some(cx.waker().clone());
            match &door.state {
                Doorway::Open(listener) => listener.poll_accept(cx).map_ok(|(socket, _)| socket),
                Doorway::Shut(_) | Doorway::Gone => Poll::Pending,
            }
        })
        .await
    }

    pub fn add_fault(&self, fault: Fault, scope: Scope) {
        if fault.point() == Point::Door {
            let mut door = lock(&self.door);
            if matches!(door.state, Doorway::Open(_)) {
                door.state = Doorway::Gone;
                door.state = bound(self.addr).map_or(Doorway::Gone, Doorway::Shut);
            }
            self.hang_up.send_modify(|times| *times += 1);
        } else {
            self.faults.add(fault, scope);
        }
    }

    /// Takes all faults away and listens again, on the port it had.
    pub fn clear_faults(&self) -> io::Result<()> {
        self.faults.clear();
        let mut door = lock(&self.door);
        let shut = match std::mem::replace(&mut door.state, Doorway::Gone) {
            Doorway::Open(listener) => {
                door.state = Doorway::Open(listener);
                return Ok(());
            }
            Doorway::Shut(socket) => socket,
            Doorway::Gone => bound(self.addr)?,
        };
        let _guard = self.runtime.enter();
        door.state = Doorway::Open(shut.listen(BACKLOG)?);
        if let Some(waiting) = door.waiting.take() {
            waiting.wake();
        }
        Ok(())
    }
}

fn bound(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The port it had may still have connections on their way out.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
