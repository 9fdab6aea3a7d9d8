//! The self-signed certificate of a device, made the first time somebody looks.
//!
//! The RSA keys are fixtures shared by many devices (`data/`), because making one takes most of a second; what
//! tells devices apart is the certificate. They protect nothing: everything here listens on loopback.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256, SerialNumber, date_time_ymd};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring as provider};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, ServerConfig};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::lock;
use crate::sign;
use crate::spec::{Spec, TlsVersions};

/// PKCS #8.
pub(super) static KEYS: [&[u8]; 4] = [
    include_bytes!("../../data/rsa-a.pk8"),
    include_bytes!("../../data/rsa-b.pk8"),
    include_bytes!("../../data/rsa-c.pk8"),
    include_bytes!("../../data/rsa-d.pk8"),
];

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(provider::default_provider()));

/// Each key as the certificate's maker and as the handshake wants it.
static SIGNERS: LazyLock<Vec<(KeyPair, Arc<dyn SigningKey>)>> = LazyLock::new(|| {
    let both = |der: &'static [u8]| {
        let pkcs8 = PrivatePkcs8KeyDer::from(der);
        let maker = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_RSA_SHA256).expect("the fixture is an RSA key");
        let signer = provider::sign::any_supported_type(&PrivateKeyDer::Pkcs8(pkcs8)).expect("ring takes RSA keys");
        (maker, signer)
    };
    KEYS.into_iter().map(both).collect()
});

/// Which certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Own,
    Expired,
    Foreign,
}

/// A certificate and the TLS that goes with it.
#[derive(Debug)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub config: Arc<ServerConfig>,
}

/// A device's certificates, by how often they were rotated.
#[derive(Debug)]
pub struct Certificates {
    ip: IpAddr,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    rotations: u32,
    certificates: Vec<(u32, Shown, Arc<Certificate>)>,
}

impl Certificates {
    /// Certificates of the device at this address.
    pub fn at(ip: IpAddr) -> Certificates {
        Certificates { ip, made: Mutex::default() }
    }

    pub fn of(&self, spec: &Spec, shown: Shown) -> Arc<Certificate> {
        let mut made = lock(&self.made);
        let rotation = made.rotations;
        let known = made.certificates.iter().find(|(of, what, _)| *of == rotation && *what == shown);
        if let Some((_, _, certificate)) = known {
            return Arc::clone(certificate);
        }
        let certificate = Arc::new(make(spec, self.ip, rotation, shown));
        made.certificates.push((rotation, shown, Arc::clone(&certificate)));
        certificate
    }

    pub fn rotate(&self) {
        let mut made = lock(&self.made);
        made.rotations += 1;
        made.certificates.clear();
    }
}

fn make(spec: &Spec, ip: IpAddr, rotation: u32, shown: Shown) -> Certificate {
    let print = sign::fingerprint(format!("{} {rotation} {shown:?}", spec.udi()).as_bytes());
    // A device keeps its key pair, unless it is another device or made a new one.
    let turns = rotation as usize + usize::from(shown == Shown::Foreign);
    let own = spec.udi().sn.bytes().map(usize::from).sum::<usize>();
    let (maker, signer) = &SIGNERS[(own + turns) % SIGNERS.len()];

    let names = if spec.tls.san { vec![spec.name.clone(), ip.to_string()] } else { Vec::new() };
    let mut params = CertificateParams::new(names).unwrap_or_default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, format!("Self-Signed-Certificate-{}", &print[..8]));
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from(print.as_bytes()[..8].to_vec()));
    (params.not_before, params.not_after) = if spec.tls.expired || shown == Shown::Expired {
        (date_time_ymd(2018, 3, 1), date_time_ymd(2020, 1, 1))
    } else {
        (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 1, 1))
    };
    let der = params.self_signed(maker).expect("the parameters make a certificate").der().clone();

    let versions = match spec.tls.versions {
        TlsVersions::Both => vec![&TLS13, &TLS12],
        TlsVersions::Only12 => vec![&TLS12],
        TlsVersions::Only13 => vec![&TLS13],
    };
    let certified = CertifiedKey::new(vec![der.clone()], Arc::clone(signer));
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&versions)
        .expect("ring knows both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    // Ten thousand devices remember no session: it keeps them small.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Certificate { der, config: Arc::new(config) }
}
