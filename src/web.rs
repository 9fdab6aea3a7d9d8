//! HTTP(S) to a server: the one client, whom to believe, who we are, and what a failure means.
//!
//! No redirect is followed, nothing is sent twice, and no proxy is taken from the environment: whoever asks decides.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::config::web::{Http, HttpLogin, Identity};
use crate::domain::problem::{excerpt, printable};
use crate::secret::{Credential, Secret, SecretError};
use crate::tls::{self, Shown, Trust};

/// The longest that a connection may take to come about.
pub const CONNECT: Duration = Duration::from_secs(10);
/// So long a server that is content with a handshake is listened to.
const LISTEN: Duration = Duration::from_millis(500);
/// So much of an answer is read, in bytes: enough for a reason.
const ANSWER: usize = 4 << 10;

/// A client for one server.
pub fn client(config: tls::Config) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
}

/// The innermost cause, which says most and has no URL in it.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if std::ptr::addr_eq(cause, error) { "the request failed".to_owned() } else { cause.to_string() }
}

/// Why nothing could be sent at all: our own side.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Ours(String),
}

/// How a request was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The other end is not who it should be; nothing was sent to it.
    Untrusted(String),
    Unreachable(String),
}

/// The way to one server of the operator's, with the secrets as they are now.
pub struct Way {
    client: Client,
    config: tls::Config,
    trust: Trust,
    shown: Shown,
    login: Option<Login>,
}

impl Way {
    /// Reads whom to believe and who we are; connects to nobody.
    pub async fn to(server: &Http) -> Result<Way, NoWay> {
        let login = login(server.login.as_ref()).await?;
        let trust = server.authority.trust().await.map_err(NoWay::Ours)?;
        let identity = match &server.identity {
            Some(identity) => Some(read(identity).await?),
            None => None,
        };
        let config = tls::client_as(trust.clone(), identity);
        let (config, shown) = config.map_err(|error| NoWay::Ours(error.to_string()))?;
        let client = client(config.clone()).build().map_err(|error| NoWay::Ours(innermost(&error)))?;
        Ok(Way { client, config, trust, shown, login })
    }

    /// A POST with the login in it.
    pub fn post(&self, url: &str) -> Result<RequestBuilder, NoWay> {
        let request = self.client.post(url);
        Ok(match &self.login {
            Some(login) => request.header(AUTHORIZATION, login.header()?),
            None => request,
        })
    }

    /// Connects, shakes hands where that is encrypted, and says nothing.
    pub async fn greet(&self, server: &Http) -> Result<(), Lost> {
        let lost = |error: std::io::Error| Lost::Unreachable(error.to_string());
        let (host, port) = server.url.server();
        let stream = TcpStream::connect((host, port)).await.map_err(lost)?;
        if !server.url.is_encrypted() {
            return Ok(());
        }
        let mut stream = match tls::connect(self.config.clone(), host, stream).await {
            Ok(stream) => stream,
            Err(error) => return Err(self.handshake(&error).unwrap_or_else(|| lost(error))),
        };
        // TLS 1.3 says only after its handshake what it makes of a client's certificate; a server that is content waits.
        match tokio::time::timeout(LISTEN, stream.read(&mut [0; 1])).await {
            Ok(Err(error)) => Err(self.handshake(&error).unwrap_or_else(|| lost(error))),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    /// What an error of the client means.
    pub fn lost(&self, error: &reqwest::Error) -> Lost {
        self.handshake(error).unwrap_or_else(|| Lost::Unreachable(innermost(error)))
    }

    fn handshake(&self, error: &(dyn std::error::Error + 'static)) -> Option<Lost> {
        let failure = tls::handshake(&self.trust, &self.shown, error)?;
        Some(match failure.certificate {
            true => Lost::Untrusted(failure.cause),
            false => Lost::Unreachable(format!("TLS: {}", failure.cause)),
        })
    }

    /// Status and first words of an answer, as a person may see them.
    pub async fn told(&self, mut answer: Response) -> String {
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while let Ok(Some(chunk)) = answer.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= ANSWER {
                body.truncate(ANSWER);
                break;
            }
        }
        let mut said = String::from_utf8_lossy(&body).trim().to_owned();
        if let Some(login) = &self.login {
            said = login.hide(&said);
        }
        match printable(&excerpt(&said)).as_str() {
            "" => format!("HTTP {status}"),
            said => format!("HTTP {status}: {said}"),
        }
    }
}

/// Who we are by certificate, read anew each time, so that a renewed one needs no restart.
async fn read(identity: &Identity) -> Result<tls::Identity, NoWay> {
    let path = &identity.chain;
    let chain = tokio::fs::read(path).await.map_err(|error| NoWay::Ours(format!("{}: {error}", path.display())))?;
    let key = identity.key.resolve().await?.private_key;
    let key = key.ok_or_else(|| NoWay::Ours(format!("{} has no key", identity.key.name)))?;
    let read = tls::Identity::from_pem(&chain, key.expose().as_bytes());
    read.map_err(|error| NoWay::Ours(format!("{}: {error}", path.display())))
}

async fn login(login: Option<&HttpLogin>) -> Result<Option<Login>, NoWay> {
    let secret = async |credential: &Credential| {
        let secrets = credential.resolve().await?;
        secrets.password.ok_or_else(|| NoWay::Ours(format!("{} has no secret", credential.name)))
    };
    Ok(match login {
        None => None,
        Some(HttpLogin::Bearer(credential)) => {
            let token = secret(credential).await?;
            Some(Login { sent: Secret::new(format!("Bearer {}", token.expose())), secret: token })
        }
        Some(HttpLogin::Basic(credential)) => {
            let password = secret(credential).await?;
            let pair = format!("{}:{}", credential.username, password.expose());
            let pair = data_encoding::BASE64.encode(pair.as_bytes());
            Some(Login { sent: Secret::new(format!("Basic {pair}")), secret: password })
        }
    })
}

/// A header with a secret in it.
struct Login {
    sent: Secret,
    secret: Secret,
}

impl Login {
    fn header(&self) -> Result<HeaderValue, NoWay> {
        let value = HeaderValue::from_str(self.sent.expose());
        let mut value =
            value.map_err(|_| NoWay::Ours("the secret has characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The answer of somebody who repeats what he was sent.
    fn hide(&self, text: &str) -> String {
        let encoded = self.sent.expose().rsplit(' ').next().unwrap_or_default();
        text.replace(encoded, "<secret>").replace(self.secret.expose(), "<secret>")
    }
}
