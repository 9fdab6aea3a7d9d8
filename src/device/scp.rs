//! Files over SCP, the old protocol that runs over `scp -f` and `scp -t`: what Cisco devices speak.
//!
//! The names that the other side sends are never used. There is no standard; this follows what
//! OpenSSH's scp sends and takes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Error;
use super::flash::FileLimits;
use super::own_file::{Folder, OwnFile};
use super::shell::is_aside;
use super::ssh::{Channel, Ssh};

const GET: &str = "get a file over SCP";
const PUT: &str = "put a file over SCP";

/// The longest record or message, in bytes.
const LONGEST_LINE: usize = 4096;

/// How many time records may come before the file's own.
const MOST_RECORDS: usize = 8;

/// Gets a file of ours.
pub async fn get(ssh: &Ssh, folder: &Folder, file: &OwnFile, limits: FileLimits) -> Result<Vec<u8>, Error> {
    let path = file.within(folder);
    over(ssh, GET, &format!("scp -f {path}"), limits, async |channel| receive(channel, &path, limits.size).await).await
}

/// Puts a file of ours.
pub async fn put(ssh: &Ssh, folder: &Folder, file: &OwnFile, bytes: &[u8], limits: FileLimits) -> Result<(), Error> {
    let path = file.within(folder);
    over(ssh, PUT, &format!("scp -t {path}"), limits, async |channel| send(channel, file.name(), bytes).await).await
}

async fn over<T>(
    ssh: &Ssh,
    step: &'static str,
    command: &str,
    limits: FileLimits,
    transfer: impl AsyncFnOnce(&mut Channel) -> Result<T, Failure>,
) -> Result<T, Error> {
    let mut channel = ssh.exec(command).await?;
    let outcome = timeout(limits.time, transfer(&mut channel)).await;
    let ending = match &outcome {
        Ok(Err(Failure::Lost(_) | Failure::TooLarge(_))) | Err(_) => channel.close().await,
        Ok(Ok(_) | Err(Failure::Refused(_) | Failure::Silent | Failure::Foreign(_))) => channel.finish().await,
    };
    let unreachable = |cause: String| Error::Unreachable { step, address: ssh.address().to_owned(), cause };
    let path = || command.get("scp -f ".len()..).unwrap_or_default().to_owned();
    match outcome {
        Err(_) => Err(unreachable(format!("not done within {:?}", limits.time))),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Lost(error))) => Err(unreachable(error.to_string())),
        Ok(Err(Failure::Refused(said))) => Err(Error::FileRefused { step, path: path(), said }),
        Ok(Err(Failure::TooLarge(limit))) => Err(Error::TooLarge { step, limit }),
        // Where SCP is switched off, devices answer with a sentence, or with nothing at all.
        Ok(Err(Failure::Silent)) => {
            let cause = if ending.complaint.is_empty() { "no answer".to_owned() } else { short(&ending.complaint) };
            Err(Error::NotOffered { step, what: "SCP".to_owned(), cause })
        }
        Ok(Err(Failure::Foreign(said))) => Err(Error::NotOffered { step, what: "SCP".to_owned(), cause: said }),
    }
}

/// Why a transfer ended.
#[derive(Debug)]
pub enum Failure {
    /// The stream broke.
    Lost(std::io::Error),
    /// The other side sent an error, in its words.
    Refused(String),
    /// More than this many bytes.
    TooLarge(u64),
    /// The other side ended before it said anything.
    Silent,
    /// It spoke something that is not this protocol; its words.
    Foreign(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Lost(error)
    }
}

