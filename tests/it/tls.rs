//! Trust and HTTP manners against a web server that is not ours, and against an impostor.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use slp_collector::device::budget::Budget;
use slp_collector::device::smartlic::Smartlic;
use slp_collector::device::{Error, Limits, Login, Proven, Refusal, Session, Span, Target};
use slp_collector::domain::digest::Sha256;
use slp_collector::tls::{Roots, Trust};

use crate::support;
use crate::support::witness::Noted;

/// A web server with a certificate of an authority of its own, or `None` where there is none.
struct Nginx {
    folder: tempfile::TempDir,
    server: Child,
    port: u16,
    certificate: Sha256,
    ca_pem: String,
}

impl Nginx {
    fn start(protocols: &str) -> Option<Nginx> {
        support::peer("nginx", &["-v"])?;
        let folder = tempfile::tempdir().unwrap();
        let (chain, certificate, key, ca_pem) = support::certificate("127.0.0.1");
        std::fs::write(folder.path().join("cert.pem"), chain).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        // The user is `admin`, the password `right`.
        std::fs::write(folder.path().join("users"), "admin:{PLAIN}right\n").unwrap();
        std::fs::write(folder.path().join("list"), r#"{"usage_list":[{"report_id":7}]}"#).unwrap();
        std::fs::write(folder.path().join("slow"), "x".repeat(20_000)).unwrap();
        std::fs::write(folder.path().join("large"), "x".repeat(80_000)).unwrap();
        // Another process may take the port between our letting go and nginx's taking it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            std::fs::write(folder.path().join("nginx.conf"), configuration(folder.path(), port, protocols)).unwrap();
            let mut server = Command::new("nginx")
                .arg("-p")
                .arg(folder.path())
                .arg("-c")
                .arg(folder.path().join("nginx.conf"))
                .args(["-e", "stderr"])
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let limit = Instant::now() + Duration::from_secs(10);
            while Instant::now() < limit && server.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Nginx { folder, server, port, certificate, ca_pem });
                }
                std::thread::yield_now();
            }
            drop(server.kill());
            drop(server.wait());
        }
        panic!("nginx did not start");
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

    /// The requests that it answered: connection number and path. It writes them down after the answer
    /// has gone out, so the caller says how many there are at least.
    fn requests(&self, at_least: usize) -> Vec<(String, String)> {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
            let line = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
            let requests: Vec<_> = log.lines().filter_map(line).collect();
            if requests.len() >= at_least || Instant::now() > limit {
                return requests;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
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
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  log_format short '$connection $request_uri'; access_log {folder}/access.log short;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 25; keepalive_timeout 10s;
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
