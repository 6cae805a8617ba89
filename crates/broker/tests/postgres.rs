//! Roles in a real PostgreSQL: made, used, renewed, taken back and proved gone, however badly the
//! server behaves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking, and prints why it was skipped; a part is shared"
)]

mod cluster;

use std::time::{Duration, Instant};

use cluster::{HOSTILE, cluster, grant, lease, now, quoted, refusal, secret, state};
use safeconduct_broker::PostgresIssuer;
use safeconduct_model::{LeaseId, LeaseKind, TargetName};
use safeconduct_service::{
    IssueError, Issuer, NamingError, Prospect, RenewError, RevokeError, Seen, TargetFault,
};
use safeconduct_wire::config::Tls;

macro_rules! or_skip {
    () => {
        match cluster() {
            Some(cluster) => cluster,
            None => return,
        }
    };
}

async fn roles(client: &tokio_postgres::Client, name: &str) -> usize {
    client.query("SELECT FROM pg_roles WHERE rolname = $1", &[&name]).await.unwrap().len()
}

#[tokio::test]
async fn a_role_can_do_what_was_granted_until_it_is_taken_back() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader", "numbers"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    assert_eq!(password.reveal().len(), 43);

    let role = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    let note = role.query_one("SELECT note FROM crm.cases", &[]).await.unwrap();
    assert_eq!(note.get::<_, &str>(0), "late parcel");
    role.query_one("SELECT nextval('crm.numbers')", &[]).await.unwrap();
    for refused in [
        "SELECT FROM crm.customers",
        "UPDATE crm.cases SET note = ''",
        "INSERT INTO crm.cases VALUES (1)",
        "SELECT setval('crm.numbers', 1)",
        "CREATE TABLE crm.x ()",
        "CREATE ROLE x",
        "SET ROLE crm_owner",
    ] {
        assert_eq!(state(role.batch_execute(refused).await), "42501", "{refused}");
    }
    let postgres = cluster.postgres("crm").await;
    let attributes = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls \
                      OR rolreplication, rolconnlimit, \
                      extract(epoch FROM rolvaliduntil)::float8 FROM pg_roles WHERE rolname = $1";
    let row = postgres.query_one(attributes, &[&&*lease.name]).await.unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, i32>(1)), (false, 3));
    let until = |row: &tokio_postgres::Row| (row.get::<_, f64>(2) * 1000.0).round() as i64;
    assert_eq!(until(&row), lease.expires_at.as_millis());

    let later = lease.expires_at.plus_ms(60_000);
    issuer.renew(&lease, later).await.unwrap();
    let row = postgres.query_one(attributes, &[&&*lease.name]).await.unwrap();
    assert_eq!(until(&row), later.as_millis());

    // The connection is open, in the middle of a transaction that holds a lock.
    role.batch_execute("BEGIN; LOCK TABLE crm.cases IN ACCESS SHARE MODE").await.unwrap();
    let proof = issuer.revoke(&lease).await.unwrap();
    assert_eq!(proof.seen, [Seen::NotListed, Seen::LoginRefused, Seen::NoSessions].into());
    assert!(role.batch_execute("SELECT 1").await.is_err());
    assert_eq!(state(cluster.connect("crm", &lease.name, password.reveal()).await), "28P01");
    assert_eq!(roles(&postgres, &lease.name).await, 0);

    let again = issuer.revoke(&lease).await.unwrap();
    assert_eq!(again.seen, [Seen::NotListed, Seen::LoginRefused].into());
    let renewed = issuer.renew(&lease, later).await;
    assert_eq!(renewed, Err(RenewError::Gone(lease.id.clone())));
}

#[tokio::test]
async fn columns_are_granted_one_by_one() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_notes"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    let role = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    role.batch_execute("UPDATE crm.cases SET note = note WHERE id = 0").await.unwrap();
    assert_eq!(state(role.batch_execute("SELECT secret FROM crm.cases").await), "42501");
    issuer.revoke(&lease).await.unwrap();
}

#[tokio::test]
async fn an_expired_role_logs_in_no_more() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let mut lease = lease(&issuer, 60_000, &spec);
    lease.expires_at = now().plus_ms(-1);
    let password = secret(issuer.issue(&lease, &spec).await);
    let refused = cluster.connect("crm", &lease.name, password.reveal()).await;
    assert_eq!(state(refused), "28P01");
    issuer.renew(&lease, now().plus_ms(60_000)).await.unwrap();
    cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    issuer.revoke(&lease).await.unwrap();
}

