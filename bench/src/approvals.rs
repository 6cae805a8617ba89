//! How soon an answer or an event counts, and what a flood of signals does to decisions: with the
//! binary, over HTTP and on a disk.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use safeconduct_credential::webhook::WebhookKey;
use safeconduct_model::Timestamp;
use safeconduct_tests::http::Connection;
use safeconduct_tests::issuer::{Issuer, key, now};
use safeconduct_tests::project::Project;
use safeconduct_tests::server::Server;
use safeconduct_wire::json::from_serde;
use serde_json::{Value as Json, json};

use crate::report;
use crate::rounds::{median, quantile};
use crate::section::{Failure, Section, Target};

/// Rounds that count of each; people are asked no oftener by one agent (`asked_per_hour`).
const ROUNDS: usize = 40;

/// By when an agent that waits does wait, and one that asks all the time does ask.
const SETTLED: Duration = Duration::from_millis(30);

/// How long an agent goes on that nobody stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long decisions are timed with signals and without, each, and how often in turns.
const TIMED: Duration = Duration::from_secs(3);
const TURNS: usize = 7;

/// Signals of one message, and how often one comes: 100,000 signals a minute.
const TOGETHER: u64 = 60;
const EVERY: Duration = Duration::from_millis(36);

const US: &str = "https://safeconduct.example";
const BEARER: &str = "the-transmitter-knows-this";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// Measures, or says why not.
pub(crate) fn measure() -> Result<Section, Failure> {
    let mut section = Section::new("Approvals and signals over HTTP");
    let safeconduct = report::folder().join("../target/release/safeconduct");
    if !safeconduct.exists() {
        section.line("Left out: `safeconduct` is not there (`make build`).");
        return Ok(section);
    }
    let issuer = Issuer::start(key(3));
    let project = project(&issuer)?;
    let server = Server::try_start(&project, Command::new(safeconduct))?;
    let approved = approved_ms(&server)?;
    let refused = refused_ms(&server, &issuer)?;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let p99 = |flooded| Ok::<_, Failure>(quantile(&decisions_us(&server, flooded)?, 0.99));
        turns.push((p99(false)?, p99(true)?));
    }
    server.stop();
    issuer.stop();

    section.targets();
    section.target("approval_to_call_ms_p50", median(&approved), Target::AtMost(50.0));
    section.target("revoked_to_refusal_ms_p50", median(&refused), Target::AtMost(50.0));
    let of = |number: fn(&(f64, f64)) -> f64| median(&turns.iter().map(number).collect::<Vec<_>>());
    let (quiet_p99, flood_p99) = (of(|turn| turn.0), of(|turn| turn.1));
    let ratio = of(|turn| turn.1 / turn.0.max(1.0));
    section.target("http_p99_under_signals_ratio", ratio, Target::AtMost(1.5));
    section.number("approval_to_call_ms_p99", quantile(&approved, 0.99));
    section.number("revoked_to_refusal_ms_p99", quantile(&refused, 0.99));
    section.number("http_p99_quiet_us", quiet_p99);
    section.number("http_p99_under_signals_us", flood_p99);
    section.line("");
    section.line(format!(
        "From a person's answer on its way until the agent that waited for it has the result of \
         the call, through the gateway and an MCP server: {ROUNDS} calls, p99 {:.1} ms. From a \
         `session-revoked` event on its way until the agent, which asks all the time, is refused: \
         {ROUNDS} agents, p99 {:.1} ms. Then the 99th percentile of one agent's decisions over \
         one connection, durable each: quiet {:.0} µs, and {:.0} µs while a signed webhook brings \
         100,000 signals a minute about 1,000 others; medians of {TURNS} turns of 3 s each.",
        quantile(&approved, 0.99),
        quantile(&refused, 0.99),
        quiet_p99,
        flood_p99,
    ));
    Ok(section)
}

fn revoked(n: usize) -> String {
    format!("revoked-{n}")
}

