//! A PostgreSQL cluster of a test's own: in a folder and on a port of its own, gone when the test
//! is, however it ends. It can be stopped and started again. Nothing here touches a server that
//! runs already.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::server::wait_until;

/// The password of the superuser `postgres`.
const SUPERUSER_PASSWORD: &str = "postgres-pw";

/// Ends the server when its input ends, which it does when this process ends, however it does.
const KEEPER: &str = r#"folder=$1; shift; "$@" & server=$!; cat >/dev/null
kill -INT $server; wait $server; [ -e "$folder/again" ] || rm -rf "$folder""#;

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Where it listens, on loopback.
    pub port: u16,
    folder: PathBuf,
    programs: PathBuf,
    keeper: Option<Child>,
}

/// A session of `psql`, open until it is dropped or cut.
#[derive(Debug)]
pub struct Psql {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Cluster {
    /// Makes and starts one.
    ///
    /// # Errors
    /// Why it cannot be had here.
    pub fn start() -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL in /usr/lib/postgresql")?;
        let folder = tempfile::Builder::new().prefix("sc-pg-").tempdir().map_err(said)?;
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        fs::write(&password, format!("{SUPERUSER_PASSWORD}\n")).map_err(said)?;
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(folder.path()))?;
        }
        run(command(&programs.join("initdb"))
            .args(["--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8"])
            .args(["--no-sync", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", password.display())))?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(said)?;
        let port = listener.local_addr().map_err(said)?.port();
        drop(listener);
        let folder = TempDir::keep(folder);
        let mut cluster = Self { port, folder, programs, keeper: None };
        cluster.resume();
        Ok(cluster)
    }

    /// Starts it again after it was stopped.
    pub fn resume(&mut self) {
        let _ = fs::remove_file(self.folder.join("again"));
        let mut server = command(&self.programs.join("postgres"));
        server.arg("-D").arg(self.folder.join("data"));
        for setting in [
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.folder.display()),
            "listen_addresses=127.0.0.1".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "sh"]).arg(&self.folder);
        shell.arg(server.get_program()).args(server.get_args());
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        self.keeper = Some(shell.unwrap());
        wait_until("PostgreSQL to start", || self.ask("postgres", "SELECT 1").is_ok());
    }

    /// Stops it at once, open sessions or not, and keeps its data.
    pub fn stop(&mut self) {
        fs::write(self.folder.join("again"), "").unwrap();
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// What a superuser's statements give in a database: one line for each row.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String, String> {
        self.ask_as("postgres", SUPERUSER_PASSWORD, database, sql)
    }

    /// What the statements of somebody give in a database: one line for each row.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn ask_as(
        &self,
        user: &str,
        password: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        let output = self.psql(user, password, database).args(["-c", sql]).output();
        let output = output.map_err(said)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// A superuser's session.
    pub fn session(&self, database: &str) -> Psql {
        self.session_as("postgres", SUPERUSER_PASSWORD, database)
    }

    /// A session of somebody.
    pub fn session_as(&self, user: &str, password: &str, database: &str) -> Psql {
        let mut psql = self.psql(user, password, database);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Psql { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// Whether a role of that name is listed.
    pub fn has_role(&self, name: &str) -> bool {
        let sql = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{name}'");
        self.ask("postgres", &sql).unwrap() == "1"
    }

    fn psql(&self, user: &str, password: &str, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-p", &self.port.to_string(), "-U", user, "-d", database])
            .env("PGPASSWORD", password)
            .env("PGCONNECT_TIMEOUT", "10");
        psql
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("again"));
        match self.keeper.take() {
            Some(mut keeper) => {
                drop(keeper.stdin.take());
                let _ = keeper.wait();
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

impl Psql {
    /// The rows that a statement gives.
    ///
    /// # Errors
    /// What was said before the session ended.
    pub fn ask(&mut self, sql: &str) -> Result<Vec<String>, String> {
        const END: &str = "-- that was all --";
        let written = writeln!(self.stdin, "{sql};\nSELECT '{END}';");
        let mut rows = Vec::new();
        let mut line = String::new();
        while written.is_ok() && self.stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.trim_end() == END {
                return Ok(rows);
            }
            rows.push(line.trim_end().to_owned());
            line.clear();
        }
        let mut why = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut why);
        }
        Err(why)
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    folders.filter(|folder| ["initdb", "psql"].iter().all(|name| folder.join(name).exists())).max()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// PostgreSQL does not run as root; then it runs as the user of its package.
fn command(program: &Path) -> Command {
    if !is_root() {
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

fn said(error: std::io::Error) -> String {
    error.to_string()
}