/// The receiving side, towards an `scp -f`: one file of at most `most` bytes. `path` is for its name only.
pub async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    path: &str,
    most: u64,
) -> Result<Vec<u8>, Failure> {
    acknowledge(stream).await?;
    for _ in 0..MOST_RECORDS {
        let record = record(stream).await?;
        match record.split_at_checked(1) {
            // Times are of no interest.
            Some(("T", _)) => acknowledge(stream).await?,
            Some(("C", rest)) => {
                let size = rest.split(' ').nth(1).and_then(|size| size.parse::<u64>().ok());
                let Some(size) = size else { return Err(Failure::Foreign(short(&record))) };
                if size > most {
                    refuse(stream).await;
                    return Err(Failure::TooLarge(most));
                }
                acknowledge(stream).await?;
                // Room is made as bytes come, not as they are promised.
                let mut bytes = Vec::new();
                (&mut *stream).take(size).read_to_end(&mut bytes).await?;
                if bytes.len() as u64 != size {
                    let cause = format!("{path} ended after {} of {size} bytes", bytes.len());
                    return Err(Failure::Lost(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, cause)));
                }
                told(stream).await.map_err(late)?;
                // The file is whole; who hangs up now takes nothing away.
                drop(acknowledge(stream).await);
                return Ok(bytes);
            }
            Some(("D", _)) => {
                refuse(stream).await;
                return Err(Failure::Refused("it is a folder, not a file".to_owned()));
            }
            _ if is_aside(&record) => return Err(Failure::Foreign(words(stream, Vec::new()).await?)),
            _ => return Err(Failure::Foreign(short(&record))),
        }
    }
    Err(Failure::Foreign("one record after another, and no file".to_owned()))
}

/// The sending side, towards an `scp -t`.
pub async fn send<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    told(stream).await?;
    stream.write_all(format!("C0644 {} {name}\n", bytes.len()).as_bytes()).await?;
    stream.flush().await?;
    told(stream).await?;
    stream.write_all(bytes).await?;
    stream.write_all(&[0]).await?;
    stream.flush().await?;
    told(stream).await.map_err(late)?;
    // The file is there; who hangs up now takes nothing away.
    drop(stream.shutdown().await);
    Ok(())
}

async fn acknowledge<S: AsyncWrite + Unpin>(stream: &mut S) -> Result<(), Failure> {
    stream.write_all(&[0]).await?;
    Ok(stream.flush().await?)
}

/// Says no. That it arrives is not important.
async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S) {
    drop(stream.write_all(b"\x02refused\n").await);
    drop(stream.flush().await);
}

/// A single byte that says how it went: 0 well; 1 and 2 not, with a line of text.
async fn told<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), Failure> {
    match first(stream).await? {
        0 => Ok(()),
        1 | 2 => Err(Failure::Refused(short(&line(stream, Vec::new()).await?))),
        other => Err(Failure::Foreign(words(stream, vec![other]).await?)),
    }
}

/// Who is silent in the middle of a transfer speaks the protocol all the same.
fn late(failure: Failure) -> Failure {
    match failure {
        Failure::Silent => {
            let cause = "it ended without saying that the file is whole";
            Failure::Lost(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, cause))
        }
        Failure::Lost(_) | Failure::Refused(_) | Failure::TooLarge(_) | Failure::Foreign(_) => failure,
    }
}

/// A record up to its line end.
async fn record<S: AsyncRead + Unpin>(stream: &mut S) -> Result<String, Failure> {
    match first(stream).await? {
        1 | 2 => Err(Failure::Refused(short(&line(stream, Vec::new()).await?))),
        other => line(stream, vec![other]).await,
    }
}

async fn first<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u8, Failure> {
    match stream.read_u8().await {
        Ok(byte) => Ok(byte),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Failure::Silent),
        Err(error) => Err(Failure::Lost(error)),
    }
}

/// What was said that is not this protocol: the first line that is no header of the terminal's.
async fn words<S: AsyncRead + Unpin>(stream: &mut S, begun: Vec<u8>) -> Result<String, Failure> {
    let mut said = line(stream, begun).await?;
    for _ in 0..MOST_RECORDS {
        if !said.trim().is_empty() && !is_aside(&said) {
            break;
        }
        let next = line(stream, Vec::new()).await?;
        if next.is_empty() {
            break;
        }
        said = next;
    }
    Ok(short(&said))
}

