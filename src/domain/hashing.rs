//! SHA-256 of what passes by.

use std::io::{self, Read, Write};

use super::digest::Sha256;

/// Counts and digests the bytes that go through a reader or writer.
pub struct Hashing<T> {
    inner: T,
    context: ring::digest::Context,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub fn new(inner: T) -> Self {
        Hashing { inner, context: ring::digest::Context::new(&ring::digest::SHA256), bytes: 0 }
    }

    /// How many bytes went through so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The reader or writer again, the digest, and how many bytes it was.
    pub fn finish(self) -> (T, Sha256, u64) {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.context.finish().as_ref());
        (self.inner, Sha256(digest), self.bytes)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.context.update(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.context.update(&buffer[..got]);
        self.bytes += got as u64;
        Ok(got)
    }
}
