//! A PostgreSQL cluster of one's own: in a folder and on a port of its own, gone when the tests
//! are. Nothing here touches a server that runs already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use safeconduct_broker::PostgresIssuer;
use safeconduct_model::{Lease, LeaseId, LeaseKind, TargetName, TaskId, Timestamp};
use safeconduct_service::{GrantSpec, Issuer, Secret};
use safeconduct_wire::config::{PostgresTarget, Privilege, Privileges, PrivilegesOn, Tls};
use tokio_postgres::{Client, NoTls};

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    /// Whether it has a certificate for `localhost`, in `ca.crt` of its folder.
    pub(crate) tls: bool,
}

/// A name that would be several statements if anyone joined it into one.
pub(crate) const HOSTILE: &str = r#"we"ird'; DROP TABLE crm.cases; -- \"#;

/// The one cluster of a test binary; `None`, with the reason printed, where there is no
/// PostgreSQL.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| match Cluster::start() {
        Ok(cluster) => Some(cluster),
        Err(reason) => {
            println!("skipped: {reason}");
            None
        }
    });
    cluster.as_ref()
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}

/// PostgreSQL does not run as root; then it runs as the user of its package.
fn command(program: &Path) -> Command {
    let uid = Command::new("id").arg("-u").output().unwrap().stdout;
    if uid != b"0\n" {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

impl Cluster {
    fn start() -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL in /usr/lib/postgresql")?;
        let folder = tempfile::Builder::new().prefix("sc-pg-").tempdir().unwrap().keep();
        let data = folder.join("data");
        std::fs::write(folder.join("password"), "postgres-pw\n").unwrap();
        if command(Path::new("x")).get_program() == "setpriv" {
            run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(&folder))?;
        }
        run(command(&programs.join("initdb"))
            .args(["--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", folder.join("password").display())))?;
        let tls = certificate(&folder, &data);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = command(&programs.join("postgres"));
        server.arg("-D").arg(&data).args([
            "-c",
            &format!("port={port}"),
            "-c",
            &format!("unix_socket_directories={}", folder.display()),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "log_statement=all",
            "-c",
            "max_prepared_transactions=4",
        ]);
        if tls {
            server.args(["-c", "ssl=on"]);
        }
        // The shell ends the server when this process ends, however it does: then its input does.
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            r#"folder=$1; shift; "$@" & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$folder""#,
            "sh",
        ]);
        shell.arg(&folder).arg(server.get_program()).args(server.get_args());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        std::mem::forget(shell.spawn().map_err(|error| format!("sh: {error}"))?);
        let cluster = Self { port, folder, tls };
        // A runtime of its own, on a thread of its own: tests start within theirs.
        let fill = || tokio::runtime::Runtime::new().unwrap().block_on(cluster.fill());
        std::thread::scope(|scope| scope.spawn(fill).join()).unwrap();
        Ok(cluster)
    }

    /// Databases, owners, and the role that makes roles: no superuser, as it should be.
    async fn fill(&self) {
        let postgres = loop {
            match self.connect("postgres", "postgres", "postgres-pw").await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        for statement in [
            "CREATE ROLE crm_owner",
            "CREATE ROLE safeconduct LOGIN CREATEROLE PASSWORD 'broker-pw' IN ROLE crm_owner",
            "CREATE ROLE bystander LOGIN PASSWORD 'bystander-pw'",
            "CREATE DATABASE crm OWNER crm_owner",
            "CREATE DATABASE archive OWNER crm_owner",
        ] {
            postgres.batch_execute(statement).await.unwrap();
        }
        let hostile = quoted(HOSTILE);
        let crm = self.connect("crm", "postgres", "postgres-pw").await.unwrap();
        crm.batch_execute(&format!(
            "CREATE SCHEMA crm AUTHORIZATION crm_owner; SET ROLE crm_owner;
             CREATE TABLE crm.cases (id int PRIMARY KEY, note text, secret text);
             INSERT INTO crm.cases VALUES (1042, 'late parcel', 'hush');
             CREATE TABLE crm.customers (id int);
             CREATE TABLE crm.{hostile} ({hostile} int);
             CREATE SEQUENCE crm.numbers; RESET ROLE;
             CREATE TABLE crm.foreign_table (id int);
             GRANT SELECT ON crm.foreign_table TO crm_owner; GRANT USAGE ON SCHEMA crm TO bystander;"
        ))
        .await
        .unwrap();
    }

    pub(crate) async fn connect(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).dbname(database).user(user).password(password);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(crate) async fn postgres(&self, database: &str) -> Client {
        self.connect(database, "postgres", "postgres-pw").await.unwrap()
    }

    /// A target's configuration, with a file of the password in `folder`.
    pub(crate) fn target(&self, folder: &Path) -> PostgresTarget {
        use std::os::unix::fs::PermissionsExt;
        let password_file = folder.join("password");
        std::fs::write(&password_file, "broker-pw\n").unwrap();
        std::fs::set_permissions(&password_file, PermissionsExt::from_mode(0o600)).unwrap();
        let on = |on, privileges: &[Privilege]| Privileges {
            schema: "crm".into(),
            on,
            privileges: privileges.iter().copied().collect(),
        };
        let tables = |name: &str| PrivilegesOn::Tables([name.to_owned()].into());
        let (select, insert) = (Privilege::Select, Privilege::Insert);
        let columns = PrivilegesOn::Columns {
            tables: ["cases".to_owned()].into(),
            columns: ["id".to_owned(), "note".to_owned()].into(),
        };
        let hostile_columns = PrivilegesOn::Columns {
            tables: [HOSTILE.to_owned()].into(),
            columns: [HOSTILE.to_owned()].into(),
        };
        let sequences = PrivilegesOn::Sequences(["numbers".to_owned()].into());
        PostgresTarget {
            host: "127.0.0.1".into(),
            port: self.port,
            database: "crm".into(),
            user: "safeconduct".into(),
            password_file: Some(password_file),
            tls: Tls::Off,
            ca_file: None,
            reassign_owned_to: None,
            connections: 3,
            grants: [
                ("case_reader", vec![on(tables("cases"), &[select])]),
                ("case_notes", vec![on(columns, &[select, Privilege::Update])]),
                ("case_writer", vec![on(tables("cases"), &[select, insert])]),
                ("numbers", vec![on(sequences, &[Privilege::Usage])]),
                ("hostile", vec![on(tables(HOSTILE), &[insert]), on(hostile_columns, &[select])]),
                ("not_ours", vec![on(tables("foreign_table"), &[select])]),
                ("absent", vec![on(tables("absent"), &[select])]),
            ]
            .map(|(name, list)| (name.to_owned(), list))
            .into(),
        }
    }

    /// An issuer, and the folder that it needs while it lives.
    pub(crate) fn issuer(&self) -> (PostgresIssuer, tempfile::TempDir) {
        self.issuer_of(|_| {})
    }

    pub(crate) fn issuer_of(
        &self,
        change: impl FnOnce(&mut PostgresTarget),
    ) -> (PostgresIssuer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut target = self.target(folder.path());
        change(&mut target);
        let issuer = PostgresIssuer::new(TargetName::new("crm").unwrap(), target, 2);
        (issuer.unwrap_or_else(|fault| panic!("{fault}")), folder)
    }
}

