//! Trust and HTTP manners against a web server that is not ours, and against an impostor.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use slp_collector::device::budget::Budget;
use slp_collector::device::smartlic::Smartlic;
use slp_collector::device::{Error, Limits, Login, Proven, Refusal, Session, Span, Target};
use slp_collector::domain::digest::Sha256;
use slp_collector::tls::{Roots, Trust};

use crate::support::witness::Noted;
use crate::support::{self, nginx};

/// A web server with a certificate of an authority of its own, or `None` where there is none.
struct Nginx {
    folder: tempfile::TempDir,
    _server: nginx::Nginx,
    port: u16,
    certificate: Sha256,
    ca_pem: String,
}

impl Nginx {
    fn start(protocols: &str) -> Option<Nginx> {
        let folder = tempfile::tempdir().unwrap();
        let (chain, certificate, key, ca_pem) = support::certificate("127.0.0.1");
        std::fs::write(folder.path().join("cert.pem"), chain).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        // The user is `admin`, the password `right`.
        std::fs::write(folder.path().join("users"), "admin:{PLAIN}right\n").unwrap();
        std::fs::write(folder.path().join("list"), r#"{"usage_list":[{"report_id":7}]}"#).unwrap();
        std::fs::write(folder.path().join("slow"), "x".repeat(20_000)).unwrap();
        std::fs::write(folder.path().join("large"), "x".repeat(80_000)).unwrap();
        let server = nginx::Nginx::start(folder.path(), |port| configuration(folder.path(), port, protocols))?;
        Some(Nginx { port: server.port, folder, _server: server, certificate, ca_pem })
    }

    fn session(&self, trust: Trust, password: &str) -> Smartlic {
        self.session_at("127.0.0.1", trust, password)
    }

    fn session_at(&self, host: &str, trust: Trust, password: &str) -> Smartlic {
        Smartlic::new(target(format!("{host}:{}", self.port), trust, password), Budget::new(1 << 20))
    }

    fn pinned(&self) -> Trust {
        Trust::Pin(self.certificate)
    }

    /// The requests that it answered, so many at least: connection number and path.
    fn requests(&self, at_least: usize) -> Vec<(String, String)> {
        let pair = |line: String| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        nginx::log(self.folder.path(), at_least).into_iter().filter_map(pair).collect()
    }
}

fn target(authority: String, trust: Trust, password: &str) -> Target {
    let limits = Limits {
        connect: Duration::from_secs(5),
        read: Duration::from_millis(700),
        body: 64 << 10,
        ..Limits::default()
    };
    let login = Login { username: "admin".to_owned(), password: password.to_owned() };
    Target { authority, trust, login, limits }
}

fn configuration(folder: &Path, port: u16, protocols: &str) -> String {
    let begin = nginx::main_part(folder, "$connection $request_uri");
    let folder = folder.display();
    format!(
        "{begin}
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} ssl; listen 127.0.0.2:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols {protocols};
    auth_basic level_15; auth_basic_user_file {folder}/users;
    location = /smartlic-service/list {{ alias {folder}/list; }}
    location = /smartlic-service/all-reports {{ return 302 https://127.0.0.1:{port}/smartlic-service/list; }}
    location = /smartlic-service/days/1 {{ return 503; }}
    location = /smartlic-service/days/2 {{ limit_rate 1; alias {folder}/slow; }}
    location = /smartlic-service/days/3 {{ alias {folder}/large; }}
  }}
}}
"
    )
}

#[tokio::test]
async fn a_pin_is_enough_and_any_other_certificate_is_told_before_the_password_is_sent() {
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let Some(nginx) = Nginx::start(protocols) else { return };
        let listed = nginx.session(nginx.pinned(), "right").list().await.unwrap();
        assert_eq!(listed[0].report_id.0, 7);

        let other = Sha256::of(b"another certificate");
        let mut session = nginx.session(Trust::Pin(other), "right");
        match session.list().await {
            Err(Error::ChangedCertificate { pinned, shown, .. }) => {
                assert_eq!((pinned, shown), (other, nginx.certificate));
            }
            unexpected => panic!("{protocols}: {unexpected:?}"),
        }
        assert_eq!(session.proven(), Proven::default(), "it was never answered");
        nginx.session(nginx.pinned(), "right").list().await.unwrap();
        assert_eq!(nginx.requests(2).len(), 2, "nothing was asked of a device that is not the pinned one");
    }
}