fn project(issuer: &Issuer) -> Result<Project, Failure> {
    let project = Project::empty();
    project.write(
        "policies/p.cedar",
        r#"@id("all") permit (principal, action, resource);
@id("ask") @requestable("approvers=group:leads; quorum=1; ttl=15m")
forbid (principal, action == Safeconduct::Action::"box.put", resource)
unless { context has approval };
@id("risky") forbid (principal, action, resource) when { context.risk.score > 99 };"#,
    );
    let tools = json!([
        { "name": "put", "inputSchema": { "type": "object",
            "properties": { "id": { "type": "string" } } } },
        { "name": "look", "inputSchema": { "type": "object", "properties": {} } },
    ]);
    project.write("catalogue/box.tools.json", &tools.to_string());
    let actions = json!({ "server": "box", "actions": {
        "put": { "tier": "moderate", "effect": "write" },
        "look": { "tier": "low", "effect": "read" } } });
    project.write("catalogue/box.yaml", &actions.to_string());
    for (file, text) in [("idp.token", BEARER), ("siem.key", SECRET)] {
        project.write(file, text);
        std::fs::set_permissions(project.path(file), std::fs::Permissions::from_mode(0o600))?;
    }
    let agent = |id: String| {
        json!({ "id": id, "kind": "agent", "owner": "ada", "fallback_owner": "ada",
            "pep": { "subjects": [] } })
    };
    let people = [
        json!({ "id": "ada", "kind": "user" }),
        json!({ "id": "lea", "kind": "user", "groups": ["leads"] }),
        agent("agent".to_owned()),
    ];
    project.configure(&json!({
        "version": 1,
        "upstreams": { "box": project.upstream("box", &tools) },
        "sessions": { "calls": 1_000_000 },
        "approvals": { "asked_per_hour": 100 },
        "identities": people.into_iter().chain((0..ROUNDS).map(revoked).map(agent))
            .collect::<Vec<_>>(),
        "signals": {
            "streams": { "idp": {
                "issuer": issuer.url(), "audience": US, "algorithms": ["ES256"],
                "bearer_file": "./idp.token", "subjects": { "opaque": "{}" },
                "fetch": { "http_on_loopback": true },
            } },
            "webhooks": { "siem": { "secret_file": "./siem.key" } },
        },
    }));
    Ok(project)
}

/// Milliseconds from each answer of a person until the agent that waits for it has called.
fn approved_ms(server: &Server) -> Result<Vec<f64>, Failure> {
    let (agent, lead) = (server.mint("agent").1, server.mint("lea").1);
    let authorization = format!("Bearer {agent}");
    let headers = [("Authorization", authorization.as_str())];
    let mut waits = Connection::open(server.address)?;
    let mut client = server.mcp("box", &agent);
    let mut took = Vec::new();
    // The first starts the MCP server.
    for n in 0..=ROUNDS {
        let input = json!({ "id": format!("{:x}", n * 7_919) });
        let ask = json!({ "action": "box.put", "arguments": input });
        let asked = server.ask("POST", "/v1/access-requests", &agent, &ask);
        let asked = asked.json();
        let id = asked.get("id").and_then(Json::as_str).ok_or("nobody was asked")?;
        let path = format!("/v1/access-requests/{id}");
        let shown = server.ask("GET", &path, &lead, &Json::Null).json();
        let answer = json!({ "approve": { "scope": "once" }, "digest": shown.get("digest") });
        let (wait, to) = (format!("{path}/wait?seconds=30"), format!("{path}/answer"));
        let ms = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| -> io::Result<(Json, Instant)> {
                waits.request("GET", &wait, &headers, b"")?;
                Ok((client.call("put", &input)?, Instant::now()))
            });
            std::thread::sleep(SETTLED);
            let begun = Instant::now();
            let answered = server.ask("POST", &to, &lead, &answer);
            let joined = waiting.join().map_err(|_| Failure::from("the agent went away"))?;
            let (result, done) = joined?;
            match (answered.status, result.pointer("/result/isError")) {
                (200, None | Some(Json::Bool(false))) if result.get("result").is_some() => {
                    Ok((done - begun).as_secs_f64() * 1e3)
                }
                (status, _) => Err(Failure::from(format!("not approved: {status}, {result}"))),
            }
        })?;
        if n > 0 {
            took.push(ms);
        }
    }
    Ok(took)
}

