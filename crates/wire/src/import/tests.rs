//! What is imported, and what is refused with its line and field.

use safeconduct_model::{IdentityKind, IdentityStatus};

use super::*;

fn of(form: ImportForm, text: &str) -> Rows {
    read(form, text.as_bytes(), &Unsaid::default()).unwrap()
}

fn faults(rows: &Rows) -> Vec<(u64, &str)> {
    rows.faults.iter().map(|fault| (fault.line, &*fault.field)).collect()
}

fn ids(rows: &Rows) -> Vec<&str> {
    rows.rows.iter().map(|row| row.id.as_str()).collect()
}

#[test]
fn a_csv_file_is_read_however_it_is_written() {
    let plain = "id,kind,owner,groups,display_name\nada,user,,,\"Ada, the first\"\n\
                 bot,agent,ada,clerks night,Bot\n";
    let rows = of(ImportForm::Csv, plain);
    assert_eq!(ids(&rows), ["ada", "bot"]);
    assert_eq!(rows.rows[0].said.display_name.as_deref(), Some("Ada, the first"));
    assert_eq!(rows.rows[1].said.kind, Some(IdentityKind::Agent));
    assert_eq!(rows.rows[1].said.groups.as_ref().unwrap().len(), 2);
    assert_eq!(rows.rows[1].line, 3);
    assert!(rows.faults.is_empty());
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    assert_eq!(of(ImportForm::Csv, &windows), rows);
}

#[test]
fn a_formula_is_a_text() {
    for cell in ["=1+1", "+41", "-2", "@SUM(A1)", "=HYPERLINK(\"\"x\"\")"] {
        let rows = of(ImportForm::Csv, &format!("id,kind,display_name\nada,user,\"{cell}\"\n"));
        let name = rows.rows[0].said.display_name.as_deref();
        assert_eq!(name, Some(cell.replace("\"\"", "\"")).as_deref());
    }
}

#[test]
fn each_wrong_row_is_named_by_line_and_field() {
    let long = "x".repeat(1024 * 1024);
    let text = format!(
        "id,kind,status,owner\nok,user,,\nbad,robot,,\n,user,,\nshort\n\
         big,user,,{long}\nhid\u{200b}den,user,,\nx,user,gone,\nfine,agent,,ada\n"
    );
    let rows = of(ImportForm::Csv, &text);
    assert_eq!(ids(&rows), ["ok", "fine"]);
    let named = [(3, "kind"), (4, "id"), (5, "row"), (6, "owner"), (7, "id"), (8, "status")];
    assert_eq!(faults(&rows), named);
    assert!(rows.faults.iter().all(|fault| fault.problem.len() < 300), "{:?}", rows.faults);
}

#[test]
fn bytes_that_are_no_text_spoil_their_row_alone() {
    let mut bytes = b"id,kind\nada,user\nb\xff,user\n".to_vec();
    bytes.extend_from_slice(b"eve,user\n");
    let rows = read(ImportForm::Csv, &bytes, &Unsaid::default()).unwrap();
    assert_eq!((ids(&rows), faults(&rows)), (vec!["ada", "eve"], vec![(3, "id")]));
}

#[test]
fn a_header_that_does_not_fit_refuses_the_file() {
    for (head, says) in [
        ("id,kind,colour", "`colour`"),
        ("id,kind,kind", "twice"),
        ("kind,owner", "`id` is missing"),
        ("id,owner", "`kind` is missing"),
        ("", "`id` is missing"),
        ("ID,kind", "`ID`"),
    ] {
        let error = read(ImportForm::Csv, head.as_bytes(), &Unsaid::default()).unwrap_err();
        assert!(error.line == 1 && error.problem.contains(says), "{head}: {error}");
    }
    let unsaid = Unsaid { kind: Some(IdentityKind::User), ..Unsaid::default() };
    let rows = read(ImportForm::Csv, b"id\nada\n", &unsaid).unwrap();
    assert_eq!(rows.rows[0].said.kind, Some(IdentityKind::User));
}

#[test]
fn a_quote_that_never_ends_takes_nobody_in() {
    let rows = of(ImportForm::Csv, "id,kind\n\"ada,user\nbob,user\neve,user\n");
    assert_eq!(ids(&rows), Vec::<&str>::new());
    assert_eq!(rows.faults.len(), 1);
}

#[test]
fn twins_are_refused_and_both_are_named() {
    let rows = of(
        ImportForm::Csv,
        "id,kind\nada,user\nAda,user\nbob,user\nbob,user\nеve,user\neve,user\nfine,user\n",
    );
    assert_eq!(ids(&rows), ["fine"]);
    assert_eq!(rows.faults.len(), 6);
    let said = |line: u64| &rows.faults.iter().find(|fault| fault.line == line).unwrap().problem;
    assert!(said(2).contains("case from `Ada` in line 3"), "{}", said(2));
    assert!(said(3).contains("case from `ada` in line 2"), "{}", said(3));
    assert!(said(5).contains("`bob` is in line 4 too"), "{}", said(5));
    assert!(said(7).contains("looks like `еve` in line 6"), "{}", said(7));
}

