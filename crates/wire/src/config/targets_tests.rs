use std::path::Path;

use safeconduct_model::TargetName;

use super::*;

const FULL: &str = r#"
version: 1
upstreams:
  crm: { http: { url: "https://crm.example/mcp" } }
targets:
  crm_db:
    ttl: 10m
    ttl_max: 2h
    timeout: 3s
    postgres:
      host: db.example
      port: 5433
      database: crm
      user: safeconduct
      password_file: ./db.password
      ca_file: /etc/ca.pem
      reassign_owned_to: crm_owner
      connections: 2
      grants:
        case_reader:
          - { schema: crm, tables: [cases, "we\"ird; --"], privileges: [select] }
          - { schema: crm, tables: [cases], columns: [note], privileges: [update] }
          - { schema: crm, sequences: [numbers], privileges: [usage] }
  files:
    age: { file: ./secrets.age, identity_file: ./identity }
    secrets:
      crm_token: { upstream: crm, header: Authorization, template: "Bearer {secret}" }
  bao:
    vault: { url: "https://bao.example:8200/", token_file: ./token, path: "a/{name}/b" }
    secrets:
      crm.key: { upstream: crm, json: /auth/key }
"#;

fn read(text: &str) -> Config {
    parse("s.yaml", text, Path::new("/etc/sc")).unwrap_or_else(|e| panic!("{e:#?}"))
}