/// Milliseconds from each event until the agent that it is about is refused.
fn refused_ms(server: &Server, issuer: &Issuer) -> Result<Vec<f64>, Failure> {
    let mut took = Vec::new();
    let bearer = format!("Bearer {BEARER}");
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "application/secevent+jwt")];
    let mut transmitter = Connection::open(server.address)?;
    for n in 0..ROUNDS {
        let agent = revoked(n);
        let claims = json!({ "iss": issuer.url(), "aud": US, "iat": now(),
            "jti": format!("jti-{n}"), "sub_id": { "format": "opaque", "id": agent },
            "events": { REVOKED: {} } });
        let set = key(3).sign("secevent+jwt", &from_serde(&claims))?;
        let mut asker = Asker::of(server, &agent)?;
        if !asker.may()? {
            return Err("an agent is refused whom nobody stopped".into());
        }
        let ms = std::thread::scope(|scope| {
            let asking = scope.spawn(move || -> io::Result<Instant> {
                let deadline = Instant::now() + PATIENCE;
                while asker.may()? {
                    if Instant::now() > deadline {
                        return Err(io::Error::other("the agent goes on"));
                    }
                }
                Ok(Instant::now())
            });
            std::thread::sleep(SETTLED);
            let begun = Instant::now();
            let path = "/v1/signals/streams/idp";
            let pushed = transmitter.request("POST", path, &headers, set.as_bytes())?;
            let refused = asking.join().map_err(|_| Failure::from("the agent went away"))??;
            match pushed.status {
                202 => Ok((refused - begun).as_secs_f64() * 1e3),
                status => Err(Failure::from(format!("not taken: {status}, {}", pushed.text()))),
            }
        })?;
        took.push(ms);
    }
    Ok(took)
}

/// Microseconds of each decision of an agent, while signals come or not.
fn decisions_us(server: &Server, flooded: bool) -> Result<Vec<f64>, Failure> {
    let stop = AtomicBool::new(false);
    let mut asker = Asker::of(server, "agent")?;
    std::thread::scope(|scope| {
        let flood = flooded.then(|| scope.spawn(|| flood(server, &stop)));
        let mut took = Vec::new();
        let began = Instant::now();
        let mut failed = None;
        while began.elapsed() < TIMED && failed.is_none() {
            let one = Instant::now();
            match asker.may() {
                Ok(true) => took.push(one.elapsed().as_secs_f64() * 1e6),
                Ok(false) => failed = Some(Failure::from("the agent is refused")),
                Err(error) => failed = Some(error.into()),
            }
        }
        stop.store(true, Ordering::Relaxed);
        if let Some(flood) = flood {
            let sent = flood.join().map_err(|_| Failure::from("the webhook went away"))??;
            let wanted = TIMED.as_millis() / EVERY.as_millis();
            // A sender that cannot keep up measures something else.
            if u128::from(sent) * 10 < wanted * 9 {
                return Err(format!("only {sent} of {wanted} messages were sent in time").into());
            }
        }
        failed.map_or(Ok(took), Err)
    })
}

/// Sends signals about others at their rate, until told to stop; how many messages.
fn flood(server: &Server, stop: &AtomicBool) -> io::Result<u64> {
    let key = WebhookKey::parse(SECRET).map_err(io::Error::other)?;
    let mut connection = Connection::open(server.address)?;
    let (began, turn) = (Instant::now(), now());
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let signals = (0..TOGETHER).map(|one| {
            let about = format!("somebody-{}", (sent * TOGETHER + one) % 1_000);
            json!({ "about": { "identity": about }, "kind": "reported", "severity": "low" })
        });
        let body = json!({ "signals": signals.collect::<Vec<_>>() }).to_string();
        let at = Timestamp::from_millis(now() * 1000);
        let signed = key.sign(&format!("msg_{turn}_{sent}"), at, body.as_bytes());
        let headers = [
            ("Content-Type", "application/json"),
            ("webhook-id", &*signed.id),
            ("webhook-timestamp", &*signed.timestamp),
            ("webhook-signature", &*signed.signature),
        ];
        let path = "/v1/signals/webhooks/siem";
        let taken = connection.request("POST", path, &headers, body.as_bytes())?;
        if taken.status != 202 {
            return Err(io::Error::other(format!("{}: {}", taken.status, taken.text())));
        }
        sent += 1;
        let due = EVERY * u32::try_from(sent).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    Ok(sent)
}

/// An agent that asks about itself over one connection.
struct Asker {
    connection: Connection,
    authorization: String,
    question: String,
}

impl Asker {
    fn of(server: &Server, agent: &str) -> Result<Self, Failure> {
        let question = json!({
            "subject": { "type": "agent", "id": agent },
            "action": { "name": "box.look" },
            "resource": { "type": "Server", "id": "box" },
        });
        Ok(Self {
            connection: Connection::open(server.address)?,
            authorization: format!("Bearer {}", server.mint(agent).1),
            question: question.to_string(),
        })
    }

    /// Whether it may; one whose token is worth nothing may not.
    fn may(&mut self) -> io::Result<bool> {
        let headers =
            [("Authorization", self.authorization.as_str()), ("Content-Type", "application/json")];
        let path = "/access/v1/evaluation";
        let answer = self.connection.request("POST", path, &headers, self.question.as_bytes())?;
        Ok(answer.status == 200
            && answer.json().get("decision").and_then(Json::as_bool) == Some(true))
    }
}
