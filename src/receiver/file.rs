//! A file as the body of a request: read piece by piece while it is sent, so that no size of fleet has to fit into memory.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// So much is read at once.
const PIECE: usize = 64 << 10;

/// Exactly as many bytes as were promised, or an error.
pub(super) struct FileBody {
    file: File,
    left: u64,
    piece: Box<[u8]>,
}

impl FileBody {
    pub(super) async fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = File::open(path).await?;
        if file.metadata().await?.len() != size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as long as it was"));
        }
        Ok(FileBody { file, left: size, piece: vec![0; PIECE].into() })
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { file, left, piece } = self.get_mut();
        if *left == 0 {
            return Poll::Ready(None);
        }
        let mut buffer = ReadBuf::new(piece);
        ready!(Pin::new(file).poll_read(context, &mut buffer))?;
        let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
        let read = buffer.filled();
        let read = read.get(..wanted).unwrap_or(read);
        if read.is_empty() {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        *left -= read.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(read)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
