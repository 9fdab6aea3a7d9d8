//! SSH against OpenSSH's own server: algorithms, host keys, logins, a played device, files.

use std::time::Duration;

use slp_collector::device::flash::{FileLimits, Md5};
use slp_collector::device::own_file::{Folder, OwnFile};
use slp_collector::device::sftp::Sftp;
use slp_collector::device::shell::{Command, IOS_XE, Opening, Shell, ShellLimits};
use slp_collector::device::ssh::{HostPin, HostTrust, Ssh, SshLogin, SshTarget};
use slp_collector::device::{Complaint, Dialect, Error, Overrides, Refusal, inline, scp};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::settings::{Os, Task};
use tokio::io::AsyncReadExt;

use crate::support::sshd::Sshd;

const MODERN: &str = "HostKey FOLDER/ed25519\nHostKey FOLDER/ecdsa\nHostKey FOLDER/rsa\n";

const OLD: &str = "HostKey FOLDER/rsa\nKexAlgorithms diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\n\
                   PubkeyAcceptedAlgorithms +ssh-rsa\nCiphers aes128-cbc,aes128-ctr\nMACs hmac-sha1\n";

/// Sessions run on any thread: checked by the compiler.
fn sendable<T: Send>(future: T) -> T {
    future
}

/// What a command prints, and how it ended.
async fn printed(ssh: &Ssh, command: &str) -> (String, Option<u32>) {
    let mut channel = ssh.exec(command).await.unwrap();
    let mut text = String::new();
    channel.read_to_string(&mut text).await.unwrap();
    (text, channel.finish().await.exit)
}

#[tokio::test]
async fn modern_algorithms_come_first_and_everything_is_told() {
    let Some(mut sshd) = Sshd::start(&[], MODERN).await else { return };
    let ssh = sendable(Ssh::connect(&sshd.target())).await.unwrap();
    let agreed = ssh.negotiated().clone();
    assert!(agreed.server.starts_with("SSH-2.0-OpenSSH_"), "{agreed:?}");
    assert!(agreed.kex.contains("25519"), "{agreed:?}");
    assert_eq!(agreed.host_key_algorithm, "ssh-ed25519");
    assert_eq!(agreed.cipher, "chacha20-poly1305@openssh.com");
    assert_eq!(agreed.openssh_fingerprint(), sshd.fingerprint("ed25519"));
    assert_eq!(agreed.outdated(), Vec::<&str>::new());
    assert_eq!(printed(&ssh, "echo out; echo err >&2; exit 3").await, ("out\n".to_owned(), Some(3)));
    // The connection serves one channel after another.
    assert_eq!(printed(&ssh, "echo again").await, ("again\n".to_owned(), Some(0)));
    ssh.close().await;
    let log = sshd.connection().await;
    assert!(log.contains("Accepted publickey"), "{log}");
    assert_eq!(log.matches("method publickey").count(), 2, "asked, then signed: {log}");
}

#[tokio::test]
async fn the_old_set_is_spoken_where_nothing_else_is() {
    let Some(sshd) = Sshd::start(&[], OLD).await else { return };
    for key in ["user", "user-rsa"] {
        let login = sshd.login(key);
        let ssh = Ssh::connect(&SshTarget { login, ..sshd.target() }).await.unwrap();
        let agreed = ssh.negotiated();
        assert_eq!(agreed.kex, "diffie-hellman-group14-sha1");
        assert_eq!((agreed.host_key_algorithm.as_str(), agreed.host_key_type.as_str()), ("ssh-rsa", "ssh-rsa"));
        // Ours comes first: the better of the two.
        assert_eq!(agreed.cipher, "aes128-ctr");
        assert_eq!((agreed.mac_in.as_str(), agreed.mac_out.as_str()), ("hmac-sha1", "hmac-sha1"));
        assert_eq!(agreed.outdated(), ["diffie-hellman-group14-sha1", "ssh-rsa", "hmac-sha1"]);
        assert_eq!(printed(&ssh, "echo old").await.0, "old\n");
        ssh.close().await;
    }
    let only_cbc = OLD.replace(",aes128-ctr", "");
    let Some(sshd) = Sshd::start(&[], &only_cbc).await else { return };
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    assert_eq!(ssh.negotiated().cipher, "aes128-cbc");
    assert_eq!(printed(&ssh, "head -c 300000 /dev/zero | tr '\\0' x").await.0.len(), 300_000);
    ssh.close().await;
}

