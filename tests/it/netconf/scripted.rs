//! Sessions with a peer that says exactly what a test writes down, and the lab's server with a client that does.

use super::*;
use crate::support;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HELLO: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">\
    <capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>]]>]]>";
const HELLO_1_1: &str = "<nc:hello xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><nc:capabilities><nc:capability>\n\
    urn:ietf:params:netconf:base:1.1\n</nc:capability></nc:capabilities><nc:session-id>7</nc:session-id></nc:hello>]]>]]>";

/// A session whose peer says all this at once, and whether it could be opened.
async fn hearing(said: &[u8]) -> Result<Netconf<DuplexStream>, Error> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    theirs.write_all(said).await.unwrap();
    // It listens on, so that what is not answered is silence and not an end.
    tokio::spawn(async move {
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await
    });
    let limits = Limits { read: Duration::from_millis(300), body: 1000, ..Limits::default() };
    Netconf::open(ours, "peer", limits, Budget::new(1 << 20)).await
}

/// What the first question comes to when this is all that the peer says.
async fn asked(said: &str) -> Result<String, Error> {
    let mut session = hearing(said.as_bytes()).await?;
    session.rpc("ask", "<get/>").await.map(|reply| reply.root.children.iter().map(|child| child.name.clone()).collect())
}

fn reply(content: &str) -> String {
    format!("<rpc-reply message-id=\"1\" xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">{content}</rpc-reply>")
}

fn chunk(text: &str) -> String {
    format!("\n#{}\n{text}\n##\n", text.len())
}

#[tokio::test]
async fn hellos_are_read_or_refused() {
    let session = hearing(HELLO.as_bytes()).await.unwrap();
    assert_eq!(session.framing(), Framing::EndOfMessage);
    let session = hearing(HELLO_1_1.as_bytes()).await.unwrap();
    assert_eq!(session.framing(), Framing::Chunked);
    for (said, expected) in [
        ("<hello><capabilities><capability>urn:x</capability></capabilities></hello>]]>]]>", "NETCONF base 1.0 or 1.1"),
        ("<hello/>]]>]]>", "NETCONF base 1.0 or 1.1"),
        ("<rpc-reply/>]]>]]>", "expected a NETCONF hello"),
        ("<!DOCTYPE hello [<!ENTITY a \"b\">]><hello/>]]>]]>", "DOCTYPE"),
        ("router>\r\n% Unknown subsystem]]>]]>", "expected a NETCONF hello"),
        ("\n#3\nabc\n##\n", "nothing came for 300ms"),
        ("<hello>", "nothing came for 300ms"),
    ] {
        let error = hearing(said.as_bytes()).await.unwrap_err().to_string();
        assert!(error.starts_with("open NETCONF: ") && error.contains(expected), "{said}: {error}");
    }
    let endless = vec![b' '; (1 << 20) + 100];
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { theirs.write_all(&endless).await });
    let error = Netconf::open(ours, "peer", limits(), Budget::new(1 << 20)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_576, .. }), "{error}");
}

#[tokio::test]
async fn answers_are_held_to_the_rules() {
    let old = |text: &str| format!("{HELLO}{text}]]>]]>");
    let new = |text: &str| format!("{HELLO_1_1}{}", chunk(text));
    assert_eq!(asked(&old(&reply("<ok/>"))).await.unwrap(), "ok");
    assert_eq!(asked(&new(&reply("<data/>"))).await.unwrap(), "data");
    assert_eq!(asked(&new(&format!("<?xml version=\"1.0\"?>\n{}\n", reply("<ok/>")))).await.unwrap(), "ok");
    let warning = "<rpc-error><error-tag>x</error-tag><error-severity>warning</error-severity></rpc-error>";
    assert_eq!(asked(&new(&reply(&format!("{warning}<data/>")))).await.unwrap(), "rpc-errordata");

    for (said, expected) in [
        (new("<rpc-reply message-id=\"2\"/>"), "expected the message-id of the question, got \"2\" for 1"),
        (new("<rpc-reply/>"), "expected the message-id of the question, got none"),
        (new("<notification/>"), "expected an rpc-reply"),
        (new("<rpc-reply message-id=\"1\"><a></rpc-reply>"), "expected </a>"),
        (new(&reply(&"x".repeat(1000))), "larger than 1000 bytes"),
        (format!("{HELLO_1_1}\n#4294967295\n<"), "larger than 1000 bytes"),
        (format!("{HELLO_1_1}{}]]>]]>", reply("<ok/>")), "expected NETCONF framing, got byte 0x3c in a chunk's header"),
        (format!("{HELLO_1_1}]]>]]>"), "expected NETCONF framing, got the end-of-message mark"),
        (format!("{HELLO_1_1}\n#1\n<"), "nothing came for 300ms"),
        (
            new(&reply(
                "<rpc-error><error-type>protocol</error-type><error-tag>unknown-element</error-tag>\
                 <error-info><bad-element>rum-ack</bad-element></error-info></rpc-error>",
            )),
            "the device declined (unknown-element): rum-ack",
        ),
        (
            new("<rpc-reply><rpc-error><error-tag>malformed-message</error-tag></rpc-error></rpc-reply>"),
            "the device declined (malformed-message): no reason given",
        ),
    ] {
        let error = asked(&said).await.unwrap_err().to_string();
        assert!(error.starts_with("ask: ") && error.contains(expected), "{expected:?}: {error}");
    }
    let busy = reply(
        "<rpc-error><error-tag>resource-denied</error-tag><error-message>\u{1b}[2Jtoo many</error-message></rpc-error>",
    );
    let error = asked(&new(&busy)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().ends_with("\\u{1b}[2Jtoo many"), "{error}");
}

