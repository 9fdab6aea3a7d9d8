//! Client certificates: asked for by a web server that is not ours, and tried by `check-config --probe`.

use std::fs;

use slp_collector::cli::check_config;
use slp_collector::domain::fleet::HandoverStage;

use super::{World, number};
use crate::support::receiver::Receiver;
use crate::support::{certificate, nginx};

const OWN: &str = "client_cert_file = \"client.pem\"\nclient_key_file = \"client.key\"\n";

/// A world with two authorities, of the receiver and of its clients; and chain and key of the receiver.
fn world() -> (World, String, String) {
    let (chain, _, key, authority) = certificate("127.0.0.1");
    let (client, _, client_key, clients) = certificate("north");
    let world = World::new();
    let files = [("ca.pem", authority), ("clients.pem", clients), ("client.pem", client), ("client.key", client_key)];
    for (name, text) in files {
        world.write(name, &text);
    }
    (world, chain, key)
}

#[test]
fn nginx_with_mutual_tls_takes_it_once_we_show_our_certificate() {
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let (mut world, chain, key) = world();
        world.write("cert.pem", &chain);
        world.write("key.pem", &key);
        let folder = world.path("");
        let begin = nginx::main_part(&folder, "$status $http_idempotency_key $content_length $ssl_client_verify");
        let configuration = |port: u16| {
            format!(
                "{begin}  server {{ listen 127.0.0.1:{port} ssl; ssl_protocols {protocols};
    ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_client_certificate clients.pem; ssl_verify_client on;
    location = /in {{ return 201; }}
  }} }}"
            )
        };
        let Some(server) = nginx::Nginx::start(&folder, configuration) else { return };
        let post = format!("[snapshot.post]\nurl = \"https://127.0.0.1:{}/in\"\nca_file = \"ca.pem\"\n", server.port);
        world.start(&post);
        let file = world.publish(48);
        let (one, size) = (number(&file), fs::metadata(&file).unwrap().len());
        assert_eq!(world.pass(), [""; 0]);
        let refused = world.handover(&one).stage;
        assert!(matches!(refused, HandoverStage::Refused { login: false, .. }), "{refused}");
        assert!(refused.to_string().contains("No required SSL certificate was sent"), "{refused}");
        // Another configuration, another try.
        world.start(&format!("{post}{OWN}"));
        assert_eq!(world.pass(), [one.as_str()]);
        let log = nginx::log(&folder, 2);
        let (before, after) = (format!("400 {one} {size} NONE"), format!("201 {one} {size} SUCCESS"));
        assert_eq!(log.iter().filter(|line| **line == before).count(), 1, "{log:?}");
        assert_eq!(log.iter().filter(|line| **line == after).count(), 1, "{log:?}");
        world.stop();
    }
}

#[test]
fn the_probe_shakes_hands_and_posts_nothing() {
    let (world, chain, key) = world();
    let clients = fs::read_to_string(world.path("clients.pem")).unwrap();
    let mut receiver = world.runtime.block_on(Receiver::start_for(&chain, &key, &clients));
    let url = format!("[snapshot.post]\nurl = \"https://127.0.0.1:{}/in\"\n", receiver.port);
    let probe = |post: &str| {
        world.configure(post);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = check_config::Args { probe: true };
        let code = check_config::run(&args, &world.path("slp-collector.toml"), world.now(), &mut out, &mut err);
        let out = String::from_utf8(out).unwrap();
        (code, out.lines().filter(|line| line.starts_with("receiver")).collect::<Vec<_>>().join("\n"))
    };
    let (code, told) = probe(&format!("{url}ca_file = \"ca.pem\"\n{OWN}"));
    assert!(code == 0 && told.contains(": answers: TLS came about, with a client certificate"), "{told}");
    let (code, told) = probe(&format!("{url}ca_file = \"ca.pem\"\n"));
    assert!(code == 1 && told.contains("CertificateRequired"), "{told}");
    let (code, told) = probe(&format!("{url}ca_file = \"clients.pem\"\n{OWN}"));
    assert!(code == 1 && told.contains("is not trusted"), "{told}");
    let (code, told) = probe(&format!("{url}ca_file = \"ca.pem\"\n{}", OWN.replace("client.key", "token")));
    assert!(code == 1 && told.contains("no private key in PEM") && !told.contains("hunter2"), "{told}");
    assert!(receiver.is_quiet());
}
