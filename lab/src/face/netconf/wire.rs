//! Messages on the wire, from the server's side: marks before both hellos are there, then chunks where both offer them.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::fault::Fault;

const MARK: &[u8] = b"]]>]]>";

/// A stream with its framing.
#[derive(Debug)]
pub struct Wire<S> {
    stream: BufReader<S>,
    pub chunked: bool,
    /// Bytes a chunk of what is sent; 0 for one chunk a message.
    pub chunk: usize,
    /// Bytes of a message that is taken.
    pub limit: usize,
    sent: u64,
}

impl<S: tokio::io::AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S, chunk: usize, limit: usize) -> Wire<S> {
        Wire { stream: BufReader::new(stream), chunked: false, chunk, limit, sent: 0 }
    }

    /// The next message; `None` when the client has gone.
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.stream.fill_buf().await?.is_empty() {
            return Ok(None);
        }
        let message = if self.chunked { self.chunks().await? } else { self.marked().await? };
        Ok(Some(message))
    }

    async fn marked(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        while !message.ends_with(MARK) {
            let before = message.len();
            let room = (self.limit + MARK.len()).saturating_sub(before) as u64;
            (&mut self.stream).take(room).read_until(b'>', &mut message).await?;
            if message.len() == before || message.last() != Some(&b'>') {
                return Err(bad("no end of the message within the limit"));
            }
        }
        message.truncate(message.len() - MARK.len());
        Ok(message)
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).await?;
            if head != *b"\n#" {
                return Err(bad("no header where a chunk should begin"));
            }
            let mut size = Vec::new();
            (&mut self.stream).take(11).read_until(b'\n', &mut size).await?;
            let size = size.strip_suffix(b"\n").ok_or_else(|| bad("a size that does not end"))?;
            if size == b"#" && !message.is_empty() {
                return Ok(message);
            }
            let digits = size.iter().all(u8::is_ascii_digit) && size.first() != Some(&b'0');
            let size = std::str::from_utf8(size).ok().filter(|_| digits).and_then(|size| size.parse::<u32>().ok());
            let size = size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| bad("a size that is none"))?;
            if message.len() + size > self.limit {
                return Err(bad("a message larger than the limit"));
            }
            let begun = message.len();
            message.resize(begun + size, 0);
            self.stream.read_exact(&mut message[begun..]).await?;
        }
    }

    /// Sends a message as a fault lets it; `false` when the session must end after it.
    pub async fn send(&mut self, message: &str, fault: Option<&Fault>) -> io::Result<bool> {
        let mut bytes = self.framed(message.as_bytes());
        let mut goes_on = true;
        match fault {
            Some(Fault::TruncatedJson) => {
                bytes.truncate(bytes.len() / 2);
                goes_on = false;
            }
            Some(Fault::CutAfter(limit)) => {
                bytes.truncate(usize::try_from(limit.saturating_sub(self.sent)).unwrap_or(usize::MAX));
                goes_on = false;
            }
            Some(Fault::Flip { at }) => {
                let at = at.checked_sub(self.sent).and_then(|at| usize::try_from(at).ok());
                if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 1;
                }
            }
            Some(Fault::HugeBody(more)) => {
                let mut head = self.framed(&message.as_bytes()[..message.len() / 2]);
                head.truncate(head.len() - if self.chunked { b"\n##\n".len() } else { MARK.len() });
                self.stream.write_all(&head).await?;
                let spaces = [b' '; 16_384];
                let mut left = usize::try_from(*more).unwrap_or(usize::MAX);
                while left > 0 {
                    let size = left.min(spaces.len());
                    if self.chunked {
                        self.stream.write_all(format!("\n#{size}\n").as_bytes()).await?;
                    }
                    self.stream.write_all(&spaces[..size]).await?;
                    left -= size;
                }
                bytes.clear();
                goes_on = false;
            }
            Some(Fault::Drip { bytes: size, every }) => {
                for piece in bytes.chunks((*size).max(1)) {
                    self.stream.write_all(piece).await?;
                    self.stream.flush().await?;
                    tokio::time::sleep(*every).await;
                }
                bytes.clear();
            }
            _ => {}
        }
        self.sent += bytes.len() as u64;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        if !goes_on {
            self.stream.shutdown().await?;
        }
        Ok(goes_on)
    }

    fn framed(&self, message: &[u8]) -> Vec<u8> {
        if !self.chunked {
            return [message, MARK].concat();
        }
        let mut bytes = Vec::new();
        for piece in message.chunks(if self.chunk == 0 { message.len().max(1) } else { self.chunk }) {
            bytes.extend_from_slice(format!("\n#{}\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
        }
        bytes.extend_from_slice(b"\n##\n");
        bytes
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