/// The rest of a line, as far as it comes.
async fn line<S: AsyncRead + Unpin>(stream: &mut S, mut begun: Vec<u8>) -> Result<String, Failure> {
    while begun.len() < LONGEST_LINE {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) => begun.push(byte),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(Failure::Lost(error)),
        }
    }
    Ok(String::from_utf8_lossy(&begun).into_owned())
}

/// Foreign text, short enough for one line of a log.
fn short(text: &str) -> String {
    text.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `receive` makes of bytes that come, and what it sends.
    async fn received(bytes: &[u8], most: u64) -> (Result<Vec<u8>, Failure>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let outcome = receive(&mut ours, "bootflash:a", most).await;
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (outcome, sent)
    }

    async fn sent(answers: &[u8]) -> (Result<(), Failure>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(answers).await.unwrap();
        theirs.shutdown().await.unwrap();
        let outcome = send(&mut ours, "slpc-a.xml", b"abc").await;
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (outcome, sent)
    }

    #[tokio::test]
    async fn a_file_is_taken_whatever_its_name() {
        for record in ["C0644 3 a\n", "T1 0 1 0\nC0644 3 ../../etc/passwd\n", "C0644 3 a b\n"] {
            let (outcome, sent) = received(&[record.as_bytes(), b"abc\0"].concat(), 3).await;
            assert_eq!(outcome.unwrap(), b"abc", "{record}");
            assert!(sent.len() >= 3 && sent.iter().all(|byte| *byte == 0), "{sent:?}");
        }
        assert_eq!(received(b"C0644 0 a\n\0", 0).await.0.unwrap(), b"");
    }

    #[tokio::test]
    async fn what_is_no_file_is_told_apart() {
        let failure = async |bytes: &[u8]| received(bytes, 100).await.0.unwrap_err();
        assert!(
            matches!(failure(b"\x01scp: a: No such file\n").await, Failure::Refused(said) if said == "scp: a: No such file")
        );
        assert!(matches!(failure(b"\x02fatal\n").await, Failure::Refused(said) if said == "fatal"));
        assert!(matches!(failure(b"D0755 0 a\n").await, Failure::Refused(_)));
        assert!(matches!(failure(b"C0644 101 a\n").await, Failure::TooLarge(100)));
        assert!(matches!(failure(b"C0644 99999999999999999999 a\n").await, Failure::Foreign(_)));
        assert!(matches!(failure(b"C0644 -1 a\n").await, Failure::Foreign(_)));
        let headed = b"\r\nSun Nov 22 05:13:19.118 UTC\r\n% Invalid input detected\r\n";
        assert!(matches!(failure(&headed[2..]).await, Failure::Foreign(said) if said == "% Invalid input detected"));
        assert!(
            matches!(failure(b"Administratively disabled.\r\n").await, Failure::Foreign(said) if said == "Administratively disabled.")
        );
        assert!(matches!(failure(b"").await, Failure::Silent));
        assert!(matches!(failure(b"C0644 3 a\nab").await, Failure::Lost(_)));
        assert!(matches!(failure(b"C0644 3 a\nabc").await, Failure::Lost(_)));
        assert!(matches!(failure(b"C0644 3 a\nabc\x01read error\n").await, Failure::Refused(_)));
        assert!(matches!(failure(&b"T1 0 1 0\n".repeat(20)).await, Failure::Foreign(_)));
        assert!(matches!(failure(&[b'C'; 3 * LONGEST_LINE]).await, Failure::Foreign(_)));
    }

    #[tokio::test]
    async fn a_file_is_sent_step_by_step() {
        let (outcome, bytes) = sent(b"\0\0\0").await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(bytes, b"C0644 3 slpc-a.xml\nabc\0");
        let (outcome, bytes) = sent(b"\0\x01No space left on device\n").await;
        assert!(matches!(outcome, Err(Failure::Refused(said)) if said == "No space left on device"));
        assert_eq!(bytes, b"C0644 3 slpc-a.xml\n");
        assert!(matches!(sent(b"").await.0, Err(Failure::Silent)));
        assert!(matches!(sent(b"% Invalid\n").await.0, Err(Failure::Foreign(_))));
    }
}