#[tokio::test]
async fn an_authority_vouches_for_its_own_names_only() {
    let Some(nginx) = Nginx::start("TLSv1.2 TLSv1.3") else { return };
    let roots = |pem: &str| Trust::Ca(Roots::from_pem(pem.as_bytes()).unwrap());
    assert_eq!(nginx.session(roots(&nginx.ca_pem), "right").list().await.unwrap().len(), 1);

    let (_, _, _, stranger) = support::certificate("127.0.0.1");
    let refused = nginx.session(roots(&stranger), "right").list().await;
    assert!(matches!(refused, Err(Error::Untrusted { .. })), "{refused:?}");
    let elsewhere = nginx.session_at("127.0.0.2", roots(&nginx.ca_pem), "right").list().await;
    assert!(matches!(elsewhere, Err(Error::Untrusted { .. })), "{elsewhere:?}");
    // A pin overrides the name.
    assert_eq!(nginx.session_at("127.0.0.2", nginx.pinned(), "right").list().await.unwrap().len(), 1);
    assert!(Roots::from_pem(b"no certificate").is_err());
}

#[tokio::test]
async fn the_first_contact_says_whom_it_met() {
    let Some(nginx) = Nginx::start("TLSv1.2 TLSv1.3") else { return };
    let mut session = nginx.session(Trust::Learn, "right");
    assert_eq!(session.proven(), Proven::default());
    session.list().await.unwrap();
    assert_eq!(session.proven().certificate, Some(nginx.certificate));
}

#[tokio::test]
async fn a_refused_password_is_tried_once_and_redirects_are_not_followed() {
    let Some(nginx) = Nginx::start("TLSv1.2 TLSv1.3") else { return };
    let refused = nginx.session(nginx.pinned(), "wrong-password").list().await.unwrap_err();
    assert!(matches!(refused, Error::LoginRefused { refusal: Refusal::Http(401), .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("wrong-password"));
    assert_eq!(nginx.requests(1).len(), 1);

    let redirected = nginx.session(nginx.pinned(), "right").fetch(&Span::All, &mut Noted::default()).await.unwrap_err();
    assert!(matches!(redirected, Error::Failed { status: 302, .. }), "{redirected:?}");
    assert_eq!(nginx.requests(2).len(), 2);
}

#[tokio::test]
async fn silence_and_size_have_limits() {
    let Some(nginx) = Nginx::start("TLSv1.2 TLSv1.3") else { return };
    let error = nginx.session(nginx.pinned(), "right").fetch(&Span::Days(1), &mut Noted::default()).await.unwrap_err();
    assert!(matches!(error, Error::Failed { status: 503, .. }) && error.is_transient(), "{error:?}");
    let slow = nginx.session(nginx.pinned(), "right").fetch(&Span::Days(2), &mut Noted::default()).await.unwrap_err();
    assert!(matches!(slow, Error::Unreachable { .. }) && slow.is_transient(), "{slow:?}");
    let large = nginx.session(nginx.pinned(), "right").fetch(&Span::Days(3), &mut Noted::default()).await.unwrap_err();
    assert!(matches!(large, Error::TooLarge { limit: 65_536, .. }), "{large:?}");
}

#[tokio::test]
async fn a_connection_carries_at_most_25_requests() {
    let Some(nginx) = Nginx::start("TLSv1.2 TLSv1.3") else { return };
    let mut session = nginx.session(nginx.pinned(), "right");
    for _ in 0..60 {
        session.list().await.unwrap();
    }
    let requests = nginx.requests(60);
    assert_eq!(requests.len(), 60);
    let mut by_connection = std::collections::BTreeMap::new();
    for (connection, _) in requests {
        *by_connection.entry(connection).or_insert(0) += 1;
    }
    let mut counts: Vec<i32> = by_connection.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [10, 25, 25]);
}

/// Whoever copies a device's certificate but has not its key fails, pinned or learned.
#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let (pem, digest, _, _) = support::certificate("127.0.0.1");
    for (version, trust) in [
        (&rustls::version::TLS12, Trust::Pin(digest)),
        (&rustls::version::TLS13, Trust::Pin(digest)),
        (&rustls::version::TLS13, Trust::Learn),
    ] {
        let (port, served) = impostor(&pem, version);
        let target = target(format!("127.0.0.1:{port}"), trust, "right");
        let refused = Smartlic::new(target, Budget::new(1 << 20)).list().await;
        assert!(matches!(refused, Err(Error::Untrusted { .. } | Error::Unreachable { .. })), "{refused:?}");
        assert_eq!(served.join().unwrap(), 0, "no byte of a request may reach an impostor");
    }
}

/// Serves one connection with that certificate and a key of its own; tells how many bytes it was sent.
fn impostor(pem: &str, version: &'static rustls::SupportedProtocolVersion) -> (u16, std::thread::JoinHandle<usize>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let provider = rustls::crypto::ring::default_provider();
    let own = KeyPair::generate().unwrap();
    let key = PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut request = [0; 1024];
        let read = tls.read(&mut request).unwrap_or(0);
        drop(tls.flush());
        read
    });
    (port, served)
}