/// Long after it was wise, 1024 bits were what `crypto key generate rsa` proposed.
#[tokio::test]
async fn a_short_rsa_host_key_is_taken() {
    let Some(sshd) = Sshd::start(&[], &OLD.replace("FOLDER/rsa", "FOLDER/short-rsa\nRequiredRSASize 1024")).await
    else {
        return;
    };
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    assert_eq!(ssh.negotiated().openssh_fingerprint(), sshd.fingerprint("short-rsa"));
    ssh.close().await;
}

#[tokio::test]
async fn an_rsa_user_key_signs_as_the_server_likes() {
    let Some(sshd) = Sshd::start(&[], MODERN).await else { return };
    let ssh = Ssh::connect(&SshTarget { login: sshd.login("user-rsa"), ..sshd.target() }).await.unwrap();
    assert_eq!(printed(&ssh, "echo rsa").await.0, "rsa\n");
    ssh.close().await;
}

#[tokio::test]
async fn the_weakest_set_must_be_asked_for() {
    for (weak, kind) in
        [("KexAlgorithms diffie-hellman-group1-sha1\n", "key exchange"), ("Ciphers 3des-cbc\n", "cipher")]
    {
        let Some(sshd) = Sshd::start(&[], &format!("HostKey FOLDER/rsa\n{weak}")).await else { return };
        let error = Ssh::connect(&sshd.target()).await.unwrap_err();
        let Error::NoCommonAlgorithm { kind: told, theirs, remedy, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*told, kind);
        assert!(weak.contains(theirs.split(',').next().unwrap()) && remedy.contains("legacy = true"), "{error}");
        let ssh = Ssh::connect(&SshTarget { legacy: true, ..sshd.target() }).await.unwrap();
        assert_eq!(printed(&ssh, "echo weak").await.0, "weak\n");
        assert!(!ssh.negotiated().outdated().is_empty());
        ssh.close().await;
    }
    let Some(sshd) = Sshd::start(&[], "HostKey FOLDER/rsa\nMACs umac-64@openssh.com\nCiphers aes128-ctr\n").await
    else {
        return;
    };
    let error = Ssh::connect(&sshd.target()).await.unwrap_err();
    assert!(matches!(&error, Error::NoCommonAlgorithm { kind: "MAC", remedy, .. } if !remedy.contains("legacy")));
}

#[tokio::test]
async fn a_pinned_key_is_found_again_and_another_one_stops_before_the_login() {
    let Some(mut sshd) = Sshd::start(&[], MODERN).await else { return };
    let [rsa, ed25519] = ["rsa", "ed25519"].map(|kind| {
        let told = sshd.fingerprint(kind);
        let digest = data_encoding::BASE64_NOPAD.decode(told.strip_prefix("SHA256:").unwrap().as_bytes()).unwrap();
        Sha256(digest.try_into().unwrap())
    });
    // The server would rather show its Ed25519 key; the pin's type brings the RSA one.
    let pin = HostPin { fingerprint: rsa, key_type: Some("ssh-rsa".to_owned()) };
    let pinned = SshTarget { trust: HostTrust::Pinned(pin.clone()), ..sshd.target() };
    let ssh = Ssh::connect(&pinned).await.unwrap();
    assert_eq!(ssh.negotiated().host_key_algorithm, "rsa-sha2-512");
    assert_eq!(ssh.negotiated().pin(), pin);
    ssh.close().await;
    assert!(sshd.connection().await.contains("userauth-request"));
    let other = HostPin { fingerprint: Sha256::of(b"another"), key_type: None };
    let error = Ssh::connect(&SshTarget { trust: HostTrust::Pinned(other), ..sshd.target() }).await.unwrap_err();
    let Error::ChangedHostKey { pinned, shown, algorithm, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*pinned, *shown, algorithm.as_str()), (Sha256::of(b"another"), ed25519, "ssh-ed25519"));
    let log = sshd.connection().await;
    assert!(log.contains("KEX") && !log.contains("userauth-request"), "{log}");
}

