//! A NETCONF session (RFC 6241) over any stream, most often the `netconf` subsystem of SSH (RFC 6242).
//!
//! Base 1.0 and 1.1 are spoken, whichever both sides have. One question is under way at a time. A session
//! in which anything was cut, late or not understood is over: it answers no further question.

mod capabilities;
pub mod framing;
pub mod ios_xe;
pub mod ios_xr;
mod reply;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

use self::framing::{Decoder, Fault, Framing};
use super::budget::{Budget, Share};
use super::tape::{Exchange, Over, Tape};
use super::{Error, Limits};
use crate::domain::xml::Element;

pub use capabilities::Capabilities;

const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
const BASE_1_0: &str = "urn:ietf:params:netconf:base:1.0";
const BASE_1_1: &str = "urn:ietf:params:netconf:base:1.1";
/// A hello of IOS XE names several hundred models in less than 100 KB.
const LARGEST_HELLO: u64 = 1 << 20;
/// No answer of this program's own questions comes near it: a thousand report keys are 0.5 MB.
const LARGEST_ANSWER: u64 = 8 << 20;

/// One session. Close it with [`Netconf::close`]: a dropped one may keep a slot of the device until it times out.
#[derive(Debug)]
pub struct Netconf<S> {
    incoming: Incoming<S>,
    writing: WriteHalf<S>,
    framing: Framing,
    capabilities: Capabilities,
    next_id: u64,
    limits: Limits,
    budget: Budget,
    /// A question was begun and its answer not read to the end.
    over: bool,
    tape: Tape,
}

/// What a device answered without an error, with its share of the memory budget.
#[derive(Debug)]
pub struct Reply {
    /// `<rpc-reply>`; what it holds is `<ok/>`, `<data>`, or the output of an RPC.
    pub root: Element,
    _share: Share,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Netconf<S> {
    /// Exchanges hellos. `address` is only for messages. Of the limits, `read` bounds the silence between two
    /// reads (and each write), `slow` that of a save or an import, and `body` the bytes of one answer.
    pub async fn open(stream: S, address: &str, limits: Limits, budget: Budget) -> Result<Self, Error> {
        Netconf::open_taped(stream, address, limits, budget, &Tape::default()).await
    }

    /// The same; what is said and answered is noted.
    pub async fn open_taped(
        stream: S,
        address: &str,
        limits: Limits,
        budget: Budget,
        tape: &Tape,
    ) -> Result<Self, Error> {
        let step = "open NETCONF";
        let (reading, mut writing) = tokio::io::split(stream);
        let mut incoming =
            Incoming { reading, decoder: Decoder::new(LARGEST_HELLO), unread: Vec::new(), address: address.to_owned() };
        let hello = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><hello xmlns=\"{BASE}\"><capabilities><capability>{BASE_1_0}\
             </capability><capability>{BASE_1_1}</capability></capabilities></hello>"
        );
        let hello = framed(step, Framing::EndOfMessage, &hello)?;
        let share = budget.share(LARGEST_HELLO).await;
        // Both sides may speak first, and a narrow stream may not hold both hellos.
        let sent = send(step, &mut writing, address, limits, &hello);
        let received = incoming.message(step, LARGEST_HELLO, limits.read);
        let ((), received) = tokio::try_join!(sent, received)?;
        note(tape, "<hello/>", &received);
        let capabilities = reply::hello(step, &received)?;
        drop(share);
        let framing = match (capabilities.has(BASE_1_1), capabilities.has(BASE_1_0)) {
            (true, _) => Framing::Chunked,
            (false, true) => Framing::EndOfMessage,
            (false, false) => {
                let got = format!("{} capabilities without it", capabilities.iter().count());
                return Err(Error::Misbehaved { step, expected: "NETCONF base 1.0 or 1.1", got });
            }
        };
        if framing == Framing::Chunked {
            incoming.decoder.chunked();
        }
        Ok(Netconf {
            incoming,
            writing,
            framing,
            capabilities,
            next_id: 1,
            limits,
            budget,
            over: false,
            tape: tape.clone(),
        })
    }

    /// What the device said it can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The framing that both sides agreed on.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Was anything cut, late or not understood, so that no further question is answered?
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// One question: `body` is the element inside `<rpc>`, as XML. An `<rpc-error>` of severity error is
    /// [`Error::Declined`]; the session goes on after it.
    pub async fn rpc(&mut self, step: &'static str, body: &str) -> Result<Reply, Error> {
        self.ask(step, body, self.limits.body).await
    }