#[tokio::test]
async fn what_a_role_owns_in_every_database_goes_by_policy() {
    let cluster = or_skip!();
    for owned_to in [None, Some("crm_owner")] {
        let (issuer, _folder) =
            cluster.issuer_of(|target| target.reassign_owned_to = owned_to.map(Into::into));
        let spec = grant(&["case_reader"]);
        let lease = lease(&issuer, 60_000, &spec);
        let password = secret(issuer.issue(&lease, &spec).await);
        let table = format!("owned_{}", lease.id);
        for database in ["crm", "archive"] {
            let postgres = cluster.postgres(database).await;
            let role = quoted(&lease.name);
            let may = format!("GRANT CREATE ON DATABASE {database} TO {role}");
            postgres.batch_execute(&may).await.unwrap();
            let role = cluster.connect(database, &lease.name, password.reveal()).await.unwrap();
            let made = format!("CREATE SCHEMA {table} CREATE TABLE {table} (id int)");
            role.batch_execute(&made).await.unwrap();
        }
        let proof = issuer.revoke(&lease).await.unwrap();
        assert!(proof.seen.contains(&Seen::NotListed));
        for database in ["crm", "archive"] {
            let postgres = cluster.postgres(database).await;
            let owner = "SELECT tableowner::text FROM pg_tables WHERE tablename = $1";
            let owner = postgres.query_opt(owner, &[&table]).await.unwrap();
            assert_eq!(owner.map(|row| row.get::<_, String>(0)).as_deref(), owned_to);
        }
    }
}

#[tokio::test]
async fn what_others_depend_on_is_not_dropped_but_the_role_is_shut_out() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    let postgres = cluster.postgres("crm").await;
    let role = quoted(&lease.name);
    postgres.batch_execute(&format!("CREATE TABLE depended (id int); CREATE VIEW other AS SELECT id FROM depended; ALTER TABLE depended OWNER TO {role}")).await.unwrap();
    let error = issuer.revoke(&lease).await.unwrap_err();
    assert_eq!(error.prospect(), Prospect::Lasting, "{error}");
    assert!(error.to_string().contains("2BP01"), "{error}");
    let refused = cluster.connect("crm", &lease.name, password.reveal()).await;
    assert!(["28P01", "28000"].contains(&state(refused).as_str()));
    // Once a person has seen to it, the same call proves it gone.
    postgres.batch_execute("DROP VIEW other").await.unwrap();
    assert!(issuer.revoke(&lease).await.unwrap().seen.contains(&Seen::NotListed));
}

#[tokio::test]
async fn a_prepared_transaction_does_not_outlive_its_role() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_writer"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    let role = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    role.batch_execute("BEGIN; INSERT INTO crm.cases VALUES (7)").await.unwrap();
    role.batch_execute("PREPARE TRANSACTION 'it''s; mine'").await.unwrap();
    issuer.revoke(&lease).await.unwrap();
    let postgres = cluster.postgres("crm").await;
    let left = "SELECT FROM pg_prepared_xacts UNION ALL SELECT FROM crm.cases WHERE id = 7";
    assert_eq!(postgres.query(left, &[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["hostile"]);
    let lease = lease(&issuer, 60_000, &spec);
    let password = secret(issuer.issue(&lease, &spec).await);
    let role = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
    let table = quoted(HOSTILE);
    role.batch_execute(&format!("SELECT {table} FROM crm.{table}")).await.unwrap();
    assert_eq!(state(role.batch_execute("SELECT FROM crm.cases").await), "42501");
    issuer.revoke(&lease).await.unwrap();
    let postgres = cluster.postgres("crm").await;
    assert!(!postgres.query("SELECT FROM crm.cases", &[]).await.unwrap().is_empty());

    // Ids and names that PostgreSQL would read as something else are no names at all.
    for id in ["a\"b", "a b", "a;b", "\u{e4}", &"x".repeat(61)] {
        let id = LeaseId::new(id).unwrap();
        assert!(matches!(issuer.name(&id, &spec), Err(NamingError::Id { .. })), "{id}");
    }
    for name in ["", "a\0b", &"x".repeat(64)] {
        let folder = tempfile::tempdir().unwrap();
        let mut target = cluster.target(folder.path());
        target.reassign_owned_to = Some(name.into());
        let refused = PostgresIssuer::new(TargetName::new("crm").unwrap(), target, 1);
        assert!(matches!(refused.err(), Some(TargetFault::Setup { .. })));
    }
}

#[tokio::test]
async fn a_record_that_names_another_role_reaches_no_database() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let ours = lease(&issuer, 60_000, &spec);
    let foreign = |change: fn(&mut safeconduct_model::Lease)| {
        let mut lease = ours.clone();
        change(&mut lease);
        lease
    };
    for lease in [
        foreign(|lease| lease.name = "crm_owner".into()),
        foreign(|lease| lease.kind = LeaseKind::StaticSecret),
        foreign(|lease| lease.target = TargetName::new("other").unwrap()),
    ] {
        let error = issuer.revoke(&lease).await.unwrap_err();
        assert_eq!(error, RevokeError::Foreign(lease.id.clone()));
        let error = refusal(issuer.issue(&lease, &spec).await);
        assert_eq!(error, IssueError::Foreign(lease.id.clone()));
    }
    assert_eq!(roles(&cluster.postgres("crm").await, "crm_owner").await, 1);
}

