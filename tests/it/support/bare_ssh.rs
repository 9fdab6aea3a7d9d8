//! An SSH server as bare as can be, for what no library's server says: one key exchange, then the client's login, of
//! which each password is told and answered by whatever bytes the test names.

use ring::aead::chacha20_poly1305_openssh::{OpeningKey, SealingKey, TAG_LEN};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 §8) with its prompt.
pub fn change_request() -> Vec<u8> {
    [vec![60], string(b"Your password has expired."), string(b"")].concat()
}

/// Takes connections one after the other. The passwords that were sent come out.
pub async fn start(answer: Vec<u8>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let (sender, passwords) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Ends when the client goes.
            let _: Option<()> = serve(socket, &answer, &sender).await;
        }
    });
    (authority, passwords)
}

async fn serve(mut socket: TcpStream, answer: &[u8], passwords: &mpsc::UnboundedSender<String>) -> Option<()> {
    let ours = "SSH-2.0-bare";
    socket.write_all(format!("{ours}\r\n").as_bytes()).await.ok()?;
    let mut theirs = Vec::new();
    while !theirs.ends_with(b"\n") {
        theirs.push(socket.read_u8().await.ok()?);
    }
    let mut wire = Wire { socket, sent: 0, got: 0, keys: None };
    let lists = [
        "curve25519-sha256",
        "ssh-ed25519",
        "chacha20-poly1305@openssh.com",
        "chacha20-poly1305@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    let lists: Vec<u8> = lists.iter().flat_map(|list| string(list.as_bytes())).collect();
    let our_init = [&[20], &[7; 16][..], &lists, &[0; 5]].concat();
    wire.send(&our_init).await?;
    let their_init = wire.receive().await?;
    let asked = wire.receive().await?;
    let their_point = asked.get(5..37)?;

    let random = SystemRandom::new();
    let pair = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let host_key = [string(b"ssh-ed25519"), string(pair.public_key().as_ref())].concat();
    let secret = EphemeralPrivateKey::generate(&X25519, &random).unwrap();
    let our_point = secret.compute_public_key().unwrap();
    let shared = agree_ephemeral(secret, &UnparsedPublicKey::new(&X25519, their_point), <[u8]>::to_vec).unwrap();
    let shared = integer(&shared);
    let hashed = [
        string(theirs.trim_ascii_end()),
        string(ours.as_bytes()),
        string(&their_init),
        string(&our_init),
        string(&host_key),
        string(their_point),
        string(our_point.as_ref()),
        shared.clone(),
    ];
    let hash = digest(&SHA256, &hashed.concat());
    let hash = hash.as_ref();
    let signature = [string(b"ssh-ed25519"), string(pair.sign(hash).as_ref())].concat();
    wire.send(&[vec![31], string(&host_key), string(our_point.as_ref()), string(&signature)].concat()).await?;
    wire.send(&[21]).await?;
    while wire.receive().await? != [21] {}
    let key = |letter: u8| -> [u8; 64] {
        let first = digest(&SHA256, &[&shared, hash, &[letter], hash].concat());
        let second = digest(&SHA256, &[&shared, hash, first.as_ref()].concat());
        [first.as_ref(), second.as_ref()].concat().try_into().unwrap()
    };
    wire.keys = Some((OpeningKey::new(&key(b'C')), SealingKey::new(&key(b'D'))));

    loop {
        let message = wire.receive().await?;
        match message.first()? {
            5 => wire.send(&[vec![6], string(b"ssh-userauth")].concat()).await?,
            50 => {
                let mut fields = Fields(message.get(1..)?);
                let (_user, _service, method) = (fields.next()?, fields.next()?, fields.next()?);
                if method == b"password" {
                    fields.0 = fields.0.get(1..)?;
                    drop(passwords.send(String::from_utf8_lossy(fields.next()?).into_owned()));
                    if !answer.is_empty() {
                        wire.send(answer).await?;
                    }
                } else {
                    wire.send(&[vec![51], string(b"password"), vec![0]].concat()).await?;
                }
            }
            _ => {}
        }
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A positive number as SSH writes it: no leading zero but the one that keeps it positive.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let sign: &[u8] = if digits.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    string(&[sign, digits].concat())
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(field)
    }
}

struct Wire {
    socket: TcpStream,
    sent: u32,
    got: u32,
    keys: Option<(OpeningKey, SealingKey)>,
}

impl Wire {
    async fn send(&mut self, payload: &[u8]) -> Option<()> {
        // The length counts only where it is not sealed with the rest.
        let counted = if self.keys.is_some() { 1 } else { 5 };
        let padding = 4 + (8 - (counted + payload.len() + 4) % 8) % 8;
        let length = u32::try_from(1 + payload.len() + padding).ok()?;
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).ok()?);
        packet.extend(payload);
        packet.extend(vec![0; padding]);
        if let Some((_, sealing)) = &self.keys {
            let mut tag = [0; TAG_LEN];
            sealing.seal_in_place(self.sent, &mut packet, &mut tag);
            packet.extend(tag);
        }
        self.sent += 1;
        self.socket.write_all(&packet).await.ok()
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 4];
        self.socket.read_exact(&mut head).await.ok()?;
        let length = match &self.keys {
            Some((opening, _)) => opening.decrypt_packet_length(self.got, head),
            None => head,
        };
        let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length < 1 << 20)?;
        let mut packet = vec![0; length];
        self.socket.read_exact(&mut packet).await.ok()?;
        if let Some((opening, _)) = &self.keys {
            let mut tag = [0; TAG_LEN];
            self.socket.read_exact(&mut tag).await.ok()?;
            let mut sealed = [&head, packet.as_slice()].concat();
            packet = opening.open_in_place(self.got, &mut sealed, &tag).ok()?.to_vec();
        }
        self.got += 1;
        let padding = usize::from(*packet.first()?);
        Some(packet.get(1..packet.len().checked_sub(padding)?)?.to_vec())
    }
}