#[tokio::test]
async fn a_refused_key_is_offered_once_and_the_password_is_kept() {
    let Some(mut sshd) =
        Sshd::start(&[], &format!("{MODERN}AuthorizedKeysFile none\nPasswordAuthentication yes\n")).await
    else {
        return;
    };
    let login = SshLogin { password: Some("right".to_owned()), ..sshd.login("user") };
    let error = Ssh::connect(&SshTarget { login, ..sshd.target() }).await.unwrap_err();
    let Error::LoginRefused { refusal: Refusal::Ssh { method, offered }, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*method, "public key");
    assert_eq!(offered, &["publickey", "password"]);
    let log = sshd.connection().await;
    assert_eq!((log.matches("method publickey").count(), log.matches("method password").count()), (1, 0), "{log}");
    let nothing = SshLogin { username: "nobody".to_owned(), ..SshLogin::default() };
    let error = Ssh::connect(&SshTarget { login: nothing, ..sshd.target() }).await.unwrap_err();
    assert!(matches!(error, Error::NoLogin { .. }), "{error:?}");
}

/// A password needs an account that has one: here it has one in a mount namespace of its own.
#[tokio::test]
async fn a_password_is_sent_once() {
    let shadow = std::fs::read_to_string("/etc/shadow").unwrap_or_default();
    let told = std::process::Command::new("unshare").args(["-m", "true"]).status();
    if shadow.is_empty() || !told.is_ok_and(|status| status.success()) {
        println!("skipped: not root, or no mount namespaces");
        return;
    }
    let mut crypt = std::process::Command::new("openssl");
    let hash = crypt.args(["passwd", "-6", "-salt", "slpc", "right password"]).output().unwrap();
    let hash = String::from_utf8(hash.stdout).unwrap();
    let shadow: Vec<String> = shadow
        .lines()
        .map(|line| match line.strip_prefix("root:") {
            Some(_) => format!("root:{}:19000:0:99999:7:::", hash.trim()),
            None => line.to_owned(),
        })
        .collect();
    let bind = "mount --bind FOLDER/shadow /etc/shadow && exec \"$0\" \"$@\"";
    let configuration = format!("{MODERN}PasswordAuthentication yes\n");
    let files = [("shadow", shadow.join("\n") + "\n")];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(mut sshd) = Sshd::start_within(&["unshare", "-m", "sh", "-c", bind], &files, &configuration).await else {
        return;
    };
    let login = |password: &str| SshLogin {
        username: "root".to_owned(),
        password: Some(password.to_owned()),
        private_key: None,
    };
    let ssh = Ssh::connect(&SshTarget { login: login("right password"), ..sshd.target() }).await.unwrap();
    assert_eq!(printed(&ssh, "echo in").await.0, "in\n");
    ssh.close().await;
    assert!(sshd.connection().await.contains("Accepted password"));
    let error = Ssh::connect(&SshTarget { login: login("wrong password"), ..sshd.target() }).await.unwrap_err();
    assert!(matches!(&error, Error::LoginRefused { refusal: Refusal::Ssh { method: "password", .. }, .. }));
    assert!(!format!("{error} {error:?}").contains("wrong password"));
    let log = sshd.connection().await;
    assert_eq!(log.matches("Failed password").count(), 1, "{log}");
}