#[test]
fn entries_of_a_spire_server_are_workloads() {
    let text = r#"{ "entries": [
  { "id": "e-1", "spiffe_id": { "trust_domain": "example.org", "path": "/ns/prod/sa/bot" },
    "parent_id": { "trust_domain": "example.org", "path": "/agent" }, "selectors": [], "hint": "" },
  { "id": "e-2", "spiffe_id": { "trust_domain": "example.org", "path": "/ns/prod/sa/bot" } },
  { "id": "e-3", "spiffe_id": { "trust_domain": "example.org", "path": "/../x" } },
  { "id": 4 },
  { "spiffe_id": { "trust_domain": "Example.org", "path": "/x" } }
], "next_page_token": "" }"#;
    let rows = of(ImportForm::Spire, text);
    assert_eq!(ids(&rows), ["spiffe://example.org/ns/prod/sa/bot"]);
    assert_eq!(rows.rows[0].said.kind, Some(IdentityKind::Workload));
    assert_eq!((rows.rows[0].line, rows.rows[0].said.external_id.as_deref()), (2, Some("e-1")));
    assert_eq!(rows.others, 1);
    let named = [(5, "spiffe_id.path"), (6, "entry"), (7, "spiffe_id.trust_domain")];
    assert_eq!(faults(&rows), named);
}

#[test]
fn json_that_is_none_is_refused_with_its_line() {
    for (text, line) in [
        ("", 1),
        ("{}", 1),
        ("[\n1,\n}", 3),
        ("{\"entries\": [],\n\"entries\": []}", 2),
        ("{\"entries\": 7}", 1),
        ("[] x", 1),
    ] {
        let error = read(ImportForm::Spire, text.as_bytes(), &Unsaid::default()).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
    }
    let deep = "[".repeat(1_000_000);
    assert!(read(ImportForm::Spire, deep.as_bytes(), &Unsaid::default()).is_err());
    let within = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(of(ImportForm::Oauth, &within).faults.len(), 1);
    assert!(read(ImportForm::Oauth, b"[\xff]", &Unsaid::default()).is_err());
}

#[test]
fn service_accounts_are_found_among_manifests() {
    let text = r#"# a chart
apiVersion: v1
kind: ServiceAccount
metadata:
  name: bot
  namespace: prod
  uid: 6b1c
  annotations: { safeconduct/owner: ada, safeconduct/fallback-owner: bob }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: bot }
---
---
kind: List
items:
- { kind: ServiceAccount, metadata: { name: night, namespace: test,
      annotations: { safeconduct/kind: agent, safeconduct/environment: test } } }
- { kind: ServiceAccount, metadata: { name: lost } }
- { kind: Secret }
- { kind: ServiceAccount, metadata: { name: Big, namespace: test } }
"#;
    let rows = of(ImportForm::Kubernetes, text);
    assert_eq!(ids(&rows), ["system:serviceaccount:prod:bot", "system:serviceaccount:test:night"]);
    let bot = &rows.rows[0].said;
    assert_eq!(bot.owner.as_ref().map(AsRef::as_ref), Some("ada"));
    assert_eq!(
        (bot.kind, bot.external_id.as_deref()),
        (Some(IdentityKind::ServiceAccount), Some("6b1c"))
    );
    assert_eq!(rows.rows[1].said.kind, Some(IdentityKind::Agent));
    assert_eq!(rows.others, 2);
    assert_eq!(faults(&rows), [(19, "metadata.namespace"), (21, "metadata.name")]);
}

#[test]
fn manifests_that_grow_or_nest_are_refused() {
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
    let error = read(ImportForm::Kubernetes, bomb.as_bytes(), &Unsaid::default()).unwrap_err();
    assert!(error.line == 1 && error.problem.contains("aliases"), "{error}");
    let deep = format!("kind: {}", "[".repeat(100_000));
    assert!(read(ImportForm::Kubernetes, deep.as_bytes(), &Unsaid::default()).is_err());
    let twice = "kind: ServiceAccount\nkind: ServiceAccount\n";
    assert!(read(ImportForm::Kubernetes, twice.as_bytes(), &Unsaid::default()).is_err());
    let tagged = "kind: !!python/object ServiceAccount\n";
    assert!(read(ImportForm::Kubernetes, tagged.as_bytes(), &Unsaid::default()).is_err());
    assert_eq!(of(ImportForm::Kubernetes, ""), Rows::default());
}

#[test]
fn clients_of_authorization_servers_are_service_accounts() {
    let text = r#"[
  { "client_id": "c1", "client_name": "Nightly", "client_secret": "s", "owner": "ada" },
  { "clientId": "c2", "name": "", "enabled": false },
  { "client_id": 3 },
  { "client_id": "" }
]"#;
    let unsaid = Unsaid {
        issuer: Some("https://idp.example".into()),
        environment: Some("production".into()),
        ..Unsaid::default()
    };
    let rows = read(ImportForm::Oauth, text.as_bytes(), &unsaid).unwrap();
    assert_eq!(ids(&rows), ["https://idp.example|c1", "https://idp.example|c2"]);
    assert_eq!(rows.rows[0].said.display_name.as_deref(), Some("Nightly"));
    assert_eq!(rows.rows[1].said.status, Some(IdentityStatus::Suspended));
    assert_eq!(rows.rows[1].said.environment.as_deref(), Some("production"));
    assert_eq!(faults(&rows), [(4, "client"), (5, "client_id")]);
    assert!(!format!("{:?}", rows).contains("\"s\""));
}
