//! The solver cvc5, as proofs ask it: a process for each question, which is ended when its time
//! is up.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// How much longer than its own limit it may take before it is ended from here.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take to say its version.
const VERSION: Duration = Duration::from_secs(5);

/// How long questions may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SolverTime {
    /// One.
    pub(crate) question: Duration,
    /// All of them.
    pub(crate) total: Duration,
}

/// The solver, or that it is not there.
pub(crate) struct Cvc5 {
    program: Option<PathBuf>,
    version: Option<String>,
    question: Duration,
    until: Instant,
    script: Vec<u8>,
}

impl Cvc5 {
    /// Looks for it: what the variable `CVC5` names, or `cvc5` on the path. The time starts.
    pub(crate) async fn find(time: SolverTime) -> Self {
        let program = match std::env::var_os("CVC5").filter(|named| !named.is_empty()) {
            Some(named) => Some(PathBuf::from(named)),
            None => on_path(std::env::var_os("PATH").unwrap_or_default()),
        };
        let version = match &program {
            Some(program) => version(program).await,
            None => None,
        };
        let program = program.filter(|_| version.is_some());
        let until = Instant::now() + time.total;
        Self { program, version, question: time.question, until, script: Vec::new() }
    }

    /// What it is: `cvc5 1.0.3`; `None` where it is not there.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Puts what was written to a new process, and reads what it says.
    async fn ask(&mut self, end: &[u8]) -> Result<String, SolverError> {
        let mut script = std::mem::take(&mut self.script);
        script.extend_from_slice(end);
        let Some(program) = &self.program else {
            return Err(io::Error::from(ErrorKind::NotFound).into());
        };
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(ErrorKind::QuotaExceeded).into());
        }
        let limit = self.question.min(left);
        let milliseconds = limit.as_millis().max(1);
        let limit_flag = format!("--tlimit={milliseconds}");
        let answer = timeout(limit + GRACE, talk(program, &limit_flag, &script)).await;
        match answer {
            Ok(Ok(said)) if is_answer(&said) => Ok(said),
            Ok(Ok(said)) if !said.contains("interrupted by timeout") && !said.trim().is_empty() => {
                let first = said.lines().next().unwrap_or_default();
                Err(SolverError::UnrecognizedSolverOutput(first.to_owned()))
            }
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) | Err(_) if self.until <= Instant::now() => {
                Err(io::Error::from(ErrorKind::QuotaExceeded).into())
            }
            Ok(Ok(_)) | Err(_) => Err(io::Error::from(ErrorKind::TimedOut).into()),
        }
    }
}

/// Whether it found an answer, or says that it knows none.
fn is_answer(said: &str) -> bool {
    matches!(said.lines().next().map(str::trim), Some("sat" | "unsat" | "unknown"))
}

impl Solver for Cvc5 {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.script
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        self.script.extend_from_slice(b"(set-option :produce-models true)\n");
        Ok(())
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        let said = self.ask(b"(check-sat)\n(exit)\n").await?;
        Ok(match said.lines().next().map(str::trim) {
            Some("sat") => Decision::Sat,
            Some("unsat") => Decision::Unsat,
            _ => Decision::Unknown,
        })
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        let said = self.ask(b"(check-sat)\n(get-model)\n(exit)\n").await?;
        let (first, rest) = said.split_once('\n').unwrap_or((&said, ""));
        Ok(match first.trim() {
            "sat" => DecisionWithModel::Sat { model: rest.to_owned() },
            "unsat" => DecisionWithModel::Unsat,
            _ => DecisionWithModel::Unknown,
        })
    }
}

/// Says something to a new process, and hears what it says until it ends.
async fn talk(program: &Path, limit: &str, script: &[u8]) -> io::Result<String> {
    // It learns nothing of this process's secrets.
    let mut child = Command::new(program)
        .args(["--lang", "smt", limit])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let tell = async {
        if let Some(mut stdin) = stdin {
            // One that has ended says why on its own.
            let _ = stdin.write_all(script).await;
        }
    };
    let hear = async {
        match stdout {
            Some(stdout) => read(stdout).await,
            None => Ok(String::new()),
        }
    };
    let ((), said) = tokio::join!(tell, hear);
    child.wait().await?;
    said
}

async fn read(from: impl AsyncRead + Unpin) -> io::Result<String> {
    let mut said = Vec::new();
    from.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut said).await?;
    if said.len() as u64 > ANSWER_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "it says more than is read"));
    }
    String::from_utf8(said).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn on_path(path: OsString) -> Option<PathBuf> {
    std::env::split_paths(&path).map(|folder| folder.join("cvc5")).find(|file| file.is_file())
}

/// What it says of itself; `None` where it cannot be started.
async fn version(program: &Path) -> Option<String> {
    let asked = Command::new(program)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = timeout(VERSION, asked).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let number = said.lines().next()?.rsplit_once("version ")?.1.split_whitespace().next()?;
    Some(format!("cvc5 {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: SolverTime =
        SolverTime { question: Duration::from_secs(5), total: Duration::from_secs(20) };

    /// A solver that is a shell script.
    fn standing_in(script: &str, time: SolverTime) -> (tempfile::TempDir, Cvc5) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("cvc5");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let until = Instant::now() + time.total;
        let solver = Cvc5 {
            program: Some(program),
            version: None,
            question: time.question,
            until,
            script: b"(set-logic ALL)\n".to_vec(),
        };
        (folder, solver)
    }

    fn kind(error: SolverError) -> ErrorKind {
        match error {
            SolverError::Io(error) => error.kind(),
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn one_that_never_answers_is_ended() {
        let time = SolverTime { question: Duration::from_millis(50), ..TIME };
        let (_folder, mut solver) = standing_in("exec /bin/sleep 600", time);
        let error = solver.check_sat().await.unwrap_err();
        assert_eq!(kind(error), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn no_time_left_is_said() {
        let time = SolverTime { total: Duration::ZERO, ..TIME };
        let (_folder, mut solver) = standing_in("echo unsat", time);
        assert_eq!(kind(solver.check_sat().await.unwrap_err()), ErrorKind::QuotaExceeded);
    }

    #[tokio::test]
    async fn only_answers_count() {
        for (says, wanted) in [
            ("echo unsat", Some(Decision::Unsat)),
            ("echo sat", Some(Decision::Sat)),
            ("echo unknown", Some(Decision::Unknown)),
            ("echo unsatisfied", None),
            ("echo '(error \"Parse Error: x\")'", None),
        ] {
            let (_folder, mut solver) = standing_in(&format!("/bin/cat >/dev/null; {says}"), TIME);
            assert_eq!(solver.check_sat().await.ok(), wanted, "{says}");
        }
        // One that ends without a word has no answer either.
        let (_folder, mut solver) = standing_in("exit 1", TIME);
        assert!(solver.check_sat().await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_asked() {
        let (folder, mut solver) = standing_in("", TIME);
        assert_eq!(version(&folder.path().join("nothing")).await, None);
        solver.program = None;
        assert_eq!(kind(solver.check_sat().await.unwrap_err()), ErrorKind::NotFound);
    }
}