/// A certificate for `localhost`, where the machine can make one.
fn certificate(folder: &Path, data: &Path) -> bool {
    let made = run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(data.join("server.key"))
        .arg("-out")
        .arg(data.join("server.crt")));
    let key = data.join("server.key");
    let owned = run(Command::new("chown").arg("--reference").arg(data).arg(&key));
    made.and(owned)
        .and_then(|()| run(Command::new("chmod").arg("600").arg(&key)))
        .and_then(|()| run(Command::new("chmod").arg("644").arg(data.join("server.crt"))))
        .and_then(|()| {
            run(Command::new("cp").arg(data.join("server.crt")).arg(folder.join("ca.crt")))
        })
        .is_ok()
}

/// A name as PostgreSQL quotes it, by a rule of the tests' own.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) fn grant(names: &[&str]) -> GrantSpec {
    GrantSpec { grants: names.iter().map(|name| (*name).into()).collect() }
}

/// A lease that nobody else has, for so many milliseconds from now.
pub(crate) fn lease(issuer: &impl Issuer, ttl_ms: i64, spec: &GrantSpec) -> Lease {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = LeaseId::new(format!("lea_{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap();
    Lease {
        name: issuer.name(&id, spec).unwrap(),
        id,
        task: TaskId::new("tsk_1").unwrap(),
        target: TargetName::new("crm").unwrap(),
        kind: LeaseKind::PostgresRole,
        planned_at: now(),
        expires_at: now().plus_ms(ttl_ms),
        last_at: now().plus_ms(3_600_000),
    }
}

/// The secret, or a panic that says why there is none: [`Secret`] itself has no `Debug`.
pub(crate) fn secret<E: std::fmt::Display>(issued: Result<Secret, E>) -> Secret {
    issued.unwrap_or_else(|error| panic!("{error}"))
}

/// The error, where there is no secret.
pub(crate) fn refusal<E>(issued: Result<Secret, E>) -> E {
    match issued {
        Ok(_) => panic!("a secret was issued"),
        Err(error) => error,
    }
}

/// The SQLSTATE that PostgreSQL refused with.
pub(crate) fn state<T>(refused: Result<T, tokio_postgres::Error>) -> String {
    match refused {
        Ok(_) => "no error".into(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |code| code.code().into()),
    }
}
