//! Connections to PostgreSQL, and what its errors mean.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use rustls::ClientConfig;
use safeconduct_model::TargetName;
use safeconduct_service::{Prospect, TargetFault};
use safeconduct_wire::config::PostgresTarget;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::file;

/// Longest message of a server that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// Opens connections, and knows how long anything may take.
pub(super) struct Connector {
    target: TargetName,
    config: Config,
    database: String,
    user: String,
    password_file: Option<PathBuf>,
    tls: Option<MakeRustlsConnect>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(
        target: TargetName,
        postgres: &PostgresTarget,
        tls: Option<ClientConfig>,
        limit: Duration,
    ) -> Self {
        let mut config = Config::new();
        let ms = limit.as_millis();
        // Names are looked up in the catalogue alone: nobody can put a function of theirs before
        // one that is called here.
        let options = format!(
            "-c statement_timeout={ms} -c lock_timeout={ms} \
             -c idle_in_transaction_session_timeout={ms} -c search_path=pg_catalog,pg_temp"
        );
        config
            .host(&postgres.host)
            .port(postgres.port)
            .options(options)
            .application_name("safeconduct")
            .connect_timeout(limit)
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Self {
            target,
            config,
            database: postgres.database.clone(),
            user: postgres.user.clone(),
            password_file: postgres.password_file.clone(),
            tls: tls.map(MakeRustlsConnect::new),
            limit,
        }
    }

    /// What comes of some work, or that it took longer than so many times the limit.
    pub(super) async fn within<T>(
        &self,
        limits: u32,
        work: impl Future<Output = Result<T, TargetFault>>,
    ) -> Result<T, TargetFault> {
        let limit = self.limit.saturating_mul(limits);
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let slow = |_| TargetFault::Slow { target: self.target.clone(), limit_ms };
        tokio::time::timeout(limit, work).await.map_err(slow)?
    }

    /// A connection of our own role to the target's database.
    pub(super) async fn open(&self) -> Result<Client, TargetFault> {
        self.open_database(&self.database).await
    }

    /// A connection of our own role to that database.
    pub(super) async fn open_database(&self, database: &str) -> Result<Client, TargetFault> {
        let password = self.password()?;
        let password = password.as_deref().map(String::as_str);
        let opened = self.connect(database, &self.user, password).await;
        opened.map_err(|error| self.fault("a connection", &error))
    }

    /// A login with that name and password, to the target's database.
    pub(super) async fn log_in(
        &self,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        self.connect(&self.database, user, Some(password)).await
    }

    async fn connect(
        &self,
        database: &str,
        user: &str,
        password: Option<&str>,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = self.config.clone();
        config.dbname(database).user(user);
        if let Some(password) = password {
            config.password(password);
        }
        // The connection ends when its client is dropped; should the server not take part in
        // that, it is let go all the same.
        let longest = self.limit.saturating_mul(8);
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                tokio::spawn(tokio::time::timeout(longest, connection));
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(tokio::time::timeout(longest, connection));
                client
            }
        };
        Ok(client)
    }

    fn password(&self) -> Result<Option<Zeroizing<String>>, TargetFault> {
        let read = self.password_file.as_deref().map(file::read_line).transpose();
        read.map_err(|problem| self.setup(problem))
    }

    pub(super) fn setup(&self, problem: String) -> TargetFault {
        TargetFault::Setup { target: self.target.clone(), problem }
    }

    /// What an error means. `step` is what was to be done.
    pub(super) fn fault(&self, step: &'static str, error: &tokio_postgres::Error) -> TargetFault {
        let target = self.target.clone();
        let Some(db) = error.as_db_error() else {
            return TargetFault::Unreachable { target, problem: printable(&error.to_string()) };
        };
        let code = db.code().code();
        let problem = format!("{} (SQLSTATE {code})", printable(db.message()));
        TargetFault::Refused { target, step, problem, prospect: prospect(code) }
    }
}

/// Whether an error of that SQLSTATE may pass by itself: lost connections, lack of resources, a
/// server that starts or stops, deadlines, locks, conflicts.
fn prospect(code: &str) -> Prospect {
    let passing = ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || ["40001", "40P01", "55006", "55P03", "25P03", "25P04", "XX000"].contains(&code);
    if passing { Prospect::Passing } else { Prospect::Lasting }
}

/// Foreign words, short and on one line.
fn printable(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MESSAGE_CHARS_MAX).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_apart() {
        for code in ["08006", "53300", "57014", "57P03", "40P01", "55P03", "55006"] {
            assert_eq!(prospect(code), Prospect::Passing, "{code}");
        }
        for code in ["42501", "42P01", "28P01", "2BP01", "3D000", "42710"] {
            assert_eq!(prospect(code), Prospect::Lasting, "{code}");
        }
    }

    #[test]
    fn foreign_words_are_short_and_on_one_line() {
        assert_eq!(printable("a\nb\u{1b}[31m"), "a b [31m");
        assert_eq!(printable(&"\u{e4}".repeat(500)).chars().count(), MESSAGE_CHARS_MAX);
    }
}
