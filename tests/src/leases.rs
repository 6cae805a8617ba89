//! A project whose tasks lease roles in a database, and how long it takes until one is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::http::{Connection, Response};
use crate::postgres::Cluster;
use crate::project::Project;
use crate::server::Server;

const POLICIES: &str = r#"
@id("begin") permit (principal, action == Safeconduct::Action::"undertake", resource);
@id("read") permit (principal, action, resource) when { context.action.name == "crm.read" };
"#;

const BROKER_PASSWORD: &str = "broker-pw";

/// A project with the intent `work`, whose tasks may lease `case_reader` at the target `crm-db`:
/// columns of one table, in the database `crm` that this fills.
pub fn project(cluster: &Cluster) -> Project {
    project_with(cluster, |_, _| {})
}

/// The same, its intent and its targets changed.
pub fn project_with(cluster: &Cluster, change: impl FnOnce(&mut Json, &mut Json)) -> Project {
    fill(cluster);
    let project = Project::empty();
    project.write("policies/p.cedar", POLICIES);
    let tools = json!([{"name": "read", "inputSchema": {"type": "object",
        "properties": {"case": {"type": "string"}}}}]);
    project.write("catalogue/crm.tools.json", &tools.to_string());
    let actions = json!({"server": "crm", "actions": {"read": {"tier": "low", "effect": "read"}}});
    project.write("catalogue/crm.yaml", &actions.to_string());
    let mut intent = json!({
        "intent": "work", "version": 1, "description": "Work on one case.",
        "parameters": {"case": {"type": "identifier"}},
        "undertaken_by": {"kinds": ["agent"]}, "on_behalf_of": "required", "longest": "10m",
        "budget": {"calls": 3}, "tier_max": "low",
        "credentials": {"crm-db": ["case_reader"]},
        "envelope": [{"action": "crm.read", "arguments": {"/case": {"equals": "${case}"}}}],
    });
    project.write("broker.password", BROKER_PASSWORD);
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(project.path("broker.password"), closed).unwrap();
    let upstream = project.upstream("crm", &tools);
    let case_reader = json!([{"schema": "crm", "tables": ["cases"], "columns": ["id", "note"],
        "privileges": ["select"]}]);
    let mut targets = json!({"crm-db": {"timeout": "5s", "postgres": {
        "host": "127.0.0.1", "port": cluster.port, "tls": "off", "database": "crm",
        "user": "safeconduct", "password_file": "./broker.password",
        "grants": {"case_reader": case_reader},
    }}});
    change(&mut intent, &mut targets);
    project.write("intents/work.yaml", &intent.to_string());
    project.configure(&json!({
        "version": 1,
        "intents": {},
        "upstreams": {"crm": upstream},
        "targets": targets,
        "identities": [
            {"id": "ada", "kind": "user"},
            {"id": "worker", "kind": "agent", "owner": "ada", "fallback_owner": "ada",
                "pep": {"subjects": []}},
        ],
    }));
    project
}

fn fill(cluster: &Cluster) {
    if cluster.has_role("safeconduct") {
        return;
    }
    let roles = format!(
        "CREATE ROLE crm_owner; \
         CREATE ROLE safeconduct LOGIN CREATEROLE PASSWORD '{BROKER_PASSWORD}' IN ROLE crm_owner"
    );
    cluster.ask("postgres", &roles).unwrap();
    cluster.ask("postgres", "CREATE DATABASE crm OWNER crm_owner").unwrap();
    let tables = "CREATE SCHEMA crm AUTHORIZATION crm_owner; SET ROLE crm_owner; \
                  CREATE TABLE crm.cases (id int PRIMARY KEY, note text, secret text); \
                  INSERT INTO crm.cases VALUES (1042, 'late parcel', 'hush'); \
                  CREATE TABLE crm.customers (id int)";
    cluster.ask("crm", tables).unwrap();
}

/// Who works: the tokens of the person and of the agent.
#[derive(Debug)]
pub struct Workers {
    ada: String,
    /// The agent's.
    pub worker: String,
}