#[tokio::test]
async fn what_cannot_be_granted_in_full_leaves_nothing() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let postgres = cluster.postgres("crm").await;
    for (name, said) in [("not_ours", "may not hand out"), ("absent", "42P01")] {
        let spec = grant(&["case_reader", name]);
        let lease = lease(&issuer, 60_000, &spec);
        let error = refusal(issuer.issue(&lease, &spec).await);
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.prospect(), Prospect::Lasting);
        assert_eq!(roles(&postgres, &lease.name).await, 0);
        issuer.revoke(&lease).await.unwrap();
    }
    let id = LeaseId::new("lea_x").unwrap();
    let unknown = issuer.name(&id, &grant(&["case_reader", "export"])).unwrap_err();
    assert_eq!(unknown.to_string(), "target `crm` has no grant `export`");
    assert!(matches!(issuer.name(&id, &grant(&[])), Err(NamingError::Count { .. })));
}

#[tokio::test]
async fn a_role_whose_making_was_never_recorded_is_found_and_removed() {
    let cluster = or_skip!();
    let spec = grant(&["case_reader"]);
    let postgres = cluster.postgres("crm").await;
    // Whoever was making the role is stopped at any moment; whoever starts next knows the plan.
    for stop_ms in [0, 1, 2, 4, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 60, 90] {
        let (before, _folder) = cluster.issuer();
        let lease = lease(&before, 60_000, &spec);
        let stopped =
            tokio::time::timeout(Duration::from_millis(stop_ms), before.issue(&lease, &spec)).await;
        drop(stopped);
        drop(before);
        let (after, _folder) = cluster.issuer();
        let proof = after.revoke(&lease).await.unwrap();
        assert!(proof.seen.contains(&Seen::NotListed) && proof.seen.contains(&Seen::LoginRefused));
        // No transaction that was still under way may bring it back.
        let busy = "SELECT FROM pg_stat_activity WHERE usename = 'safeconduct' AND state <> 'idle' \
                    AND query LIKE '%' || $1 || '%'";
        while !postgres.query(busy, &[&&*lease.name]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(roles(&postgres, &lease.name).await, 0, "stopped after {stop_ms} ms");
    }
}

#[tokio::test]
async fn a_taking_back_that_was_stopped_is_taken_up_again() {
    let cluster = or_skip!();
    let spec = grant(&["case_reader"]);
    let postgres = cluster.postgres("crm").await;
    for stop_ms in [0, 2, 5, 8, 11, 14, 17, 20, 24, 28, 33, 40, 50] {
        let (before, _folder) = cluster.issuer();
        let lease = lease(&before, 60_000, &spec);
        let password = secret(before.issue(&lease, &spec).await);
        let (role, table) = (quoted(&lease.name), format!("stopped_{stop_ms}"));
        let owned = format!("CREATE TABLE {table} (id int); ALTER TABLE {table} OWNER TO {role}");
        postgres.batch_execute(&owned).await.unwrap();
        let open = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
        let stopped = tokio::time::timeout(Duration::from_millis(stop_ms), before.revoke(&lease));
        drop(stopped.await);
        let (after, _folder) = cluster.issuer();
        let proof = after.revoke(&lease).await.unwrap();
        assert!(proof.seen.contains(&Seen::NotListed) && proof.seen.contains(&Seen::LoginRefused));
        assert!(open.batch_execute("SELECT 1").await.is_err(), "stopped after {stop_ms} ms");
        let left = "SELECT FROM pg_tables WHERE tablename = $1";
        assert!(postgres.query(left, &[&table]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn many_leases_on_the_same_tables_come_and_go_at_once() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader", "numbers"]);
    for _ in 0..3 {
        let one = async || {
            let lease = lease(&issuer, 60_000, &spec);
            secret(issuer.issue(&lease, &spec).await);
            issuer.revoke(&lease).await.unwrap()
        };
        tokio::join!(one(), one(), one(), one(), one(), one());
    }
}

#[tokio::test]
async fn taking_back_waits_for_a_making_that_is_under_way() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let postgres = cluster.postgres("crm").await;
    for _ in 0..5 {
        let lease = lease(&issuer, 60_000, &spec);
        let (issued, revoked) = tokio::join!(issuer.issue(&lease, &spec), issuer.revoke(&lease));
        // Whichever came first, one more look decides.
        let proof = issuer.revoke(&lease).await.unwrap();
        assert!(revoked.is_ok() && proof.seen.contains(&Seen::NotListed));
        drop(issued);
        assert_eq!(roles(&postgres, &lease.name).await, 0);
    }
}

#[tokio::test]
async fn a_server_that_is_away_says_so_and_retrying_may_help() {
    let cluster = or_skip!();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (issuer, _folder) = cluster.issuer_of(|target| target.port = free);
    let spec = grant(&["case_reader"]);
    let lease = lease(&issuer, 60_000, &spec);
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert!(matches!(error, IssueError::Target(TargetFault::Unreachable { .. })), "{error}");
    let error = issuer.revoke(&lease).await.unwrap_err();
    assert_eq!(error.prospect(), Prospect::Passing, "{error}");
    assert!(issuer.renew(&lease, now()).await.unwrap_err().prospect() == Prospect::Passing);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() {
    let cluster = or_skip!();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (issuer, _folder) = cluster.issuer_of(|target| target.port = port);
    let spec = grant(&["case_reader"]);
    let lease = lease(&issuer, 60_000, &spec);
    let start = Instant::now();
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert_eq!(error.prospect(), Prospect::Passing, "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
    drop(silent);
}

#[tokio::test]
async fn a_statement_that_waits_for_a_lock_ends_and_leaves_nothing() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["numbers", "case_reader"]);
    let lease = lease(&issuer, 60_000, &spec);
    let postgres = cluster.postgres("crm").await;
    // A lock on the name itself, as a making that hangs would hold it.
    postgres
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('{}', 7411))",
            lease.name
        ))
        .await
        .unwrap();
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert_eq!(error.prospect(), Prospect::Passing, "{error}");
    let error = issuer.revoke(&lease).await.unwrap_err();
    assert_eq!(error.prospect(), Prospect::Passing, "{error}");
    postgres.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(roles(&postgres, &lease.name).await, 0);
    issuer.revoke(&lease).await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_needs_a_person() {
    let cluster = or_skip!();
    let spec = grant(&["case_reader"]);
    let (issuer, folder) = cluster.issuer();
    std::fs::write(folder.path().join("password"), "wrong\n").unwrap();
    let lease = lease(&issuer, 60_000, &spec);
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert!(error.to_string().contains("28P01"), "{error}");
    assert_eq!(error.prospect(), Prospect::Lasting);
    assert!(!error.to_string().contains("wrong"));
    std::fs::remove_file(folder.path().join("password")).unwrap();
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert!(matches!(error, IssueError::Target(TargetFault::Setup { .. })), "{error}");
    // A role that may not make roles.
    let (issuer, folder) = cluster.issuer_of(|target| target.user = "bystander".into());
    std::fs::write(folder.path().join("password"), "bystander-pw\n").unwrap();
    let error = refusal(issuer.issue(&lease, &spec).await);
    assert!(error.to_string().contains("42501"), "{error}");
}

#[tokio::test]
async fn the_way_to_a_remote_server_is_encrypted_and_checked() {
    let cluster = or_skip!();
    if !cluster.tls {
        println!("skipped: no openssl to make a certificate with");
        return;
    }
    let ca_file = cluster.folder.join("ca.crt");
    let spec = grant(&["case_reader"]);
    let encrypted = |ca_file: Option<std::path::PathBuf>, host: &'static str| {
        cluster.issuer_of(move |target| {
            target.tls = Tls::Required;
            target.host = host.into();
            target.ca_file = ca_file;
        })
    };
    let (issuer, _folder) = encrypted(Some(ca_file.clone()), "localhost");
    let lease = lease(&issuer, 60_000, &spec);
    secret(issuer.issue(&lease, &spec).await);
    issuer.revoke(&lease).await.unwrap();
    // Another name than the certificate's, and a certificate that nobody here trusts.
    for (ca_file, host) in [(Some(ca_file), "127.0.0.1"), (None, "localhost")] {
        let (issuer, _folder) = encrypted(ca_file, host);
        let error = refusal(issuer.issue(&lease, &spec).await);
        assert!(matches!(error, IssueError::Target(TargetFault::Unreachable { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_role_is_proved_gone_within_a_tenth_of_a_second() {
    let cluster = or_skip!();
    let (issuer, _folder) = cluster.issuer();
    let spec = grant(&["case_reader"]);
    let mut times = Vec::new();
    for _ in 0..21 {
        let lease = lease(&issuer, 60_000, &spec);
        let password = secret(issuer.issue(&lease, &spec).await);
        let _open = cluster.connect("crm", &lease.name, password.reveal()).await.unwrap();
        let start = Instant::now();
        issuer.revoke(&lease).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("role proved gone: median {:?}, worst {:?}", times[10], times[20]);
    // Other tests share the machine's cores: the bound here is loose, the printed median is not.
    assert!(times[10] < Duration::from_millis(500), "{:?}", times[10]);
}
