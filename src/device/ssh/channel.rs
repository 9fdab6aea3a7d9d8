//! One channel of a connection: a stream of bytes both ways, closed on every path.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::FAREWELL;

/// The most that is kept of what a command prints to its error stream, in bytes.
const MOST_COMPLAINT: usize = 4096;

/// One channel: a stream of bytes both ways. Closed on every path, also by being dropped.
pub struct Channel {
    reading: Reading,
    /// A message that was only read in part, and how far.
    rest: Option<(ChannelMsg, usize)>,
    writing: Pin<Box<dyn AsyncWrite + Send>>,
    half: Arc<ChannelWriteHalf<client::Msg>>,
    ended: bool,
    complaint: Vec<u8>,
    exit: Option<u32>,
}

type Waiting = Pin<Box<dyn Future<Output = (ChannelReadHalf, Option<ChannelMsg>)> + Send>>;

struct Reading(Waiting);

impl Reading {
    fn next(mut half: ChannelReadHalf) -> Waiting {
        Box::pin(async move {
            let message = half.wait().await;
            (half, message)
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChannelMsg>> {
        let (half, message) = ready!(self.0.as_mut().poll(cx));
        self.0 = Reading::next(half);
        Poll::Ready(message)
    }
}

/// How the far end of a channel ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The exit status, where one was told.
    pub exit: Option<u32>,
    /// What came on the error stream, the first 4 KiB.
    pub complaint: String,
}

impl Channel {
    pub(super) fn new(channel: russh::Channel<client::Msg>) -> Channel {
        let (read, write) = channel.split();
        Channel {
            reading: Reading(Reading::next(read)),
            rest: None,
            writing: Box::pin(write.make_writer()),
            half: Arc::new(write),
            ended: false,
            complaint: Vec::new(),
            exit: None,
        }
    }

    /// What requests are made with.
    pub(super) fn half(&self) -> &ChannelWriteHalf<client::Msg> {
        &self.half
    }

    /// Waits for the answer to a request. `PermissionDenied` means the device said no.
    pub(super) async fn granted(&mut self, what: &str) -> io::Result<()> {
        loop {
            match std::future::poll_fn(|cx| self.reading.poll(cx)).await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{what} was refused")));
                }
                // A device may speak before it says yes.
                Some(message @ ChannelMsg::Data { .. }) if self.rest.is_none() => self.rest = Some((message, 0)),
                Some(ChannelMsg::Close) | None => {
                    self.ended = true;
                    let cause = format!("the channel closed when {what} was asked for");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, cause));
                }
                Some(message) => self.note(&message),
            }
        }
    }

    fn note(&mut self, message: &ChannelMsg) {
        match message {
            ChannelMsg::ExtendedData { data, .. } => {
                let room = MOST_COMPLAINT.saturating_sub(self.complaint.len());
                self.complaint.extend(data.iter().take(room));
            }
            ChannelMsg::ExitStatus { exit_status } => self.exit = Some(*exit_status),
            _ => {}
        }
    }

    /// Says that nothing more comes, waits a short time for the far end to end by itself, and closes.
    /// For programs that end: their exit status comes last.
    pub async fn finish(mut self) -> Ending {
        let ending = async {
            drop(self.half.eof().await);
            while !self.ended {
                match std::future::poll_fn(|cx| self.reading.poll(cx)).await {
                    Some(ChannelMsg::Close) | None => self.ended = true,
                    Some(message) => self.note(&message),
                }
            }
        };
        drop(timeout(FAREWELL, ending).await);
        self.close().await
    }

    /// Closes it at once, whatever the far end does. What is sent on the connection afterwards comes
    /// after the close, so the next channel does not overtake it.
    pub async fn close(mut self) -> Ending {
        if !self.ended {
            // russh forgets a channel that it has closed, so there is no answer to wait for.
            // Where the queue is full because nobody reads, dropping the reading half makes room: see `drop`.
            self.ended = timeout(FAREWELL, self.half.close()).await.is_ok();
        }
        self.ending()
    }

    /// How the far end ended, as far as it is known.
    pub fn ending(&self) -> Ending {
        Ending { exit: self.exit, complaint: String::from_utf8_lossy(&self.complaint).into_owned() }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // russh sends no CLOSE by itself, and a channel left open holds a line of the device.
        if !self.ended
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let half = self.half.clone();
            runtime.spawn(async move { drop(timeout(FAREWELL, half.close()).await) });
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some((ChannelMsg::Data { data }, at)) = &mut this.rest {
                let left = data.get(*at..).unwrap_or_default();
                let now = left.get(..buf.remaining().min(left.len())).unwrap_or_default();
                buf.put_slice(now);
                *at += now.len();
                if *at >= data.len() {
                    this.rest = None;
                }
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.reading.poll(cx)) {
                Some(ChannelMsg::Data { data }) if data.is_empty() => {}
                Some(message @ ChannelMsg::Data { .. }) => this.rest = Some((message, 0)),
                // The exit status comes between the end of the data and the close.
                Some(ChannelMsg::Close) | None => this.ended = true,
                Some(message) => this.note(&message),
            }
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writing.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        self.writing.as_mut().poll_shutdown(cx)
    }
}