/// A task with its handle.
#[derive(Debug)]
pub struct Begun {
    /// Its id.
    pub task: String,
    /// Its handle.
    pub handle: String,
}

/// A role that was leased.
#[derive(Debug)]
pub struct Role {
    /// The lease's id.
    pub lease: String,
    /// Its name in the database.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl Workers {
    /// Mints their tokens.
    pub fn of(server: &Server) -> Self {
        Self { ada: server.mint("ada").1, worker: server.mint("worker").1 }
    }

    /// Begins a task for the person.
    pub fn begin(&self, server: &Server) -> Begun {
        let body = json!({"intent": "work", "agent": "worker", "parameters": {"case": "C-1"}});
        let begun = server.ask("POST", "/v1/tasks", &self.ada, &body);
        assert_eq!(begun.status, 201, "{}", begun.text());
        let text = |name: &str| begun.json()[name].as_str().unwrap().to_owned();
        Begun { task: text("task"), handle: text("handle") }
    }

    /// Asks for a lease in a task.
    pub fn ask_for(&self, server: &Server, begun: &Begun, body: &Json) -> Response {
        let authorization = format!("Bearer {}", self.worker);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Safeconduct-Task", begun.handle.as_str()),
        ];
        let mut connection = Connection::open(server.address).unwrap();
        connection.request("POST", "/v1/leases", &headers, body.to_string().as_bytes()).unwrap()
    }

    /// Leases a role.
    pub fn lease(&self, server: &Server, begun: &Begun) -> Role {
        let answer = self.ask_for(server, begun, &json!({"target": "crm-db"}));
        assert_eq!(answer.status, 201, "{}\n{}", answer.text(), server.talk());
        let issued = answer.json();
        let text = |pointer: &str| issued.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        assert_eq!(text("/lease/state"), "issued");
        assert_eq!(text("/address/database"), "crm");
        Role { lease: text("/lease/id"), name: text("/lease/name"), password: text("/secret") }
    }

    /// Ends a task.
    pub fn end(&self, server: &Server, begun: &Begun) {
        let path = format!("/v1/tasks/{}/end", begun.task);
        let ended = server.ask("POST", &path, &self.worker, &json!({}));
        assert_eq!(ended.status, 200, "{}", ended.text());
    }
}

/// The state of a lease that is not over.
pub fn state(server: &Server, lease: &str) -> Option<String> {
    let known = server.administer("GET", "/v1/leases", &Json::Null);
    let found = known["leases"].as_array()?.iter().find(|one| one["id"] == lease)?.clone();
    Some(found["state"].as_str()?.to_owned())
}

/// Begins a task, leases a role and ends the task, again and again. Milliseconds from the answer
/// to each end until the server has proved that the role is gone; the cluster then has none.
pub fn gone_ms(cluster: &Cluster, server: &Server, rounds: usize) -> Vec<f64> {
    let workers = Workers::of(server);
    let mut roles = cluster.session("crm");
    let mut took = Vec::new();
    let authorization = format!("Bearer {}", server.admin());
    let headers = [("Authorization", authorization.as_str())];
    let mut connection = Connection::open(server.address).unwrap();
    for _ in 0..rounds {
        let begun = workers.begin(server);
        let role = workers.lease(server, &begun);
        workers.end(server, &begun);
        let ended = Instant::now();
        loop {
            let listed = connection.request("GET", "/v1/leases", &headers, b"").unwrap();
            assert_eq!(listed.status, 200, "{}", listed.text());
            if !listed.text().contains(&role.lease) {
                break;
            }
            assert!(ended.elapsed().as_secs() < 60, "{} is still there", role.name);
        }
        took.push(ended.elapsed().as_secs_f64() * 1e3);
        let left = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{}'", role.name);
        assert_eq!(roles.ask(&left).unwrap(), ["0"], "{} was said to be gone", role.name);
    }
    took
}
