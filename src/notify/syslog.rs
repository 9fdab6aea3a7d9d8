//! RFC 5424: a summary and a line for each line of the message, with structured data, over UDP, TCP or TLS.
//!
//! Syslog confirms nothing. Over TCP and TLS a message counts as arrived when the other side has taken all of it and
//! hung up in turn, or said nothing against it for a while; over UDP when it was sent.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::{Error, Sink, host, wire};
use crate::config::sinks::{Syslog as Settings, Transport};
use crate::domain::message::{Line, Message};
use crate::domain::problem::printable;
use crate::domain::settings::Word;
use crate::domain::violation::Severity;

/// RFC 5424 section 6.1: a receiver should take 2048 octets.
const LONGEST: usize = 2048;

/// The longest value of a parameter, in octets, so that all of them leave room for words.
const VALUE: usize = 96;

/// Lines of a message over UDP, where a burst overflows the receiver, and over a connection.
const MOST_UDP: usize = 100;
const MOST: usize = 1000;

/// How long the other side may take to hang up; not all do.
const GOODBYE: Duration = Duration::from_secs(2);

/// The name of our structured data. Names without a number are IANA's; 32473 is the number for documentation
/// (RFC 5612), since this project has none of its own.
const SD_ID: &str = "slp@32473";

#[derive(Debug)]
pub(super) struct Syslog {
    settings: Settings,
    place: String,
}

impl Syslog {
    pub(super) fn new(place: String, settings: &Settings) -> Self {
        Syslog { settings: settings.clone(), place }
    }

    async fn over_udp(&self, lines: &[String]) -> Result<(), Error> {
        let unreachable = |error: std::io::Error| wire::unreachable(&self.place, &error);
        let server = &self.settings.server;
        let found = tokio::net::lookup_host((server.address.to_string(), server.port)).await.map_err(unreachable)?;
        let address = found.into_iter().next().ok_or_else(|| Error::Unreachable {
            place: self.place.clone(),
            cause: "the name has no address".to_owned(),
        })?;
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).await.map_err(unreachable)?;
        socket.connect(address).await.map_err(unreachable)?;
        for line in lines {
            socket.send(line.as_bytes()).await.map_err(unreachable)?;
        }
        Ok(())
    }

    async fn over(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, lines: &[String]) -> Result<(), Error> {
        let unreachable = |error: std::io::Error| wire::unreachable(&self.place, &error);
        let frames: String = lines.iter().map(|line| format!("{} {line}", line.len())).collect();
        stream.write_all(frames.as_bytes()).await.map_err(unreachable)?;
        stream.flush().await.map_err(unreachable)?;
        stream.shutdown().await.map_err(unreachable)?;
        match tokio::time::timeout(GOODBYE, stream.read(&mut [0; 64])).await {
            // Some end TLS without a word; the lines are there.
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(unreachable(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Sink for Syslog {
    async fn send(&self, message: &Message) -> Result<(), Error> {
        let Settings { server, transport, authority, facility } = &self.settings;
        let most = match transport {
            Transport::Udp => MOST_UDP,
            Transport::Tcp | Transport::Tls => MOST,
        };
        let lines = lines(message, *facility as u8, most);
        match transport {
            Transport::Udp => self.over_udp(&lines).await,
            Transport::Tcp => self.over(wire::plain(&self.place, server).await?, &lines).await,
            Transport::Tls => {
                let stream = wire::plain(&self.place, server).await?;
                self.over(wire::encrypted(&self.place, server, authority, stream).await?, &lines).await
            }
        }
    }
}

/// The summary, then at most so many lines of the message.
fn lines(message: &Message, facility: u8, most: usize) -> Vec<String> {
    let severity = match message.severity {
        Severity::Critical => 2,
        Severity::Warning => 4,
        Severity::Info => 6,
    };
    let head = format!(
        "<{}>1 {} {} slp-collector {} {} ",
        facility * 8 + severity,
        message.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
        host::name().unwrap_or("-"),
        std::process::id(),
        message.topic,
    );
    let count = message.lines.len();
    let more = match count.saturating_sub(most) {
        0 => String::new(),
        more => format!("; {more} of {count} lines are not in the log"),
    };
    let site = message.site.as_ref().map(|site| &*site.0);
    let of_all = [("id", Some(message.id.as_str())), ("severity", Some(message.severity.word()))];
    let number = count.to_string();
    let summary = data(of_all.into_iter().chain([("site", site), ("lines", Some(number.as_str()))]));
    let title = format!("{}{more}", message.title);
    let mut lines = vec![whole(&head, &summary, &title)];
    lines.extend(message.lines.iter().zip(1..=most).map(|(line, number)| {
        let number = number.to_string();
        let (due, leave_by) = (line.due.map(|at| at.to_string()), line.leave_by.map(|at| at.to_string()));
        let own = of_line(line, due.as_deref(), leave_by.as_deref());
        let data = data(of_all.into_iter().chain([("line", Some(number.as_str()))]).chain(own));
        whole(&head, &data, &format!("{}: {}", line.name, line.what))
    }));
    lines
}

fn of_line<'l>(
    line: &'l Line,
    due: Option<&'l str>,
    leave_by: Option<&'l str>,
) -> impl Iterator<Item = (&'static str, Option<&'l str>)> {
    [
        ("site", Some(&*line.site.0)),
        ("device", line.device.as_ref().map(|device| &*device.0)),
        ("pid", line.udi.as_ref().map(|udi| &*udi.pid)),
        ("sn", line.udi.as_ref().map(|udi| &*udi.sn)),
        ("state", line.state.map(Word::word)),
        ("due", due),
        ("leaveBy", leave_by),
        ("kind", line.kind.map(Word::word)),
        ("violation", line.violation.as_ref().map(|id| id.as_str())),
    ]
    .into_iter()
}

/// An element of structured data out of those parameters that have a value.
fn data<'d>(parameters: impl Iterator<Item = (&'static str, Option<&'d str>)>) -> String {
    let mut data = format!("[{SD_ID}");
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(data, " {name}=\"{}\"", parameter(value));
        }
    }
    data.push(']');
    data
}

/// RFC 5424 section 6.3.3: a quote, a backslash and a bracket are escaped, and here whatever is not printable.
fn parameter(value: &str) -> String {
    let mut escaped = String::new();
    for character in cut(&printable(value), VALUE).chars() {
        if matches!(character, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn whole(head: &str, data: &str, words: &str) -> String {
    let room = LONGEST.saturating_sub(head.len() + data.len() + 1);
    format!("{head}{data} {}", cut(&printable(words), room))
}

/// The beginning of a text that takes at most so many octets.
fn cut(text: &str, octets: usize) -> Cow<'_, str> {
    const MARK: char = '…';
    if text.len() <= octets {
        return Cow::Borrowed(text);
    }
    let mut end = octets.saturating_sub(MARK.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_to_their_quotes_and_their_room() {
        assert_eq!(parameter(r#"a"b\c]d=e"#), r#"a\"b\\c\]d=e"#);
        assert_eq!(parameter("x\n<13>1 forged"), r"x\\n<13>1 forged");
        let long = "ü".repeat(200);
        assert!(parameter(&long).len() <= VALUE && parameter(&long).ends_with("ü…"));
        assert_eq!(cut("abc", 3), "abc");
    }
}
