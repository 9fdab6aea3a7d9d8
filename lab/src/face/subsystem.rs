//! What an SSH session can be asked for by a subsystem's name. Whoever adds a protocol adds a line to [`SUBSYSTEMS`].

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::face::station::Station;
use crate::face::{Way, netconf, sftp};
use crate::fault::wire::Tamper;
use crate::spec::Faces;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// One channel of a session that is logged in.
pub struct Line {
    pub station: Arc<Station>,
    pub way: Way,
    /// Told when a response begins, and with which of the byte faults.
    pub tamper: Tamper,
    pub stream: Box<dyn Duplex>,
}

/// Speaks until it is done or the stream ends; the channel closes when the line is dropped.
pub type Speaking = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct Subsystem {
    pub name: &'static str,
    pub served: fn(&Faces, Way) -> bool,
    pub speak: fn(Line) -> Speaking,
}

pub static SUBSYSTEMS: &[Subsystem] = &[
    Subsystem {
        name: "sftp",
        served: |faces, way| faces.sftp && way == Way::Ssh,
        speak: |line| Box::pin(sftp::speak(line)),
    },
    Subsystem {
        name: "netconf",
        served: |faces, way| faces.netconf && way == Way::Netconf,
        // A session that fails is the client's news: it sees its stream end.
        speak: |line| Box::pin(async move { drop(netconf::serve(&line.station, line.stream).await) }),
    },
];

/// The subsystem of this name, where the device serves it on this port.
pub fn find(name: &str, faces: &Faces, way: Way) -> Option<&'static Subsystem> {
    SUBSYSTEMS.iter().find(|subsystem| subsystem.name == name && (subsystem.served)(faces, way))
}