    async fn ask(&mut self, step: &'static str, body: &str, limit: u64) -> Result<Reply, Error> {
        self.ask_within(step, body, limit, self.limits.read).await
    }

    /// `patience` bounds the silence before and in the answer.
    async fn ask_within(
        &mut self,
        step: &'static str,
        body: &str,
        limit: u64,
        patience: Duration,
    ) -> Result<Reply, Error> {
        let address = self.incoming.address.clone();
        if self.over {
            return Err(Error::Unreachable { step, address, cause: "the session is over".to_owned() });
        }
        let id = self.next_id;
        let request = framed(step, self.framing, &format!("<rpc xmlns=\"{BASE}\" message-id=\"{id}\">{body}</rpc>"))?;
        let limit = limit.min(self.limits.body);
        let share = self.budget.share(limit).await;
        self.over = true;
        self.next_id += 1;
        send(step, &mut self.writing, &address, self.limits, &request).await?;
        let answer = self.incoming.message(step, limit, patience).await?;
        note(&self.tape, body, &answer);
        let root = reply::read(step, &answer, id)?;
        self.over = false;
        match reply::error(step, &root) {
            Some(error) => Err(error),
            None => Ok(Reply { root, _share: share }),
        }
    }

    /// Ends the session on the device. An answer that does not come any more is no failure.
    pub async fn close(mut self) -> Result<(), Error> {
        let step = "close NETCONF";
        if !self.over {
            match self.ask(step, "<close-session/>", LARGEST_ANSWER).await {
                Ok(_) | Err(Error::Unreachable { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // The other side may be gone already.
        drop(timeout(self.limits.read, self.writing.shutdown()).await);
        Ok(())
    }
}

impl Reply {
    /// What `<get>` found; an empty element where there is nothing.
    pub fn data(&self) -> Option<&Element> {
        self.root.child("data")
    }
}

fn note(tape: &Tape, sent: &str, got: &[u8]) {
    let got = || String::from_utf8_lossy(got).into_owned();
    tape.note(|| Exchange { over: Over::Netconf, sent: sent.to_owned(), got: got(), status: None, refused: None });
}

fn framed(step: &'static str, framing: Framing, message: &str) -> Result<Vec<u8>, Error> {
    framing::encode(framing, message.as_bytes()).map_err(|fault| Error::Ours { step, cause: fault.to_string() })
}

async fn send<S: AsyncWrite>(
    step: &'static str,
    writing: &mut WriteHalf<S>,
    address: &str,
    limits: Limits,
    bytes: &[u8],
) -> Result<(), Error> {
    let lost = |cause: String| Error::Unreachable { step, address: address.to_owned(), cause };
    let sending = async {
        writing.write_all(bytes).await?;
        writing.flush().await
    };
    match timeout(limits.read, sending).await {
        Ok(sent) => sent.map_err(|error| lost(error.to_string())),
        Err(_) => Err(lost(format!("nothing was taken for {:?}", limits.read))),
    }
}

/// The reading half, and what came in beyond the message asked for.
#[derive(Debug)]
struct Incoming<S> {
    reading: ReadHalf<S>,
    decoder: Decoder,
    unread: Vec<u8>,
    address: String,
}

impl<S: AsyncRead> Incoming<S> {
    async fn message(&mut self, step: &'static str, limit: u64, patience: Duration) -> Result<Vec<u8>, Error> {
        self.decoder.limit(limit);
        loop {
            let (taken, message) = self.decoder.take(&self.unread).map_err(|fault| match fault {
                Fault::TooLarge(limit) => Error::TooLarge { step, limit },
                fault => Error::Misbehaved { step, expected: "NETCONF framing", got: fault.to_string() },
            })?;
            self.unread.drain(..taken);
            if let Some(message) = message {
                return Ok(message);
            }
            let lost = |cause: String| Error::Unreachable { step, address: self.address.clone(), cause };
            let mut piece = [0; 16_384];
            match timeout(patience, self.reading.read(&mut piece)).await {
                Ok(Ok(0)) if self.decoder.is_between() => return Err(lost("the device ended the session".to_owned())),
                Ok(Ok(0)) => return Err(lost("the session ended in the middle of a message".to_owned())),
                Ok(Ok(read)) => self.unread.extend_from_slice(piece.get(..read).unwrap_or_default()),
                Ok(Err(error)) => return Err(lost(error.to_string())),
                Err(_) => return Err(lost(format!("nothing came for {patience:?}"))),
            }
        }
    }
}
