//! A client of a few lines, so that the lab is not tested with the libraries it is made to test.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::BASE64;
use lab::Handle;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};

/// Takes any certificate, yet checks that the server has its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

pub struct Client {
    pub stream: TlsStream<TcpStream>,
    login: String,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Client {
    pub async fn to(device: &Handle) -> io::Result<Client> {
        Client::speaking(device, &[&rustls::version::TLS13, &rustls::version::TLS12]).await
    }

    pub async fn speaking(device: &Handle, versions: &[&'static SupportedProtocolVersion]) -> io::Result<Client> {
        let login = BASE64.encode(format!("{}:{}", device.user(), device.password()).as_bytes());
        Ok(Client { stream: connect(device.addr(), versions).await?, login })
    }

    pub fn with_login(mut self, login: &str) -> Client {
        self.login = BASE64.encode(login.as_bytes());
        self
    }

    /// The certificate the device showed.
    pub fn certificate(&self) -> Vec<u8> {
        self.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Response> {
        self.ask("GET", path, b"").await
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(method, path, body).await?;
        self.receive().await
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<()> {
        let login = &self.login;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: device\r\nAuthorization: Basic {login}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await
    }

    pub async fn receive(&mut self) -> io::Result<Response> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut response = Response { status: status.ok_or(io::ErrorKind::InvalidData)?, head, body: Vec::new() };
        match response.header("content-length").map(str::parse::<usize>) {
            Some(length) => {
                response.body = vec![0; length.map_err(io::Error::other)?];
                self.stream.read_exact(&mut response.body).await?;
            }
            None => self.chunks(&mut response.body).await?,
        }
        Ok(response)
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.stream.read_u8().await?);
            }
            let length = String::from_utf8_lossy(&line).trim().to_string();
            let length = usize::from_str_radix(&length, 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).await?;
            body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Everything until the other side ends, and whether it ended cleanly.
    pub async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut bytes = Vec::new();
        let ended = self.stream.read_to_end(&mut bytes).await;
        (bytes, ended.map(|_| ()))
    }
}

async fn connect(addr: SocketAddr, versions: &[&'static SupportedProtocolVersion]) -> io::Result<TlsStream<TcpStream>> {
    let provider = ring::default_provider();
    let verifier = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let socket = TcpStream::connect(addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::from(addr.ip()), socket).await
}
