//! The plaintext stream between TLS and HTTP: counts bytes, ends idle connections, and damages responses on request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::face::counters::Meter;
use crate::fault::Fault;
use crate::lock;

/// What becomes of the response under way. Shared between the stream and the one who answers on it.
#[derive(Debug, Clone, Default)]
pub struct Tamper(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Bytes of this response written so far.
    written: u64,
    cut: bool,
}

impl Tamper {
    /// The next response begins, with this fault or none.
    pub fn begin(&self, fault: Option<Fault>) {
        *lock(&self.0) = Plan { fault, ..Plan::default() };
    }
}

pub struct Wire<S> {
    inner: S,
    tamper: Tamper,
    meter: Arc<Meter>,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub fn new(inner: S, tamper: Tamper, meter: Arc<Meter>, idle: Duration) -> Wire<S> {
        Wire { inner, tamper, meter, idle, silence: Box::pin(sleep(idle)), pause: None }
    }

    fn moved(&mut self) {
        let until = Instant::now() + self.idle;
        self.silence.as_mut().reset(until);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(done) => {
                this.meter.read(buf.filled().len() - before);
                this.moved();
                Poll::Ready(done)
            }
            // An idle connection ends as if the other side had gone.
            Poll::Pending => this.silence.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes what the fault lets through of `buf`.
    fn write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let (fault, written) = {
            let plan = lock(&self.tamper.0);
            (plan.fault.clone(), plan.written)
        };
        match fault {
            Some(Fault::CutAfter(limit)) => {
                let left = usize::try_from(limit.saturating_sub(written)).unwrap_or(usize::MAX);
                if left > 0 {
                    return Pin::new(&mut self.inner).poll_write(cx, &buf[..buf.len().min(left)]);
                }
                ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
                lock(&self.tamper.0).cut = true;
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            Some(Fault::Drip { bytes, every }) => {
                if let Some(pause) = &mut self.pause {
                    ready!(pause.as_mut().poll(cx));
                    self.pause = None;
                }
                let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..buf.len().min(bytes)]))?;
                self.pause = Some(Box::pin(sleep(every)));
                Poll::Ready(Ok(count))
            }
            Some(Fault::Flip { at }) if (written..written + buf.len() as u64).contains(&at) => {
                let mut flipped = buf.to_vec();
                flipped[usize::try_from(at - written).unwrap_or(0)] ^= 1;
                Pin::new(&mut self.inner).poll_write(cx, &flipped)
            }
            _ => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(this.write(cx, buf))?;
        lock(&this.tamper.0).written += count as u64;
        this.meter.wrote(count);
        this.moved();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A connection that is cut says no goodbye, not even TLS's.
        if lock(&this.tamper.0).cut { Poll::Ready(Ok(())) } else { Pin::new(&mut this.inner).poll_shutdown(cx) }
    }
}