fn problems(targets: &str) -> Vec<String> {
    let text = format!(
        "version: 1\nupstreams: {{ crm: {{ http: {{ url: 'http://x' }} }} }}\ntargets:\n{targets}"
    );
    let problems = parse("s.yaml", &text, Path::new("/etc/sc")).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_that_can_be_said_of_a_target_is_read() {
    let config = read(FULL);
    let target = |name: &str| &config.targets[&TargetName::new(name).unwrap()];
    let crm = target("crm_db");
    assert_eq!((crm.ttl_s, crm.ttl_max_s, crm.timeout_s), (600, 7200, 3));
    let TargetKind::Postgres(postgres) = &crm.kind else { panic!() };
    assert_eq!((postgres.port, postgres.tls), (5433, Tls::Required));
    assert_eq!(postgres.password_file.as_deref(), Some(Path::new("/etc/sc/db.password")));
    assert_eq!(postgres.reassign_owned_to.as_deref(), Some("crm_owner"));
    let [tables, columns, sequences] = &postgres.grants["case_reader"][..] else { panic!() };
    let names = ["cases".to_owned(), "we\"ird; --".to_owned()];
    assert_eq!(tables.on, PrivilegesOn::Tables(names.into()));
    assert!(matches!(columns.on, PrivilegesOn::Columns { .. }));
    assert_eq!(sequences.privileges, [Privilege::Usage].into());

    let files = target("files");
    assert_eq!((files.ttl_s, files.ttl_max_s, files.timeout_s), (300, 3600, 5));
    let TargetKind::Secrets(files) = &files.kind else { panic!() };
    assert!(matches!(&files.store, SecretStore::Age { file, .. } if file.ends_with("secrets.age")));
    let SecretUse { place, template, .. } = &files.uses["crm_token"];
    assert_eq!(*place, SecretPlace::Header("Authorization".into()));
    assert_eq!(template, "Bearer {secret}");
    let TargetKind::Secrets(bao) = &target("bao").kind else { panic!() };
    let SecretStore::Vault(vault) = &bao.store else { panic!() };
    assert_eq!((vault.url.as_str(), vault.mount.as_str()), ("https://bao.example:8200", "secret"));
    assert_eq!((vault.path.as_str(), vault.field.as_str()), ("a/{name}/b", "value"));
}

#[test]
fn without_tls_a_target_is_on_this_machine() {
    for (host, fits) in [
        ("127.0.0.1", true),
        ("127.8.9.1", true),
        ("\"::1\"", true),
        ("localhost", true),
        ("/run/postgresql", true),
        ("db.example", false),
        ("10.0.0.1", false),
        ("0.0.0.0", false),
        ("localhost.evil.example", false),
    ] {
        let text = format!(
            "  a: {{ postgres: {{ host: {host}, tls: off, database: a, user: b, grants: {{}} }} }}"
        );
        let whole = format!("version: 1\ntargets:\n{text}");
        let read = parse("s.yaml", &whole, Path::new("/"));
        assert_eq!(read.is_ok(), fits, "{host}");
        if !fits {
            assert!(problems(&text)[0].contains("without TLS"));
        }
    }
    for (url, fits) in [
        ("http://127.0.0.1:8200", true),
        ("http://[::1]:8200", true),
        ("https://bao.example", true),
        ("http://bao.example", false),
        ("http://localhost@evil.example", false),
        ("https://bao.example?x", false),
        ("http:///localhost", false),
    ] {
        let text = format!(
            "  a: {{ vault: {{ url: \"{url}\", token_file: t }}, secrets: {{ a: {{ upstream: crm, \
             header: x }} }} }}"
        );
        let whole = format!(
            "version: 1\nupstreams: {{ crm: {{ http: {{ url: 'http://x' }} }} }}\ntargets:\n{text}"
        );
        assert_eq!(parse("s.yaml", &whole, Path::new("/")).is_ok(), fits, "{url}");
    }
}

#[test]
fn slips_in_targets_are_named() {
    let text = "  none: {}
  both: { age: { file: a, identity_file: b }, vault: { url: 'https://x', token_file: t } }
  idle: { age: { file: a, identity_file: b } }
  two: { age: { file: a, identity_file: b }, secrets: { a: { upstream: crm, header: x, env: Y } } }
  where: { age: { file: a, identity_file: b }, secrets: { a: { upstream: crn, header: x } } }
  long: { ttl: 2d, age: { file: a, identity_file: b }, secrets: { a: { upstream: crm, env: Y } } }
  grant: { postgres: { host: x, database: a, user: b, grants: { r: [{ schema: s, tables: [t], privileges: [usage] }] } } }
  on: { postgres: { host: x, database: a, user: b, grants: { r: [{ schema: s, privileges: [select] }] } } }
  empty: { postgres: { host: x, database: a, user: b, grants: { r: [] } } }
";
    let found = problems(text);
    let expected = [
        "s.yaml:4:9: target `none` must be one of a database and two kinds of store",
        "s.yaml:5:9: target `both` must be one of a database and two kinds of store",
        "s.yaml:6:9: target `idle` has no `secrets`, so nothing of it can be used",
        "s.yaml:7:59: target `two` must put secret `a` into one place",
        "s.yaml:8:73: target `where` has a secret for `crn`, which is no upstream",
        "s.yaml:9:16: target `long` has a `ttl` of more than a day, or more than its `ttl_max`",
        "s.yaml:10:70: target `grant` has a privilege that does not fit what it is on",
        "s.yaml:11:67: target `on` has privileges on nothing, or on two kinds of things",
        "s.yaml:12:67: target `empty` has a grant `r` without privileges",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        let text = |line: &str| line.split_once(": ").unwrap().1.to_owned();
        assert!(text(found).starts_with(&text(expected)), "{found}");
        assert_eq!(found.split(':').nth(1), expected.split(':').nth(1));
    }
    for path in ["..", "a/../b", "/a", "a//b", "a?b", "{name}{name}", "a"] {
        let slip = problems(&format!(
            "  a: {{ vault: {{ url: 'https://x', token_file: t, path: '{path}' }} }}"
        ));
        assert!(slip[0].contains("is no path that holds `{name}` once"), "{slip:?}");
    }
    let slip = problems("  a: { age: { file: a, identity_file: b }, secrets: { ../b: {} } }");
    assert!(slip[0].contains("is no name of a secret or grant"), "{slip:?}");
}
