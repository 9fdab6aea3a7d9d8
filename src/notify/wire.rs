//! Connections to sinks: whom to believe, and what a failure means.

use tokio::net::TcpStream;

use super::Error;
use crate::config::sinks::Server;
use crate::tls::{self, Authority, Shown, Trust};
use crate::web::CONNECT;

/// Whom to believe.
pub(super) async fn trust(authority: &Authority) -> Result<Trust, Error> {
    authority.trust().await.map_err(Error::Ours)
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
    let failure = tls::handshake(trust, shown, error)?;
    let place = place.to_owned();
    Some(match failure.certificate {
        true => Error::Untrusted { place, cause: failure.cause },
        false => Error::Unreachable { place, cause: format!("TLS: {}", failure.cause) },
    })
}
