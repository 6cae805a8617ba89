use std::path::Path;

use safeconduct_model::{IdentityKind, Mode, Role, ServerName};

use super::*;

const FULL: &str = r#"
# yaml-language-server: $schema=x
version: 1
listen: "[::1]:7411"
data: ./var/data
keys: /etc/keys
policies: { folder: ./p, namespace: "My::App", action_id: "{server}___{tool}" }
catalogue: { folder: ../c }
upstreams:
  files:
    stdio: { command: npx, args: [-y, server], env: { KEY: hunter2 }, pass_env: [HOME], cwd: . }
    mode: observe
    revision: 2025-11-25
    timeout_s: 5
    result_bytes_max: 2048
  remote:
    http: { url: "http://127.0.0.1:9201/mcp", headers: { Authorization: { env: TOKEN_VAR }, X-A: hunter3 } }
identities:
  - { id: case-agent, kind: agent, owner: alice, fallback_owner: bob, environment: demo, groups: [clerks] }
  - { id: pep, kind: workload, pep: { subjects: [user], resources: [record], properties: true }, roles: [auditor] }
sessions: { calls: 7 }
allow: { hosts: ["a.example:8443"], origins: ["https://a.example"] }
telemetry: { otlp_endpoint: "http://127.0.0.1:4318" }
dev: { identity: case-agent }
limits: { message_bytes: 2048, queue: 16 }
"#;

fn read(text: &str) -> Config {
    parse("s.yaml", text, Path::new("/etc/sc")).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = parse("s.yaml", text, Path::new("/etc/sc")).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_that_can_be_said_is_read() {
    let config = read(FULL);
    assert_eq!(config.listen.port(), 7411);
    assert_eq!(config.data, Path::new("/etc/sc/var/data"));
    assert_eq!(config.keys, Path::new("/etc/keys"));
    assert_eq!(config.policies.action_id, "{server}___{tool}");
    let files = &config.upstreams[&ServerName::new("files").unwrap()];
    assert_eq!((files.mode, files.revision), (Mode::Observe, Revision::Mcp20251125));
    let Transport::Stdio { env, pass_env, cwd, .. } = &files.transport else { panic!() };
    assert_eq!(env["KEY"].reveal(), "hunter2");
    assert!(pass_env.contains("HOME"));
    assert_eq!(cwd, Path::new("/etc/sc"));
    let remote = &config.upstreams[&ServerName::new("remote").unwrap()];
    assert_eq!((remote.mode, remote.timeout_s), (Mode::Enforce, 60));
    let Transport::Http { headers, .. } = &remote.transport else { panic!() };
    assert_eq!(headers["Authorization"], HeaderValue::Environment("TOKEN_VAR".into()));
    assert_eq!(config.identities[0].kind, IdentityKind::Agent);
    assert!(config.identities[1].roles.contains(&Role::Auditor));
    assert!(config.identities[1].pep.as_ref().unwrap().properties);
    assert_eq!((config.session_calls, config.message_bytes, config.queue), (7, 2048, 16));
    assert_eq!(config.dev_identity.as_ref().unwrap().as_str(), "case-agent");
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", read(FULL)).contains("hunter"));
}

#[test]
fn one_line_is_a_configuration() {
    let config = read("version: 1");
    assert_eq!(config.listen.to_string(), "127.0.0.1:7411");
    assert_eq!(config.policies.namespace, "Safeconduct");
    assert_eq!(config.catalogue, Path::new("/etc/sc/catalogue"));
    assert_eq!(config.queue, 65_536);
    assert_eq!(read("{\"version\": 1}"), config);
}

#[test]
fn every_slip_is_named_at_once() {
    let text = "version: 2\n\
                listen: localhost\n\
                upstreams:\n\
                \x20 Files: { stdio: { command: a } }\n\
                \x20 b: { http: { url: ftp://x, headers: { A: { evn: X }, \"b c\": 1 } }, mode: off }\n\
                policies: { namespace: 1x, action_id: \"{server}\" }\n\
                allow: { origins: [a.example] }\n\
                limits: { queue: 1 }\n\
                indentities: []\n";
    assert_eq!(
        problems(text),
        [
            "s.yaml:1:10: 2 is more than 1",
            "s.yaml:2:9: `localhost` is no address with port, such as `127.0.0.1:7411` or \
             `[::1]:7411`",
            "s.yaml:4:3: `Files` does not fit: a server name holds `F`; allowed are lowercase \
             letters, digits, `-` and `_`",
            "s.yaml:5:21: `ftp://x` is no URL that begins with `http://` or `https://`",
            "s.yaml:5:46: unknown key `evn` (did you mean `env`?)",
            "s.yaml:5:56: `b c` is no name of an HTTP header",
            "s.yaml:5:63: this is a whole number, but must be a text or a map (write it in quotes)",
            "s.yaml:5:76: `off` is not one of `enforce`, `observe`",
            "s.yaml:6:24: `1x` is no Cedar namespace, such as `Safeconduct` or `My::App`",
            "s.yaml:6:39: `{server}` is no template of an action: it holds `{tool}`, may hold \
             `{server}`, and no other brace",
            "s.yaml:7:20: `a.example` is no origin, such as `https://console.example.org`",
            "s.yaml:8:18: 1 is less than 16",
            "s.yaml:9:1: unknown key `indentities` (did you mean `identities`?)",
        ]
    );
}

#[test]
fn what_the_schema_cannot_say_is_checked_too() {
    let text = "version: 1\n\
                upstreams:\n\
                \x20 a: { mode: observe }\n\
                \x20 b: { stdio: { command: x }, http: { url: http://x } }\n\
                identities:\n\
                \x20 - { id: a1, kind: agent }\n\
                \x20 - { id: a1, kind: user }\n\
                dev: { identity: a2 }\n";
    assert_eq!(
        problems(text),
        [
            "s.yaml:3:6: upstream `a` names no way to be reached (write either `stdio:` or `http:`)",
            "s.yaml:4:6: upstream `b` names both ways to be reached \
             (write either `stdio:` or `http:`)",
            "s.yaml:7:11: identity `a1` is here twice (the first is in line 6)",
            "s.yaml:8:18: no identity of this file is called `a2` (did you mean `a1`?)",
        ]
    );
}

#[test]
fn the_form_s_defaults_are_the_documented_ones() {
    let schema = crate::schemas::config_schema();
    let default = |pointer: &str| schema.pointer(pointer).cloned();
    assert_eq!(default("/properties/listen/default"), Some("127.0.0.1:7411".into()));
    assert_eq!(default("/$defs/UpstreamForm/properties/timeout_s/default"), Some(60.into()));
}
