//! Where connections come in, or are refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::task::{Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime;

use crate::lock;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// One port. It keeps its number while it is shut.
#[derive(Debug)]
pub struct Door {
    pub addr: SocketAddr,
    /// A door that serves nothing stays shut whatever happens.
    serves: bool,
    hinges: Mutex<Hinges>,
    runtime: runtime::Handle,
}

#[derive(Debug)]
struct Hinges {
    state: State,
    waiting: Option<Waker>,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// Bound and not listening: connections are refused and nobody else gets the port meanwhile.
    Shut(TcpSocket),
    /// The moment between the two, or the port was lost in it.
    Gone,
}

impl Door {
    /// Listens at an address whose port may be 0. Must be called within a runtime.
    pub fn at(addr: SocketAddr, serves: bool) -> io::Result<Door> {
        let socket = bound(addr)?;
        let addr = socket.local_addr()?;
        let state = if serves { State::Open(socket.listen(BACKLOG)?) } else { State::Shut(socket) };
        let hinges = Mutex::new(Hinges { state, waiting: None });
        Ok(Door { addr, serves, hinges, runtime: runtime::Handle::current() })
    }

    /// The next connection; waits while the door is shut.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        std::future::poll_fn(|cx| {
            let mut hinges = lock(&self.hinges);
            hinges.waiting = Some(cx.waker().clone());
            match &hinges.state {
                State::Open(listener) => listener.poll_accept(cx).map_ok(|(socket, _)| socket),
                State::Shut(_) | State::Gone => Poll::Pending,
            }
        })
        .await
    }

    /// Connections are refused from now on.
    pub fn shut(&self) {
        let mut hinges = lock(&self.hinges);
        if matches!(hinges.state, State::Open(_)) {
            hinges.state = State::Gone;
            hinges.state = bound(self.addr).map_or(State::Gone, State::Shut);
        }
    }

    /// Listens again, on the port it had.
    pub fn open(&self) -> io::Result<()> {
        if !self.serves {
            return Ok(());
        }
        let mut hinges = lock(&self.hinges);
        let shut = match std::mem::replace(&mut hinges.state, State::Gone) {
            State::Open(listener) => {
                hinges.state = State::Open(listener);
                return Ok(());
            }
            State::Shut(socket) => socket,
            State::Gone => bound(self.addr)?,
        };
        let _guard = self.runtime.enter();
        hinges.state = State::Open(shut.listen(BACKLOG)?);
        if let Some(waiting) = hinges.waiting.take() {
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