/// Plays a device: a greeting that asks for the cursor, echo by the terminal, a pager, log lines.
const DEVICE: &str = r#"
stty -echo
printf 'Authorised users only#\n\033[6n'
IFS= read -r -d R cursor
case "$cursor" in *'[1;1') ;; *) echo "no cursor: $cursor"; exit 1 ;; esac
stty echo
printf 'r1#'
while IFS= read -r line; do
    case "$line" in
    "" | "terminal length 0" | "terminal width 0" | "terminal no monitor") ;;
    "show clock")
        printf 'Load for five secs: 1%%/0%%; one minute: 0%%; five minutes: 0%%\n'
        printf 'No time source, *15:09:55.102 UTC Wed Nov 10 2021\n\n*15:09:55.102 UTC Wed Nov 10 2021\n'
        printf '*Nov 10 15:09:55.102: %%SYS-5-CONFIG_I: Configured from console\n\033[1mdone\033[0m\n' ;;
    "show paged")
        stty -echo
        printf 'A\n --More-- '
        IFS= read -r -n 1 -d '' key
        printf '\b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\b  B\nr2#\nC\n'
        stty echo ;;
    "verify /md5 "*)
        printf 'verify /md5 (%s) = %s\n' "${line#verify /md5 }" "$(md5sum <"${line#verify /md5 }" | cut -d' ' -f1)" ;;
    "more "*) cat "${line#more }" ;;
    "delete /force "*) rm "${line#delete /force }" ;;
    "show never") IFS= read -r -d X line ;;
    *) printf '      ^\n%% Invalid input detected at %s marker.\n\n' "'^'" ;;
    esac
    printf 'r1#'
done
"#;

async fn played() -> Option<Sshd> {
    let force = format!("{MODERN}ForceCommand bash FOLDER/device\n");
    Sshd::start(&[("device", DEVICE)], &force).await
}

async fn shell(ssh: &Ssh) -> Shell<slp_collector::device::ssh::Channel> {
    let limits = ShellLimits { doubt: Duration::from_millis(200), ..ShellLimits::default() };
    let dialect = Dialect::of(Os::IosXe, Overrides::new());
    let opening = Opening { address: ssh.address(), setup: dialect.setup(), enable: None, limits };
    sendable(Shell::open(sendable(ssh.shell()).await.unwrap(), &IOS_XE, opening)).await.unwrap()
}

