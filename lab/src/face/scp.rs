//! The old copy protocol, the one that devices speak: `scp -f` sends a file, `scp -t` takes one.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::face::shell::{self, Ended};
use crate::face::subsystem::Line;
use crate::fault::Fault;
use crate::operation::{Operation, Reply};
use crate::system::System;

/// No file of licensing is near it; more is refused before a byte is kept.
const LARGEST: u64 = 64 << 20;
const LONGEST_LINE: usize = 1024;

/// Runs the command `scp …` of an SSH session.
pub async fn speak(mut line: Line, command: &str) -> Ended {
    let faces = line.station.spec.faces;
    if !faces.scp {
        if line.station.spec.os != System::IosXe {
            return shell::single(line, command).await;
        }
        line.station.meter.request("SSH", command);
        let _ = line.stream.write_all(b"Administratively disabled.\n").await;
        return Ended::With(1);
    }
    line.station.meter.request("SSH", command);
    let fault = line.station.faults.at_command(line.way, command);
    line.tamper.begin(fault.clone());
    match fault {
        Some(Fault::Hang) => {
            shell::silent(line).await;
            return Ended::Dropped;
        }
        Some(Fault::Forbidden | Fault::NoCommand) => {
            let _ = line.stream.write_all(b"\x01Privilege denied.\n").await;
            return Ended::With(1);
        }
        _ => {}
    }
    let mut words = command.split_whitespace().skip(1);
    let path = words.clone().filter(|word| !word.starts_with('-')).last().unwrap_or_default().to_string();
    let flag = words.find_map(|word| word.strip_prefix('-')?.chars().find(|flag| matches!(flag, 'f' | 't')));
    let done = match flag {
        Some('f') => send(&mut line, &path, fault.as_ref() == Some(&Fault::DropChannel)).await,
        Some(_) => take(&mut line, &path).await,
        None => complain(&mut line, "neither -f nor -t").await,
    };
    done.unwrap_or(Ended::Dropped)
}

async fn send(line: &mut Line, path: &str, dropped: bool) -> io::Result<Ended> {
    agreed(line).await?;
    let os = line.station.spec.os;
    let bytes = match os.file(path).map(|name| line.station.apply(Operation::ReadFile(name))) {
        Some(Reply::File(bytes)) => bytes,
        _ => return complain(line, &format!("scp: {path}: No such file or directory")).await,
    };
    // OpenSSH takes no other name than the last part of the path it asked for, file system and all.
    let name = path.rsplit('/').next().unwrap_or_default();
    line.stream.write_all(format!("C0644 {} {name}\n", bytes.len()).as_bytes()).await?;
    agreed(line).await?;
    if dropped {
        line.stream.write_all(&bytes[..bytes.len() / 2]).await?;
        return Ok(Ended::Dropped);
    }
    line.stream.write_all(&bytes).await?;
    line.stream.write_all(&[0]).await?;
    line.stream.flush().await?;
    agreed(line).await?;
    Ok(Ended::With(0))
}

async fn take(line: &mut Line, path: &str) -> io::Result<Ended> {
    agree(line).await?;
    loop {
        let Some(header) = header(line).await? else { return Ok(Ended::With(0)) };
        // Times of the file, when the client keeps them.
        if header.starts_with('T') {
            agree(line).await?;
            continue;
        }
        let mut parts = header.strip_prefix('C').unwrap_or_default().splitn(3, ' ').skip(1);
        let size = parts.next().and_then(|size| size.parse::<u64>().ok());
        let (Some(size), Some(given)) = (size, parts.next()) else {
            return complain(line, "scp: protocol error").await;
        };
        let os = line.station.spec.os;
        let target = match os.directory(path) {
            Some(system) => os.file(&format!("{system}{given}")),
            None => os.file(path),
        };
        let Some(name) = target.filter(|_| size <= LARGEST) else {
            return complain(line, &format!("scp: {path}: cannot be written")).await;
        };
        agree(line).await?;
        let mut bytes = Vec::new();
        (&mut line.stream).take(size).read_to_end(&mut bytes).await?;
        agreed(line).await?;
        match line.station.apply(Operation::WriteFile { name, bytes }) {
            Reply::Done => agree(line).await?,
            _ => return complain(line, &format!("scp: {path}: No space left on device")).await,
        }
    }
}

/// A line of the protocol; `None` at the end.
async fn header(line: &mut Line) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let mut byte = [0];
    while line.stream.read(&mut byte).await? == 1 {
        match byte[0] {
            b'\n' => return Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            _ if text.len() >= LONGEST_LINE => return Err(io::ErrorKind::InvalidData.into()),
            other => text.push(other),
        }
    }
    Ok(None)
}

async fn agree(line: &mut Line) -> io::Result<()> {
    line.stream.write_all(&[0]).await?;
    line.stream.flush().await
}

/// The client's zero byte.
async fn agreed(line: &mut Line) -> io::Result<()> {
    match line.stream.read_u8().await? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn complain(line: &mut Line, reason: &str) -> io::Result<Ended> {
    line.stream.write_all(format!("\x01{reason}\n").as_bytes()).await?;
    line.stream.flush().await?;
    Ok(Ended::With(1))
}
