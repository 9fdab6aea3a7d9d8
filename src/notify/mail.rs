//! Mail: plain text and HTML with the table, handed over to a server of the operator's, always encrypted.

use std::time::SystemTime;

use lettre::Message as Letter;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;

use super::{Error, Sink, html, smtp, text};
use crate::config::sinks::Mail as Settings;
use crate::domain::message::Message;
use crate::domain::problem::{excerpt, printable};
use crate::domain::settings::Word;
use crate::secret::Secret;

/// Lines of the table in a mail.
const MOST: usize = 500;

const LOGIN: &str = "put username and password right, or let the server take mail without them";
const ENVELOPE: &str = "the server must take mail of `from` for each of `to`; its log says which it does not";

#[derive(Debug)]
pub(super) struct Mail {
    settings: Settings,
    place: String,
}

impl Mail {
    pub(super) fn new(place: String, settings: &Settings) -> Self {
        Mail { settings: settings.clone(), place }
    }

    fn letter(&self, message: &Message) -> Result<Letter, Error> {
        let address = |text: &String| {
            let address = text.parse().map_err(|error| Error::Ours(format!("{text:?} is no mail address: {error}")))?;
            Ok::<Mailbox, Error>(Mailbox::new(None, address))
        };
        let domain = self.settings.from.rsplit('@').next().unwrap_or("localhost");
        // The same wherever and however often it is sent, so that a second copy can be known.
        let id: String = message.id.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
        // A title is one line whatever is in it, and so cannot become a header of its own.
        let subject = printable(&excerpt(&message.title));
        let mut builder = Letter::builder()
            .from(address(&self.settings.from)?)
            .subject(format!("[{}] {subject}", message.severity))
            .date(SystemTime::from(message.at))
            .message_id(Some(format!("<{id}.slp-collector@{domain}>")));
        for (name, value) in [("Auto-Submitted", "auto-generated"), ("X-SLP-Topic", message.topic.word())] {
            builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned()));
        }
        for to in &self.settings.to {
            builder = builder.to(address(to)?);
        }
        let body = MultiPart::alternative_plain_html(text::write(message, MOST), html::write(message, MOST));
        builder.multipart(body).map_err(|error| Error::Ours(error.to_string()))
    }

    fn failed(&self, error: &lettre::transport::smtp::Error, remedy: &'static str, secret: Option<&Secret>) -> Error {
        let said = printable(&excerpt(&error.to_string()));
        let said = secret.map_or_else(|| said.clone(), |secret| said.replace(secret.expose(), "<secret>"));
        let place = self.place.clone();
        if error.is_transient() {
            Error::Busy { place, answer: said }
        } else if error.is_permanent() || error.is_client() {
            Error::Refused { place, answer: said, remedy }
        } else if error.is_response() {
            Error::Misbehaved { place, expected: "a reply of SMTP", got: said }
        } else {
            Error::Unreachable { place, cause: said }
        }
    }
}

impl Sink for Mail {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        let letter = self.letter(message)?;
        let password = match &self.settings.login {
            Some(login) => login.resolve().await?.password,
            None => None,
        };
        let stream = smtp::connect(&self.place, &self.settings).await?;
        let hello = ClientId::Domain(smtp::hello());
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
        let mut server = connected.map_err(|error| self.failed(&error, ENVELOPE, None))?;
        if let (Some(login), Some(password)) = (&self.settings.login, &password) {
            let credentials = Credentials::new(login.username.clone(), password.expose().to_owned());
            let taken = server.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            taken.map_err(|error| self.failed(&error, LOGIN, Some(password)))?;
        }
        let sent = server.send(letter.envelope(), &letter.formatted()).await;
        sent.map_err(|error| self.failed(&error, ENVELOPE, password.as_ref()))?;
        // It is taken; how the connection ends changes nothing.
        server.abort().await;
        Ok(())
    }
}
