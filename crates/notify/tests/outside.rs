//! What goes out, to targets that answer, fail, hang and lie: real sockets, real mail.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use safeconduct_credential::webhook::{WebhookHeaders, WebhookKey};
use safeconduct_directory::fetch::{self, Authority, FetchRules};
use safeconduct_model::{
    AccessChange, AccessEvent, AccessRequested, ActionName, Assurance, Binding, Body, Deputies,
    EntityRef, IdentityId, KeyedDigest, Record, RecordId, Standing, Timestamp,
};
use safeconduct_notify::{Answer, Channels, Counts, Grounds, Hears, Outbound, Request, Verb};
use safeconduct_service::{Awaited, Clock};
use safeconduct_wire::config::{Channel, Mail, NotifyConfig, ReachForm, Way};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

struct Outside;

impl Outbound for Outside {
    fn send<'a>(
        &'a self,
        request: Request,
        reach: &'a ReachForm,
    ) -> Awaited<'a, Result<Answer, String>> {
        Awaited::of(async move {
            let rules = FetchRules::of(&reach.private_networks, reach.http_on_loopback)?;
            let outgoing = fetch::Outgoing {
                verb: match request.verb {
                    Verb::Get => fetch::Verb::Get,
                    Verb::Post => fetch::Verb::Post,
                    Verb::Patch => fetch::Verb::Patch,
                    Verb::Delete => fetch::Verb::Delete,
                },
                url: request.url,
                headers: request.headers,
                body: request.body,
                answer_bytes_max: request.answer_bytes_max,
                within: request.within,
            };
            let answered = fetch::send(outgoing, &rules, &Authority::Web).await;
            let answered = answered.map_err(|error| error.to_string())?;
            let fetch::Answered { status, retry_after_s, body } = answered;
            Ok(Answer { status, retry_after_s, body })
        })
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A request that somebody made, of whose arguments a resource follows.
fn record(n: u32) -> Record {
    let id = RecordId::new(format!("acc_{n}")).unwrap();
    let agent = IdentityId::new("case-agent").unwrap();
    let asked = AccessRequested {
        binding: Binding {
            principal: EntityRef::new("Safeconduct::Agent", "case-agent").unwrap(),
            actors: vec![agent.clone()],
            on_behalf_of: Some(IdentityId::new("ada").unwrap()),
            task: None,
            intent: None,
            action: ActionName::new("mail.send").unwrap(),
            resources: BTreeSet::from([EntityRef::new(
                "Safeconduct::Address",
                "secret@rival.example",
            )
            .unwrap()]),
            arguments: KeyedDigest::from_bytes([7; 32]),
        },
        asked_by: agent,
        interested: BTreeSet::new(),
        approvers: "group:support\n<!channel>".into(),
        quorum: 1,
        ttl_s: 600,
        assurance: Assurance::Low,
        deputies: Deputies::Refused,
        standing: Standing::Refused,
        likeness: KeyedDigest::from_bytes([8; 32]),
        answer_by: NOW.plus_ms(900_000),
        ends_at: None,
        asked: BTreeSet::from([IdentityId::new("lea").unwrap()]),
    };
    let event = AccessEvent::Requested(Box::new(asked));
    Record {
        id: id.clone(),
        at: NOW,
        trace: None,
        parent: None,
        body: Body::AccessRequestChanged(Box::new(AccessChange {
            request: id,
            sequence: 0,
            event,
        })),
    }
}

/// One request of HTTP, its head in lower case.
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head)).to_owned()
    }
}

async fn read(stream: &mut TcpStream) -> Got {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await.unwrap() == 0 {
            break;
        }
    }
    // Values keep their case: only names are made small.
    let small = head.lines().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.to_owned(),
    });
    let got = Got { head: small.collect::<Vec<_>>().join("\n"), body: Vec::new() };
    let mut body = vec![0; got.header("content-length").parse().unwrap()];
    reader.read_exact(&mut body).await.unwrap();
    Got { body, ..got }
}