#[tokio::test]
async fn a_release_before_files_is_not_asked_for_one() {
    let module = "http://cisco.com/ns/yang/cisco-smart-license?module=cisco-smart-license&amp;revision=2019-07-01";
    let hello = HELLO.replace("</capabilities>", &format!("<capability>{module}</capability></capabilities>"));
    let mut session = IosXe::new(hearing(hello.as_bytes()).await.unwrap());
    let error = session.save_usage(Usage::All, "flash:a").await.unwrap_err();
    assert!(matches!(error, Error::NotOffered { .. }) && error.to_string().contains("17.4.1"), "{error}");
    // Files of the device need another model, of which a hello tells nothing.
    assert!(matches!(session.delete("flash:a").await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn saving_and_importing_may_take_longer_than_an_answer() {
    let limits = Limits { read: Duration::from_millis(100), slow: Duration::from_secs(20), ..limits() };
    let late = async |question: &str| {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(HELLO.as_bytes()).await.unwrap();
        tokio::spawn(async move {
            // It listens until nothing more comes for three times as long as an answer may take.
            let mut heard = [0; 4096];
            while let Ok(Ok(1..)) = tokio::time::timeout(3 * limits.read, theirs.read(&mut heard)).await {}
            drop(theirs.write_all(format!("{}]]>]]>", reply("<ok/>")).as_bytes()).await);
            theirs.read(&mut heard).await
        });
        let mut session = IosXe::new(Netconf::open(ours, "peer", limits, Budget::new(1 << 20)).await.unwrap());
        match question {
            "save" => session.save_usage(Usage::All, "flash:a").await,
            "import" => session.import_file("flash:a").await,
            _ => session.delete("flash:a").await,
        }
    };
    for question in ["save", "import"] {
        let answered = late(question).await;
        assert!(!matches!(answered, Err(Error::Unreachable { .. })), "{question}: {answered:?}");
    }
    let error = late("delete").await.unwrap_err().to_string();
    assert!(error.contains("nothing came for 100ms"), "{error}");
}

#[tokio::test]
async fn a_dropped_question_ends_the_session() {
    let mut session = hearing(HELLO.as_bytes()).await.unwrap();
    let question = session.rpc("ask", "<get/>");
    assert!(tokio::time::timeout(Duration::from_millis(20), question).await.is_err());
    let error = session.rpc("ask", "<get/>").await.unwrap_err().to_string();
    assert!(
        error.contains("the session is over"),
        "an answer to the first must not be taken for one to the second: {error}"
    );
    let mut session = hearing(HELLO.as_bytes()).await.unwrap();
    assert!(matches!(session.rpc("ask", "<a>]]>]]></a>").await, Err(Error::Ours { .. })));
}

/// Says this to the lab's server and hears everything until it ends.
async fn told(device: &Handle, said: &[u8]) -> String {
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let device = device.clone();
    let served = tokio::spawn(async move { device.netconf(theirs).await });
    ours.write_all(said).await.unwrap();
    ours.shutdown().await.unwrap();
    let mut heard = String::new();
    ours.read_to_string(&mut heard).await.unwrap();
    drop(served.await.unwrap());
    heard.split_once("]]>]]>").map(|(_, after)| after.to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn the_labs_server_names_what_is_wrong() {
    let (_fleet, device) = fleet_of(specs::switch("edge-001")).await;
    let rpc = |content: &str| {
        format!(
            "<rpc xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"a&quot;&lt;1\" x=\"y\">{content}</rpc>"
        )
    };
    for (said, expected) in [
        (rpc("<get>"), "<error-tag>malformed-message</error-tag>"),
        (rpc("<edit-config/>"), "<error-tag>operation-not-supported</error-tag>"),
        (rpc("<copy xmlns=\"urn:nowhere\"/>"), "<bad-namespace>urn:nowhere</bad-namespace>"),
        (rpc("<get><filter type=\"xpath\"/></get>"), "<error-tag>bad-attribute</error-tag>"),
        (
            rpc("<import-file xmlns=\"http://cisco.com/ns/yang/cisco-smart-license\"/>"),
            "<error-tag>missing-element</error-tag>",
        ),
        (rpc("<close-session/>"), "message-id=\"a&quot;&lt;1\" x=\"y\"><ok/>"),
        ("<rpc xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><get/></rpc>".to_owned(), "<bad-attribute>message-id"),
        ("hello?".to_owned(), "<error-tag>malformed-message</error-tag>"),
    ] {
        let heard = told(&device, format!("{HELLO}{said}]]>]]>").as_bytes()).await;
        assert!(heard.starts_with("<rpc-reply ") && heard.contains(expected), "{said}: {heard}");
        let client = HELLO.replace("base:1.0<", "base:1.1<");
        let heard = told(&device, format!("{client}{}", chunk(&said)).as_bytes()).await;
        assert!(heard.starts_with("\n#") && heard.contains(expected), "{said}: {heard}");
    }
    let numbered = HELLO.replace("</capabilities>", "</capabilities><session-id>4</session-id>");
    assert_eq!(told(&device, format!("{numbered}{}]]>]]>", rpc("<get/>")).as_bytes()).await, "");
    let matching = "<get><filter type=\"subtree\"><licensing xmlns=\"http://cisco.com/ns/yang/cisco-smart-license\"><state>\
        <state-info><usage><license-name>absent</license-name></usage><udi><sn/></udi></state-info></state></licensing></filter></get>";
    let heard = told(&device, format!("{HELLO}{}]]>]]>", rpc(matching)).as_bytes()).await;
    let expected = format!("<state><state-info><udi><sn>{}</sn></udi></state-info></state>", device.spec().udi().sn);
    assert!(heard.contains(&expected), "{heard}");
}

/// The requests that were put together from the published models are understood, with their framing.
#[tokio::test]
async fn requests_written_from_the_models_are_understood() {
    let Some(captures) = support::captures() else { return };
    let read = |name: &str| std::fs::read_to_string(captures.join("drafts/iosxe").join(name)).unwrap();
    let (fleet, device) = fleet_of(specs::switch("edge-001")).await;
    fleet.clock().advance(DAY);
    let mut said = read("netconf-client-hello.xml").trim_end().to_owned();
    let (copy, delete) = {
        let both = read("netconf-copy-and-delete.xml");
        let at = both.rfind("<rpc ").unwrap();
        (both[..at].to_owned(), both[at..].to_owned())
    };
    let copy = copy.replace("https://collector.example/rum/slp-rum-1.xml", "bootflash:slp-ack-1.xml");
    for request in [
        read("netconf-get-slp-state.xml"),
        read("netconf-rum-save-unreported.xml"),
        copy,
        read("netconf-import-file.xml"),
        delete,
    ] {
        said.push_str(&chunk(&request));
    }
    said.push_str(&read("netconf-chunked-frame.bin"));
    let heard = told(&device, said.as_bytes()).await;
    let replies: Vec<&str> = heard.split("<rpc-reply").skip(1).collect();
    let holds =
        ["<rum-ack>", "<return-code", "RPC request successful", ">notsupported<", "RPC request successful", "<ok/>"];
    assert_eq!(replies.len(), holds.len(), "{heard}");
    for ((reply, expected), id) in replies.iter().zip(holds).zip([101, 102, 104, 103, 105, 106]) {
        let id = format!("message-id=\"{id}\"");
        assert!(reply.contains(&id) && reply.contains(expected), "{id} {expected}: {reply}");
    }
    let saved = read("netconf-rum-save-unreported-reply.xml");
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    assert!(
        plain(&saved).contains(&plain("<return-code xmlns=\"http://cisco.com/ns/yang/cisco-smart-license\">success<"))
    );
    assert!(replies[1].contains("<return-code xmlns=\"http://cisco.com/ns/yang/cisco-smart-license\">success<"));
}
