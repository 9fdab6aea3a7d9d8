//! The way to a mail server, up to a connection that is encrypted: what lettre's own TLS would do, with our trust.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;

use super::{Error, host, wire};
use crate::config::sinks::{Mail, MailTls};
use crate::domain::problem::{excerpt, printable};
use crate::tls;

/// The longest line of a reply, in bytes, and the most lines of one.
const LINE: u64 = 1000;
const LINES: usize = 100;

const NO_TLS: &str =
    "let the server offer STARTTLS, or set tls = \"tls\" and the port where it encrypts from the start";

/// An encrypted connection on which the server greets next.
pub(super) async fn connect(place: &str, mail: &Mail) -> Result<Greeted, Error> {
    let mut stream = wire::plain(place, &mail.server).await?;
    let greeting: &[u8] = match mail.tls {
        MailTls::Tls => b"",
        MailTls::StartTls => {
            start_tls(place, &mut stream).await?;
            // The server greeted before; whoever speaks from here on has not heard it.
            b"220 encrypted\r\n"
        }
    };
    let stream = wire::encrypted(place, &mail.server, &mail.authority, stream).await?;
    Ok(Greeted { greeting, stream })
}

/// How we call ourselves to a server.
pub(super) fn hello() -> String {
    host::name().map_or_else(|| "[127.0.0.1]".to_owned(), str::to_owned)
}

async fn start_tls(place: &str, stream: &mut TcpStream) -> Result<(), Error> {
    let mut stream = BufReader::new(stream);
    expect(place, &mut stream, "220").await?;
    say(place, &mut stream, &format!("EHLO {}\r\n", hello())).await?;
    let offers = expect(place, &mut stream, "250").await?;
    if !offers.iter().any(|offer| offer.trim().eq_ignore_ascii_case("STARTTLS")) {
        let answer = "it does not offer STARTTLS".to_owned();
        return Err(Error::Refused { place: place.to_owned(), answer, remedy: NO_TLS });
    }
    say(place, &mut stream, "STARTTLS\r\n").await?;
    expect(place, &mut stream, "220").await?;
    // What came in the clear behind that word is somebody else's.
    if stream.buffer().is_empty() {
        Ok(())
    } else {
        let got = "more in the clear".to_owned();
        Err(Error::Misbehaved { place: place.to_owned(), expected: "the beginning of TLS", got })
    }
}

async fn say(place: &str, stream: &mut BufReader<&mut TcpStream>, line: &str) -> Result<(), Error> {
    stream.write_all(line.as_bytes()).await.map_err(|error| wire::unreachable(place, &error))
}

/// The texts of a reply with that code.
async fn expect(place: &str, stream: &mut BufReader<&mut TcpStream>, code: &str) -> Result<Vec<String>, Error> {
    let misbehaved = |got: &str| {
        let got = format!("{:?}", printable(&excerpt(got.trim_end())));
        Error::Misbehaved { place: place.to_owned(), expected: "a reply of SMTP", got }
    };
    let mut texts = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = (&mut *stream).take(LINE).read_until(b'\n', &mut line).await;
        read.map_err(|error| wire::unreachable(place, &error))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.is_empty() {
            let cause = "it hung up".to_owned();
            return Err(Error::Unreachable { place: place.to_owned(), cause });
        }
        let (Some(got), Some(text), true) = (line.get(..3), line.get(3..), line.ends_with('\n')) else {
            return Err(misbehaved(&line));
        };
        if got != code {
            let (place, answer) = (place.to_owned(), printable(&excerpt(line.trim_end())));
            return Err(match got.as_bytes().first() {
                Some(b'4') => Error::Busy { place, answer },
                Some(b'5') => Error::Refused { place, answer, remedy: "the server's log says why" },
                Some(_) | None => misbehaved(&line),
            });
        }
        texts.push(text.get(1..).unwrap_or_default().trim_end().to_owned());
        match text.as_bytes().first() {
            Some(b'-') if texts.len() < LINES => {}
            Some(b'-') => return Err(misbehaved(&line)),
            Some(_) | None => return Ok(texts),
        }
    }
}

/// A stream that begins with a greeting.
#[derive(Debug)]
pub(super) struct Greeted {
    greeting: &'static [u8],
    stream: tls::Stream,
}

impl AsyncTokioStream for Greeted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl tokio::io::AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