/// A target that answers its n-th request with the n-th status; 0 is silence.
async fn target(statuses: &'static [u16]) -> (String, mpsc::UnboundedReceiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let n = count.fetch_add(1, Ordering::SeqCst);
            let status = *statuses.get(n).unwrap_or(&200);
            let tell = tell.clone();
            tokio::spawn(async move {
                let got = read(&mut stream).await;
                let _ = tell.send(got);
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    (url, told)
}

fn channel(way: Way) -> Channel {
    let reach = ReachForm { http_on_loopback: true, ..ReachForm::default() };
    Channel { way, include_arguments: false, tries: 3, timeout_s: 1, reach }
}

struct Running {
    channels: Arc<Channels>,
    stop: CancellationToken,
}

impl Running {
    fn start(channel: Channel, url_file: &str) -> Self {
        let config = NotifyConfig {
            base_url: Some("https://us.example".into()),
            channels: [("a".to_owned(), channel)].into(),
        };
        let outbound: Arc<dyn Outbound> = Arc::new(Outside);
        let clock: Arc<dyn Clock> = Arc::new(Stopped);
        let secret = |path: &Path| -> Result<Zeroizing<String>, String> {
            let text = if path.ends_with("url") { url_file } else { SECRET };
            Ok(Zeroizing::new(text.to_owned()))
        };
        let grounds = Grounds { outbound: &outbound, clock: &clock, secret: &secret };
        let channels = Arc::new(Channels::new(&config, &grounds).unwrap());
        let stop = CancellationToken::new();
        channels.run(&TaskTracker::new(), &stop);
        Self { channels, stop }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Counts) -> bool) {
        let waited = async {
            while !holds(self.channels.counts()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waited).await;
        assert!(waited.is_ok(), "waited for {what}: {:?}", self.channels.counts().now());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn hook(url: String) -> Channel {
    channel(Way::Webhook { url, secret_file: "/key".into() })
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_nothing_of_what_was_asked_for() {
    let (url, mut told) = target(&[]).await;
    let running = Running::start(hook(url), "");
    running.channels.record(7, &record(1));
    assert_eq!(running.channels.needs(9), 7);
    let got = told.recv().await.unwrap();
    let headers = WebhookHeaders {
        id: got.header("webhook-id"),
        timestamp: got.header("webhook-timestamp"),
        signature: got.header("webhook-signature"),
    };
    assert_eq!(headers.id, "acc_1");
    WebhookKey::parse(SECRET).unwrap().check(&headers, &got.body, NOW, 0).unwrap();
    let text = String::from_utf8(got.body).unwrap();
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(said["type"], "access_request.requested");
    assert_eq!(said["data"]["link"], "https://us.example/approve/acc_1");
    assert_eq!(said["data"]["action"], "mail.send");
    assert!(!text.contains("rival"), "{text}");
    running.until("it to arrive", |counts| counts.now().delivered == 1).await;
    assert_eq!((running.channels.needs(9), running.channels.counts().now().waiting), (9, 0));
}

#[tokio::test]
async fn what_a_channel_may_show_is_shown() {
    let (url, mut told) = target(&[]).await;
    let running = Running::start(Channel { include_arguments: true, ..hook(url) }, "");
    running.channels.record(0, &record(1));
    let text = String::from_utf8(told.recv().await.unwrap().body).unwrap();
    assert!(text.contains("secret@rival.example"), "{text}");
}

#[tokio::test]
async fn a_target_that_fails_and_hangs_gets_the_same_message_again() {
    let (url, mut told) = target(&[503, 0, 200]).await;
    let running = Running::start(hook(url), "");
    running.channels.record(0, &record(1));
    running.until("it to arrive", |counts| counts.now().delivered == 1).await;
    assert_eq!(running.channels.counts().now().failed_tries, 2);
    let mut ids = Vec::new();
    while let Ok(got) = told.try_recv() {
        ids.push(got.header("webhook-id"));
    }
    assert_eq!(ids, ["acc_1", "acc_1", "acc_1"]);
    assert_eq!(running.channels.counts().trouble(), None);
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_and_that_is_known() {
    let (url, _told) = target(&[500, 500, 500]).await;
    let running = Running::start(hook(url), "");
    running.channels.record(0, &record(1));
    running.until("it to be given up", |counts| counts.now().given_up == 1).await;
    assert!(running.channels.counts().trouble().unwrap().contains("status 500"));
    // The next one arrives, and the trouble is over.
    running.channels.record(1, &record(2));
    running.until("the next one", |counts| counts.now().delivered == 1).await;
    assert_eq!(running.channels.counts().trouble(), None);
}

#[tokio::test]
async fn what_is_refused_for_good_and_what_may_not_be_reached_is_not_tried_for_ever() {
    let (url, _told) = target(&[400]).await;
    let running = Running::start(hook(url), "");
    running.channels.record(0, &record(1));
    running.until("it to be given up", |counts| counts.now().given_up == 1).await;
    assert_eq!(running.channels.counts().now().failed_tries, 1);
    // A redirect is an answer, not an order.
    let (url, _told) = target(&[302, 302, 302]).await;
    let running = Running::start(Channel { tries: 1, ..hook(url) }, "");
    running.channels.record(0, &record(1));
    running.until("it to be given up", |counts| counts.now().given_up == 1).await;
    // Inward addresses are for those whom the configuration lets.
    let (url, mut told) = target(&[]).await;
    let closed = Channel { tries: 1, reach: ReachForm::default(), ..hook(url) };
    let running = Running::start(closed, "");
    running.channels.record(0, &record(1));
    running.until("it to be given up", |counts| counts.now().given_up == 1).await;
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_target_that_hangs_delays_nobody_and_its_room_is_bounded() {
    let (url, _told) = target(&[0, 0, 0, 0]).await;
    let running = Running::start(hook(url), "");
    let begun = std::time::Instant::now();
    for n in 0..1500 {
        running.channels.record(n.into(), &record(n));
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    let counts = running.channels.counts().now();
    assert_eq!((counts.waiting, counts.dropped), (1000, 500));
    assert!(running.channels.counts().trouble().is_some());
}

#[tokio::test]
async fn slack_gets_text_in_which_nobody_is_mentioned() {
    let (url, mut told) = target(&[]).await;
    let running = Running::start(channel(Way::Slack { url_file: "/url".into() }), &url);
    running.channels.record(0, &record(1));
    let text = String::from_utf8(told.recv().await.unwrap().body).unwrap();
    assert!(text.contains("case-agent asks to do mail.send"), "{text}");
    assert!(text.contains("https://us.example/approve/acc_1"), "{text}");
    assert!(!text.contains("<!channel>") && !text.contains("rival"), "{text}");
}

/// A mail server that takes everything: what it was told, line by line.
async fn mail_server() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                writer.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
                let mut data = None;
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match (&mut data, line.as_str()) {
                        (Some(text), ".") => {
                            let _ = tell.send(std::mem::take(text));
                            data = None;
                            "250 taken\r\n"
                        }
                        (Some(text), line) => {
                            let text: &mut String = text;
                            text.push_str(line);
                            text.push('\n');
                            continue;
                        }
                        (None, "DATA") => {
                            data = Some(String::new());
                            "354 go on\r\n"
                        }
                        (None, "QUIT") => "221 bye\r\n",
                        (None, _) => "250 mail.example\r\n",
                    };
                    writer.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, told)
}

fn mail(port: u16) -> Mail {
    Mail {
        host: "127.0.0.1".into(),
        port,
        tls: false,
        login: None,
        from: "Safeconduct <safeconduct@us.example>".into(),
        to: vec!["ada@us.example".into(), "bob@us.example".into()],
    }
}

#[tokio::test]
async fn mail_is_a_message_with_a_link() {
    let (port, mut told) = mail_server().await;
    let running = Running::start(channel(Way::Mail(mail(port))), "");
    running.channels.record(0, &record(1));
    let text = told.recv().await.unwrap();
    for part in [
        "Subject: Safeconduct: case-agent asks to do mail.send",
        "Message-ID: <acc_1@safeconduct>",
        "ada@us.example",
        "bob@us.example",
        "https://us.example/approve/acc_1",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    assert!(!text.contains("rival"), "{text}");
    running.until("it to arrive", |counts| counts.now().delivered == 1).await;
}

#[tokio::test]
async fn no_mail_goes_out_without_the_tls_that_is_needed() {
    let (port, mut told) = mail_server().await;
    let needed = Mail { tls: true, ..mail(port) };
    let running = Running::start(Channel { tries: 1, ..channel(Way::Mail(needed)) }, "");
    running.channels.record(0, &record(1));
    running.until("it to be given up", |counts| counts.now().given_up == 1).await;
    assert!(told.try_recv().is_err());
}