#[tokio::test]
async fn a_conversation_goes_through_a_real_terminal() {
    let Some(mut sshd) = played().await else { return };
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    let mut shell = shell(&ssh).await;
    assert_eq!(shell.prompt(), "r1#");
    assert_eq!(sendable(shell.run("show clock")).await.unwrap().text, "*15:09:55.102 UTC Wed Nov 10 2021\ndone\n");
    assert_eq!(shell.run("show paged").await.unwrap().text, "A\n  B\nr2#\nC\n");
    let error = shell.run("show nonsense").await.unwrap_err();
    assert!(matches!(error, Error::CommandRefused { complaint: Complaint::Unknown, .. }), "{error:?}");
    let error = shell.run(Command::new("show never").within(Duration::from_millis(100))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    shell.close().await;
    ssh.close().await;
    let log = sshd.connection().await;
    assert!(log.contains("Received disconnect"), "{log}");
}

#[tokio::test]
async fn a_file_is_read_inline_and_proved_and_deleted() {
    let Some(sshd) = played().await else { return };
    let path = sshd.folder.path().to_str().unwrap().to_owned() + "/";
    let folder = Folder::try_from(path.as_str()).unwrap();
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    let mut shell = shell(&ssh).await;
    let dialect = Dialect::of(Os::IosXe, Overrides::new());
    let long = format!("<smartLicense>{}\nr1#\n% Invalid input\n</smartLicense>", "<RUMReport/>".repeat(5000));
    for text in [format!("{long}\n"), long.clone(), long.replace('\n', "\r\n"), "\n".to_owned()] {
        let file = OwnFile::fresh().unwrap();
        let path = file.within(&folder);
        std::fs::write(&path, &text).unwrap();
        let line = |task| dialect.ladder(task, None)[0].replace("{file}", &path);
        let told = sendable(shell.run(line(Task::Digest).as_str())).await.unwrap();
        let raw = sendable(shell.run_raw(line(Task::Print).as_str())).await.unwrap();
        let read = inline::prove(&raw, Md5::told(&told.text).unwrap()).unwrap();
        assert_eq!(Md5::of(&read), Md5::of(text.as_bytes()));
        sendable(shell.run(line(Task::Delete).as_str())).await.unwrap();
        assert!(!std::fs::exists(&path).unwrap());
    }
    shell.close().await;
    ssh.close().await;
}

#[tokio::test]
async fn files_go_both_ways_over_scp_and_sftp() {
    let Some(mut sshd) = Sshd::start(&[], &format!("{MODERN}Subsystem sftp internal-sftp\n")).await else { return };
    let path = sshd.folder.path().to_str().unwrap().to_owned() + "/";
    let folder = Folder::try_from(path.as_str()).unwrap();
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    let limits = FileLimits { size: 1 << 20, ..FileLimits::default() };
    let sftp = sendable(Sftp::open(&ssh, limits)).await.unwrap();
    for length in [0, 1, 100_000, 1 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at: usize| (at % 251) as u8).collect();
        let file = OwnFile::fresh().unwrap();
        let path = file.within(&folder);
        sendable(scp::put(&ssh, &folder, &file, &bytes, limits)).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(sendable(scp::get(&ssh, &folder, &file, limits)).await.unwrap(), bytes);
        assert_eq!(sftp.size(&folder, &file).await.unwrap(), Some(length as u64));
        assert_eq!(sendable(sftp.get(&folder, &file)).await.unwrap(), bytes);
        sftp.remove(&folder, &file).await.unwrap();
        assert_eq!(sftp.size(&folder, &file).await.unwrap(), None);
        sendable(sftp.put(&folder, &file, &bytes)).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        sftp.remove(&folder, &file).await.unwrap();
        sftp.remove(&folder, &file).await.unwrap();
    }
    let large = OwnFile::fresh().unwrap();
    let path = large.within(&folder);
    std::fs::write(&path, vec![0; (1 << 20) + 1]).unwrap();
    assert!(matches!(scp::get(&ssh, &folder, &large, limits).await, Err(Error::TooLarge { .. })));
    assert!(matches!(sftp.get(&folder, &large).await, Err(Error::TooLarge { .. })));
    let missing = OwnFile::fresh().unwrap();
    let refused = |error: Error| matches!(error, Error::FileRefused { said, .. } if said.contains("o such file"));
    assert!(refused(scp::get(&ssh, &folder, &missing, limits).await.unwrap_err()));
    assert!(refused(sftp.get(&folder, &missing).await.unwrap_err()));
    let directory = OwnFile::fresh().unwrap();
    std::fs::create_dir(directory.within(&folder)).unwrap();
    let error = scp::get(&ssh, &folder, &directory, limits).await.unwrap_err();
    assert!(matches!(error, Error::FileRefused { .. }), "{error:?}");
    sftp.close().await;
    ssh.close().await;
    sshd.connection().await;
}

#[tokio::test]
async fn what_a_server_has_not_is_told() {
    let Some(sshd) = Sshd::start(
        &[("device", "echo 'Administratively disabled.'")],
        &format!("{MODERN}ForceCommand sh FOLDER/device\n"),
    )
    .await
    else {
        return;
    };
    let ssh = Ssh::connect(&sshd.target()).await.unwrap();
    let error = Sftp::open(&ssh, FileLimits::default()).await.err().unwrap();
    assert!(matches!(error, Error::NotOffered { .. }), "{error:?}");
    let (folder, file) = (Folder::try_from("bootflash:").unwrap(), OwnFile::fresh().unwrap());
    let error = scp::get(&ssh, &folder, &file, FileLimits::default()).await.unwrap_err();
    assert!(matches!(&error, Error::NotOffered { cause, .. } if cause == "Administratively disabled."), "{error:?}");
    ssh.close().await;
}
