//! The Unix socket: a question is one line of JSON, and so is each part of the answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Answers, Reply, Request, Tell, execute_asking, failed};
use crate::flow::rehearse::Leave;
use crate::flow::{House, person};

/// Answers questions on the socket. Each connection is one question, answered by the house as it is
/// configured then. Ends when nobody configures any more (the sender is gone) and every question
/// that was asked before is answered.
pub async fn serve(mut houses: watch::Receiver<Arc<House>>, listener: UnixListener) {
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            changed = houses.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
            Some(_) = conversations.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: others finish and give some back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let house = houses.borrow().clone();
        conversations.spawn(async move {
            if let Err(error) = converse(house, stream).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
    drop(listener);
    while conversations.join_next().await.is_some() {}
}

/// The largest question: answer files of a big fleet in base64.
const QUESTION_LIMIT: u64 = 512 << 20;
/// An answer may have a hundred thousand rows.
const READ_AT_ONCE: usize = 256 << 10;

async fn converse(house: Arc<House>, stream: UnixStream) -> std::io::Result<()> {
    // The kernel's word on who asks.
    let asker = stream.peer_cred().map(|peer| person::of_uid(peer.uid()))?;
    let (reader, mut writer) = stream.into_split();
    let mut question = String::new();
    let mut reader = BufReader::new(reader.take(QUESTION_LIMIT));
    reader.read_line(&mut question).await?;
    let (say, answers) = mpsc::unbounded_channel();
    // Lives as long as whoever asked may say something; then nobody answers any more.
    let listening = tokio::spawn(async move {
        let mut lines = reader.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(leave) = serde_json::from_str::<Leave>(&line) else { break };
            if say.send(leave).is_err() {
                break;
            }
        }
    });
    let (tell, mut told) = mpsc::unbounded_channel();
    let work = async move {
        let last = match serde_json::from_str::<Request>(&question) {
            Err(error) => Reply::Failed { input: true, reason: format!("not a question of this version: {error}") },
            Ok(request) => {
                let changes = request.changes();
                let house = Arc::new(house.asked_by(&asker));
                let answered = execute_asking(&house, request, &tell, answers).await;
                if changes {
                    house.stir();
                }
                answered.map_or_else(|error| failed(&error), Reply::Done)
            }
        };
        drop(tell.send(last));
    };
    let work = tokio::spawn(work);
    // Whoever asked may go away; what was begun is brought to its end all the same.
    let mut heard = Ok(());
    while let Some(reply) = told.recv().await {
        if heard.is_ok() {
            heard = write(&mut writer, &reply).await;
        }
    }
    listening.abort();
    work.await.map_err(std::io::Error::other)?;
    heard
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), line: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// Asks the daemon behind `socket`, and passes on what a person answers to its questions. `None`: no daemon listens
/// there.
pub async fn call(socket: &Path, request: &Request, tell: &Tell, answers: &mut Answers) -> std::io::Result<Option<()>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut question = serde_json::to_vec(request)?;
    question.push(b'\n');
    writer.write_all(&question).await?;
    let mut lines = BufReader::with_capacity(READ_AT_ONCE, reader).lines();
    let mut complete = false;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            Some(leave) = answers.recv() => {
                let mut line = serde_json::to_vec(&leave)?;
                line.push(b'\n');
                writer.write_all(&line).await?;
                continue;
            }
        };
        let Some(line) = line else { break };
        let reply: Reply = serde_json::from_str(&line)?;
        complete = matches!(reply, Reply::Done(_) | Reply::Failed { .. });
        drop(tell.send(reply));
    }
    if complete {
        return Ok(Some(()));
    }
    Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the daemon ended before its answer was complete"))
}
