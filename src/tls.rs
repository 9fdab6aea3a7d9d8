//! TLS to devices and sinks: whom we trust, decided in one place. The only file that names rustls.
//!
//! Whatever the trust, the handshake's signature is verified, so the peer proves that it holds
//! the key of the certificate it shows. There is no switch that turns this off.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::domain::digest::Sha256;

/// Who vouches for the other end, as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Authority {
    /// Those that this system trusts.
    #[default]
    System,
    /// Those in this file.
    File(PathBuf),
    /// Nobody: it is this certificate, whatever its name and expiry.
    Pin(Sha256),
}

impl Authority {
    /// Whom to believe, read anew each time, so that a changed file needs no restart; the reason where it cannot be read.
    pub async fn trust(&self) -> Result<Trust, String> {
        let authority = self.clone();
        let reading = tokio::task::spawn_blocking(move || match authority {
            Authority::Pin(pin) => Ok(Trust::Pin(pin)),
            Authority::System => Roots::of_system().map(Trust::Ca).map_err(|error: NoRoots| error.to_string()),
            Authority::File(path) => {
                let pem = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                Roots::from_pem(&pem).map(Trust::Ca).map_err(|error| format!("{}: {error}", path.display()))
            }
        });
        reading.await.unwrap_or_else(|panic| Err(panic.to_string()))
    }
}

/// Whom to believe at the other end.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Nobody is known yet: take what is shown, and say what it was. The caller pins it.
    Learn,
    /// Only this certificate; its name and its expiry do not matter.
    Pin(Sha256),
    /// Chain and name must verify against these roots.
    Ca(Roots),
}

/// Root certificates of an operator's own authority.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

impl Roots {
    /// Reads PEM certificates; at least one must be there.
    pub fn from_pem(pem: &[u8]) -> Result<Roots, NoRoots> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| NoRoots(error.to_string()))?;
            store.add(certificate).map_err(|error| NoRoots(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(NoRoots("no certificate in it".to_owned()));
        }
        Ok(Roots(Arc::new(store)))
    }

    /// The authorities that this system trusts; reads files, so it blocks. Those that cannot be read are left out.
    pub fn of_system() -> Result<Roots, NoRoots> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            return Err(NoRoots("this system has none (package ca-certificates)".to_owned()));
        }
        Ok(Roots(Arc::new(store)))
    }
}

/// A file that should hold root certificates does not.
#[derive(Debug, thiserror::Error)]
#[error("no usable CA certificate: {0}")]
pub struct NoRoots(String);

/// What the peer showed during the last handshake, for whoever must pin or report it.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Vec<Vec<u8>>>>);

/// More certificates than these of a chain are not looked at.
const LONGEST_CHAIN: usize = 8;

impl Shown {
    /// SHA-256 of the certificate (DER) that was shown; `None` before any handshake.
    pub fn fingerprint(&self) -> Option<Sha256> {
        self.0.lock().expect("no panic while it is held").first().map(|own| Sha256::of(own))
    }

    /// The certificates (DER) that were shown, the peer's own first; none before any handshake.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.0.lock().expect("no panic while it is held").clone()
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The certificate was not accepted; else the two sides could not agree or talk.
    pub certificate: bool,
    pub cause: String,
}

/// Finds a failed handshake in an error's chain of causes.
pub fn failure(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        let certificate = matches!(tls, rustls::Error::InvalidCertificate(_));
        return Some(Failure { certificate, cause: tls.to_string() });
    }
    // An I/O error hides what it wraps from `source`, and may wrap another one.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => failure(inner),
        None => failure(error.source()?),
    }
}

/// What a failed handshake with a peer means, a certificate other than the pinned one told as such; `None` when something
/// else failed.
pub fn handshake(trust: &Trust, shown: &Shown, error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let failure = failure(error)?;
    Some(match (trust, shown.fingerprint()) {
        (Trust::Pin(pin), Some(shown)) if *pin != shown => {
            Failure { certificate: true, cause: format!("its certificate has the SHA-256 {shown}, the pin is {pin}") }
        }
        _ => failure,
    })
}

/// Who we are at the other end: a chain of certificates and the key of the first.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    /// Its `Debug` shows nothing of it.
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads PEM: the chain, our own certificate first, and its key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, NoIdentity> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = certificates.map_err(|error| NoIdentity(format!("the client certificate: {error}")))?;
        if chain.is_empty() {
            return Err(NoIdentity("no client certificate in its file".to_owned()));
        }
        // The reader's own words may quote what it read.
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|_| NoIdentity("the client's key is no private key in PEM".to_owned()))?;
        Ok(Identity { chain, key })
    }
}

/// What should say who we are does not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(String);

/// How a client speaks TLS with one peer.
pub type Config = ClientConfig;

/// A client configuration for one peer, and the place where it notes what that peer showed.
pub fn client(trust: Trust) -> Result<(Config, Shown), rustls::Error> {
    client_as(trust, None)
}

/// As [`client`], as somebody whom the peer may want to know.
pub fn client_as(trust: Trust, identity: Option<Identity>) -> Result<(Config, Shown), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let shown = Shown::default();
    let chain = match &trust {
        Trust::Learn | Trust::Pin(_) => None,
        Trust::Ca(roots) => Some(
            WebPkiServerVerifier::builder_with_provider(roots.0.clone(), provider.clone())
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
        ),
    };
    let verifier = Verifier { trust, chain, provider: provider.clone(), shown: shown.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { chain, key }) => config.with_client_auth_cert(chain, key)?,
    };
    Ok((config, shown))
}

/// A connection of our own that is encrypted.
pub type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// The handshake over a connection of our own, with a peer of this name or address; what it sends is not yet read.
pub async fn connect(config: Config, host: &str, stream: TcpStream) -> io::Result<Stream> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    shown: Shown,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Sha256::of(end_entity);
        let chain = std::iter::once(end_entity).chain(intermediates).take(LONGEST_CHAIN);
        *self.shown.0.lock().expect("no panic while it is held") = chain.map(|shown| shown.to_vec()).collect();
        match (&self.trust, &self.chain) {
            (Trust::Ca(_), Some(chain)) => {
                chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            (Trust::Pin(pin), _) if *pin != fingerprint => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            (Trust::Pin(_) | Trust::Learn, _) => Ok(ServerCertVerified::assertion()),
            (Trust::Ca(_), None) => Err(rustls::Error::General("no roots to verify against".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
