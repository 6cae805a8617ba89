//! Traces: a collector that speaks OTLP over HTTP gets the spans of decisions, as children of the
//! caller's own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use safeconduct_tests::http::Connection;
use safeconduct_tests::server::Server;
use serde_json::{Value as Json, json};

use crate::world::{self, AGENT, may_put};

/// A collector: what it was sent, and where it listens.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || while collect(&stream, &kept).is_some() {});
            }
        });
        Self { address, spans }
    }

    /// The spans of that name and trace.
    fn of(&self, name: &str, trace: &str) -> Vec<Span> {
        let all = self.spans.lock().unwrap();
        all.iter().filter(|s| s.name == name && hex(&s.trace_id) == trace).cloned().collect()
    }
}

/// Takes one export in; `None` at the end of the connection.
fn collect(stream: &TcpStream, kept: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).ok()?;
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    let export = ExportTraceServiceRequest::decode(&*body).unwrap();
    let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    kept.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n";
    (&*stream).write_all(format!("{answer}Content-Length: 0\r\n\r\n").as_bytes()).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    format!("{:?}", found.unwrap_or_else(|| panic!("{name} of {span:?}")).value)
}

const PARENT: &str = "00f067aa0ba902b7";

/// A `traceparent` of that trace, sampled or not.
fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

/// Sends a body to a path as the agent, within a trace.
fn send(server: &Server, token: &str, path: &str, parent: &str, body: &Json) {
    let authorization = format!("Bearer {token}");
    let name = body["params"]["name"].as_str().unwrap_or("put");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", name),
        ("traceparent", parent),
    ];
    let body = body.to_string().into_bytes();
    let mut connection = Connection::open(server.address).unwrap();
    let response = connection.request("POST", path, &headers, &body).unwrap();
    assert_eq!(response.status, 200, "{path}: {}", response.text());
}

#[test]
fn a_decision_is_a_child_of_its_callers_span() {
    const EVALUATED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLED: &str = "5cf92f3577b34da6a3ce929d0e0e4737";
    const UNSAMPLED: &str = "6df92f3577b34da6a3ce929d0e0e4738";
    let collector = Collector::start();
    let project = world::project();
    let mut config = world::config(&project);
    config["telemetry"] = json!({ "otlp_endpoint": format!("http://{}", collector.address) });
    project.configure(&config);
    let server = Server::start(&project);
    let (_, token) = server.mint(AGENT);
    let evaluation = "/access/v1/evaluation";
    let question = may_put(AGENT, "x");
    send(&server, &token, evaluation, &traceparent(EVALUATED, "01"), &question);
    send(&server, &token, evaluation, &traceparent(UNSAMPLED, "00"), &question);
    let call = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "put",
            "arguments": { "id": "x" },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "safeconduct-tests", "version": "0" },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    send(&server, &token, "/mcp/box", &traceparent(CALLED, "01"), &call);
    // What has not been sent yet is sent when the server stops.
    server.stop();

    for (trace, route) in [(EVALUATED, evaluation), (CALLED, "/mcp/{name}")] {
        let requests = collector.of("request", trace);
        let [request] = requests.as_slice() else { panic!("{trace}: {requests:?}") };
        assert_eq!(hex(&request.parent_span_id), PARENT);
        assert!(attribute(request, "http.route").contains(route.split('{').next().unwrap()));
        let decisions = collector.of("decide", trace);
        assert!(!decisions.is_empty(), "{trace}: no decision");
        for decision in decisions {
            assert_eq!(decision.parent_span_id, request.span_id, "{trace}");
            assert!(attribute(&decision, "safeconduct.decision").contains("permit"));
            assert!(attribute(&decision, "safeconduct.rule.ids").contains("put"));
            assert!(attribute(&decision, "safeconduct.trace").contains(trace));
        }
    }
    // A caller that does not sample is not sampled.
    assert!(collector.of("decide", UNSAMPLED).is_empty());
}
