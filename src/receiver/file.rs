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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_is_read_in_pieces_and_says_how_long_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        for size in [0, 1, PIECE, 5 * PIECE + 7] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let mut body = FileBody::open(&path, size as u64).await.unwrap();
            assert_eq!(body.size_hint().exact(), Some(size as u64));
            let mut read = Vec::new();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!((1..=PIECE).contains(&piece.len()));
                read.extend_from_slice(&piece);
            }
            assert!(read == bytes && body.is_end_stream());
        }
    }

    #[tokio::test]
    async fn a_file_of_another_length_is_not_sent_and_one_that_ends_early_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot");
        std::fs::write(&path, "0123456789").unwrap();
        assert!(FileBody::open(&path, 9).await.is_err() && FileBody::open(&path, 11).await.is_err());
        let mut body = FileBody::open(&path, 10).await.unwrap();
        std::fs::write(&path, "").unwrap();
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::write(&path, "0123456789, and more").unwrap();
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "0123456789", "no more than was promised");
    }
}
