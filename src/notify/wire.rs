//! Connections to sinks: whom to believe, and what a failure means.

use std::time::Duration;

use tokio::net::TcpStream;

use super::Error;
use crate::config::sinks::{Authority, Server};
use crate::tls::{self, NoRoots, Roots, Shown, Trust};

/// The longest that a connection may take to come about.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Whom to believe, read anew each time, so that a changed file needs no restart.
pub(super) async fn trust(authority: &Authority) -> Result<Trust, Error> {
    let authority = authority.clone();
    let reading = tokio::task::spawn_blocking(move || match authority {
        Authority::Pin(pin) => Ok(Trust::Pin(pin)),
        Authority::System => Roots::of_system().map(Trust::Ca).map_err(|error: NoRoots| error.to_string()),
        Authority::File(path) => {
            let pem = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            Roots::from_pem(&pem).map(Trust::Ca).map_err(|error| format!("{}: {error}", path.display()))
        }
    });
    reading.await.unwrap_or_else(|panic| Err(panic.to_string())).map_err(Error::Ours)
}

/// A connection in the clear.
pub(super) async fn plain(place: &str, server: &Server) -> Result<TcpStream, Error> {
    let unreachable = |cause: String| Error::Unreachable { place: place.to_owned(), cause };
    match tokio::time::timeout(CONNECT, TcpStream::connect((server.address.to_string(), server.port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("nothing came for {CONNECT:?}"))),
    }
}

/// The same connection encrypted, when the other end is who it should be.
pub(super) async fn encrypted(
    place: &str,
    server: &Server,
    authority: &Authority,
    stream: TcpStream,
) -> Result<tls::Stream, Error> {
    let trust = trust(authority).await?;
    let (config, shown) = tls::client(trust.clone()).map_err(|error| Error::Ours(error.to_string()))?;
    let connected = tls::connect(config, &server.address.to_string(), stream).await;
    connected.map_err(|error| handshake(place, &trust, &shown, &error).unwrap_or_else(|| unreachable(place, &error)))
}

/// A connection that broke.
pub(super) fn unreachable(place: &str, error: &std::io::Error) -> Error {
    Error::Unreachable { place: place.to_owned(), cause: error.to_string() }
}

/// What a failed handshake means; `None` when something else failed.
pub(super) fn handshake(
    place: &str,
    trust: &Trust,
    shown: &Shown,
    error: &(dyn std::error::Error + 'static),
) -> Option<Error> {
    let failure = tls::failure(error)?;
    let place = place.to_owned();
    Some(match (trust, shown.fingerprint()) {
        (Trust::Pin(pin), Some(shown)) if *pin != shown => {
            Error::Untrusted { place, cause: format!("its certificate has the SHA-256 {shown}, the pin is {pin}") }
        }
        _ if failure.certificate => Error::Untrusted { place, cause: failure.cause },
        _ => Error::Unreachable { place, cause: format!("TLS: {}", failure.cause) },
    })
}
