//! The two framings of NETCONF over SSH (RFC 6242): bytes in and messages out, with nothing else known.
//!
//! A message ends in `]]>]]>` until both hellos offered base 1.1; from then on it comes in chunks. However
//! the input is cut, the same messages and the same faults come out.

/// What ends a message of base 1.0, and every hello.
const MARK: &[u8] = b"]]>]]>";
const LARGEST_CHUNK: u64 = 4_294_967_295;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    EndOfMessage,
    Chunked,
}

/// Why bytes are no message. After a fault nothing that follows means anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a message larger than {0} bytes")]
    TooLarge(u64),
    #[error("the end-of-message mark of base 1.0 after base 1.1 was agreed")]
    OldMark,
    #[error("byte {got:#04x} in a chunk's header, where {expected} belongs")]
    Header { expected: &'static str, got: u8 },
    #[error("a chunk larger than {LARGEST_CHUNK} bytes")]
    ChunkTooLarge,
    #[error("a message that this framing cannot carry")]
    Unsendable,
}

/// One message as it goes over the wire.
pub fn encode(framing: Framing, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(message.len() + 32);
    match framing {
        Framing::EndOfMessage => {
            if find(message).is_some() {
                return Err(Fault::Unsendable);
            }
            bytes.extend_from_slice(message);
            bytes.extend_from_slice(MARK);
        }
        Framing::Chunked => {
            if message.is_empty() {
                return Err(Fault::Unsendable);
            }
            for chunk in message.chunks(usize::try_from(LARGEST_CHUNK).unwrap_or(usize::MAX)) {
                bytes.extend_from_slice(format!("\n#{}\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
            }
            bytes.extend_from_slice(b"\n##\n");
        }
    }
    Ok(bytes)
}

/// Takes messages out of a stream of bytes.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes of one message.
    limit: u64,
    message: Vec<u8>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Before a mark; how many bytes of the message were searched for one.
    Marked(usize),
    /// Before the line feed of a header.
    Feed,
    /// Before its `#`.
    Hash,
    /// Before the first digit or the second `#`.
    Digit,
    /// Within a size.
    Size(u64),
    /// Within a chunk, with so many bytes to come.
    Data(u64),
    /// Before the last line feed.
    End,
    Broken(Fault),
}

impl Decoder {
    /// Begins with end-of-message marks, as every session does. `limit`: bytes of one message.
    pub fn new(limit: u64) -> Decoder {
        Decoder { limit, message: Vec::new(), state: State::Marked(0) }
    }

    /// Other limits from here on. Meant for the pause between two messages.
    pub fn limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Both sides offered base 1.1: the next message comes in chunks. Meant for the pause between two messages.
    pub fn chunked(&mut self) {
        self.message.clear();
        self.state = State::Feed;
    }

    /// Takes bytes up to the end of a message: how many were taken, and the message if it is whole.
    /// What was not taken belongs to the next message.
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), Fault> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let (used, whole) = self.step(rest).inspect_err(|fault| self.state = State::Broken(fault.clone()))?;
            taken += used;
            if whole {
                return Ok((taken, Some(std::mem::take(&mut self.message))));
            }
        }
        Ok((taken, None))
    }

    /// Is nothing of a message there yet?
    pub fn is_between(&self) -> bool {
        self.message.is_empty() && matches!(self.state, State::Marked(_) | State::Feed)
    }

    /// Takes at least one byte; `true` when they end a message.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), Fault> {
        let [first, ..] = *rest else { return Ok((0, false)) };
        let header = |expected| Fault::Header { expected, got: first };
        self.state = match self.state.clone() {
            State::Broken(fault) => return Err(fault),
            State::Marked(searched) => return self.marked(rest, searched),
            State::Data(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                self.message.extend_from_slice(&rest[..here]);
                let left = left - here as u64;
                self.state = if left == 0 { State::Feed } else { State::Data(left) };
                return Ok((here, false));
            }
            State::Feed => match first {
                b'\n' => State::Hash,
                b']' => return Err(Fault::OldMark),
                _ => return Err(header("a line feed")),
            },
            State::Hash => match first {
                b'#' => State::Digit,
                _ => return Err(header("#")),
            },
            State::Digit => match first {
                b'1'..=b'9' => State::Size(u64::from(first - b'0')),
                b'#' if !self.message.is_empty() => State::End,
                _ => return Err(header("the first digit of a size")),
            },
            State::Size(size) => match first {
                b'0'..=b'9' => {
                    let size = size * 10 + u64::from(first - b'0');
                    if size > LARGEST_CHUNK {
                        return Err(Fault::ChunkTooLarge);
                    }
                    State::Size(size)
                }
                b'\n' if self.message.len() as u64 + size > self.limit => return Err(Fault::TooLarge(self.limit)),
                b'\n' => State::Data(size),
                _ => return Err(header("a digit or a line feed")),
            },
            State::End => match first {
                b'\n' => {
                    self.state = State::Feed;
                    return Ok((1, true));
                }
                _ => return Err(header("a line feed")),
            },
        };
        Ok((1, false))
    }

    fn marked(&mut self, rest: &[u8], searched: usize) -> Result<(usize, bool), Fault> {
        let before = self.message.len();
        // No more than what the limit allows is ever kept, with the mark behind it.
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_add(MARK.len());
        let here = rest.len().min(most.saturating_sub(before));
        self.message.extend_from_slice(&rest[..here]);
        if let Some(at) = find(&self.message[searched..]) {
            let end = searched + at;
            self.message.truncate(end);
            self.state = State::Marked(0);
            return Ok((end + MARK.len() - before, true));
        }
        if self.message.len() == most {
            return Err(Fault::TooLarge(self.limit));
        }
        // A mark may have begun in the last bytes.
        self.state = State::Marked(self.message.len().saturating_sub(MARK.len() - 1));
        Ok((here, false))
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == b']')?;
        if bytes[at..].starts_with(MARK) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every message and how it ended, with the input in pieces of these sizes, again and again.
    fn decoded(chunked: bool, limit: u64, input: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, Option<Fault>) {
        let mut decoder = Decoder::new(limit);
        if chunked {
            decoder.chunked();
        }
        let (mut messages, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            let mut piece = &input[at..input.len().min(at + size.max(&1))];
            at += piece.len();
            if piece.is_empty() {
                break;
            }
            while !piece.is_empty() {
                match decoder.take(piece) {
                    Ok((taken, message)) => {
                        assert!(taken > 0 || message.is_some(), "it must go on");
                        messages.extend(message);
                        piece = &piece[taken..];
                    }
                    Err(fault) => {
                        assert_eq!(decoder.take(b"\n"), Err(fault.clone()), "a fault is for good");
                        return (messages, Some(fault));
                    }
                }
            }
        }
        (messages, None)
    }

    /// The same with every way to cut the input once, byte by byte, and as a whole.
    fn however_cut(chunked: bool, limit: u64, input: &[u8]) -> (Vec<Vec<u8>>, Option<Fault>) {
        let whole = decoded(chunked, limit, input, &[input.len()]);
        assert_eq!(decoded(chunked, limit, input, &[1]), whole, "{}", input.escape_ascii());
        for cut in 1..input.len() {
            assert_eq!(decoded(chunked, limit, input, &[cut, input.len()]), whole, "{} at {cut}", input.escape_ascii());
        }
        whole
    }

    #[test]
    fn what_was_encoded_comes_back_however_it_is_cut() {
        let messages: [&[u8]; 4] = [b"<a>]]>]] ]]></a>", "<ü/>".as_bytes(), b"]", b"\n##\n"];
        for chunked in [false, true] {
            let framing = if chunked { Framing::Chunked } else { Framing::EndOfMessage };
            let wire: Vec<u8> = messages.iter().flat_map(|message| encode(framing, message).unwrap()).collect();
            assert_eq!(however_cut(chunked, 100, &wire), (messages.map(<[u8]>::to_vec).to_vec(), None));
        }
        assert_eq!(encode(Framing::Chunked, b""), Err(Fault::Unsendable));
        assert_eq!(encode(Framing::EndOfMessage, b"a]]>]]>"), Err(Fault::Unsendable));
        assert_eq!(encode(Framing::Chunked, b"]]>]]>"), Ok(b"\n#6\n]]>]]>\n##\n".to_vec()));
    }

    #[test]
    fn chunks_join_and_borders_mean_nothing() {
        let input = b"\n#4\n<rpc\n#18\n xmlns=\"urn:x\">\n#<\n#1\n>\n##\n\n#1\nz\n##\n\n#";
        let (messages, fault) = however_cut(true, 64, input);
        assert_eq!(messages, [b"<rpc xmlns=\"urn:x\">\n#<>".to_vec(), b"z".to_vec()]);
        assert_eq!(fault, None);
    }

    #[test]
    fn the_rules_of_chunks_are_kept() {
        let fault = |input: &[u8]| however_cut(true, 1 << 40, input).1;
        let header = |expected, got| Some(Fault::Header { expected, got });
        assert_eq!(fault(b"\n#0\n"), header("the first digit of a size", b'0'));
        assert_eq!(fault(b"\n#04\nabcd\n##\n"), header("the first digit of a size", b'0'));
        assert_eq!(fault(b"\n##\n"), header("the first digit of a size", b'#'));
        assert_eq!(fault(b"\n#1\r\na"), header("a digit or a line feed", b'\r'));
        assert_eq!(fault(b"\n#+1\na"), header("the first digit of a size", b'+'));
        assert_eq!(fault(b"\n#4294967296\n"), Some(Fault::ChunkTooLarge));
        assert_eq!(fault(b"\n#99999999999999999999999\n"), Some(Fault::ChunkTooLarge));
        assert_eq!(fault(b"\n#4294967295\na"), None);
        assert_eq!(fault(b"\n#1\na\n##x"), header("a line feed", b'x'));
        assert_eq!(fault(b"\n#1\na<"), header("a line feed", b'<'));
        assert_eq!(fault(b"\n#1\na\n##\n<"), header("a line feed", b'<'));
        assert_eq!(fault(b"\n1"), header("#", b'1'));
        assert_eq!(fault(b"]]>]]>"), Some(Fault::OldMark));
        assert_eq!(fault(b"\n#1\na]]>]]>"), Some(Fault::OldMark));
    }

    #[test]
    fn size_has_an_end() {
        let too_large = Some(Fault::TooLarge(4));
        assert_eq!(however_cut(false, 4, b"abcd]]>]]>"), (vec![b"abcd".to_vec()], None));
        assert_eq!(however_cut(false, 4, b"abcde]]>]]>"), (vec![], too_large.clone()));
        assert_eq!(however_cut(false, 4, b"abcdefghijklmnop").1, too_large);
        assert_eq!(however_cut(true, 4, b"\n#4\nabcd\n##\n"), (vec![b"abcd".to_vec()], None));
        assert_eq!(however_cut(true, 4, b"\n#2\nab\n#3\n"), (vec![], too_large.clone()));
        // An announced size is refused before its bytes come.
        assert_eq!(however_cut(true, 4, b"\n#4294967295\n").1, too_large);
    }

    #[test]
    fn no_input_panics_and_no_cut_changes_a_thing() {
        let mut random = fastrand::Rng::with_seed(7);
        let alphabet = b"\n\n##019]]>>a";
        for round in 0..3000 {
            let length = random.usize(1..40);
            let mut input: Vec<u8> = (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            if round % 2 == 0 {
                input.splice(0..0, *b"\n#3\nabc");
            }
            for chunked in [false, true] {
                however_cut(chunked, 12, &input);
            }
        }
    }
}
