//! What russh calls back, and the TCP connection under it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use russh::client::{self, ChannelOpenHandle, DisconnectReason};
use russh::keys::PublicKeyOrCertificate;
use russh::{Names, mac};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::algorithms::key_type;
use super::{HostTrust, Negotiated};
use crate::domain::digest::Sha256;

/// What came to light while connecting.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
pub(super) struct Noted {
    /// Type and fingerprint of the host key; its signature may still be wrong.
    pub(super) shown: Option<(String, Sha256)>,
    pub(super) negotiated: Option<Negotiated>,
    pub(super) ended: Option<Ended>,
    /// How many bytes came since a password went out that is neither taken nor refused. `None`: none is out, or what
    /// came is known to be something else.
    ///
    /// A device that asks for a new password instead (RFC 4252 §8, SSH_MSG_USERAUTH_PASSWD_CHANGEREQ) shows in nothing
    /// else: russh drops that message and waits on.
    pub(super) since_password: Option<u64>,
}

#[derive(Clone)]
pub(super) struct Ended {
    /// The device hung up, as opposed to a connection that broke.
    pub(super) by_will: bool,
    pub(super) cause: String,
}

impl Notes {
    pub(super) fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(super) struct Peer {
    pub(super) trust: HostTrust,
    pub(super) notes: Notes,
}

type Offered = russh::Channel<client::Msg>;

impl client::Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = key.public_key();
        let shown = Sha256::of(&key.to_bytes()?);
        self.notes.lock().shown = Some((key_type(&key.algorithm()), shown));
        Ok(match &self.trust {
            HostTrust::Learn => true,
            HostTrust::Pinned(pin) => pin.fingerprint == shown,
        })
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        let mut notes = self.notes.lock();
        let Some((host_key_type, fingerprint)) = notes.shown.clone() else { return Ok(()) };
        let mac = |name: &mac::Name| if *name == mac::NONE { String::new() } else { name.as_ref().to_owned() };
        notes.negotiated = Some(Negotiated {
            server: shortened(&String::from_utf8_lossy(session.remote_sshid())),
            kex: names.kex.as_ref().to_owned(),
            host_key_algorithm: names.key.to_string(),
            host_key_type,
            fingerprint,
            cipher: names.cipher.as_ref().to_owned(),
            mac_out: mac(&names.client_mac),
            mac_in: mac(&names.server_mac),
        });
        Ok(())
    }

    async fn auth_banner(&mut self, _: &str, _: &mut client::Session) -> Result<(), russh::Error> {
        self.notes.lock().since_password = None;
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let ended = match &reason {
            DisconnectReason::ReceivedDisconnect(told) => {
                Ended { by_will: true, cause: format!("the device hung up: {:?}", shortened(&told.message)) }
            }
            DisconnectReason::Error(russh::Error::IO(error)) => {
                Ended { by_will: error.kind() == io::ErrorKind::UnexpectedEof, cause: error.to_string() }
            }
            // The last is a refusal that leaves no other method.
            DisconnectReason::Error(
                error @ (russh::Error::Disconnect | russh::Error::HUP | russh::Error::NoAuthMethod),
            ) => Ended { by_will: true, cause: error.to_string() },
            DisconnectReason::Error(error) => Ended { by_will: false, cause: error.to_string() },
        };
        self.notes.lock().ended = Some(ended);
        Ok(())
    }

    // A server has no business to open channels to us. Dropping the reply refuses it.

    async fn server_channel_open_session(
        &mut self,
        _: Offered,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Offered,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Offered,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Offered,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
}

/// The TCP connection, which ends when its other half is dropped: russh's own task holds the socket,
/// and would wait in it for a peer that stalls in the middle of a key exchange.
pub(super) struct Line {
    socket: TcpStream,
    cut: Option<oneshot::Receiver<()>>,
    notes: Notes,
}

impl Line {
    pub(super) fn new(socket: TcpStream, notes: Notes) -> (Line, oneshot::Sender<()>) {
        let (sender, receiver) = oneshot::channel();
        (Line { socket, cut: Some(receiver), notes }, sender)
    }

    fn whole(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(cut) = &mut self.cut
            && Pin::new(cut).poll(cx).is_ready()
        {
            self.cut = None;
        }
        match self.cut {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed from this side")),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if let Some(since) = &mut self.notes.lock().since_password {
            *since += buf.filled().len().saturating_sub(before) as u64;
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Foreign text, short enough for one line of a log.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
