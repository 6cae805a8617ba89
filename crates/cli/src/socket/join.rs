//! The wrapper's side: join the server, start it where it does not run, and pass bytes on.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout};

use super::hello::{LINE_BYTES_MAX, LINE_TIME, line};
use super::{Answer, Hello, place};
use crate::exit::{CommandError, failed};

/// How long a server may take from its start to its socket.
const START: Duration = Duration::from_secs(30);
/// How long we go on when the server that we started has ended: another wrapper's may be coming.
const AFTER_ITS_END: Duration = Duration::from_secs(3);
/// How often the socket is tried meanwhile.
const RETRY: Duration = Duration::from_millis(25);
/// How long a server that we start goes on without clients, in seconds.
const IDLE_EXIT_S: u32 = 300;
/// How long answers may still come once the client has ended its input.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a server may end between accepting us and answering.
const ATTEMPTS: u32 = 3;
/// Most of a failed server's log that is shown, in bytes.
const LOG_TAIL: usize = 2048;

/// A wrapper's way to the server.
pub(crate) struct Joined {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    /// The identity that the client acts as.
    pub(crate) agent: String,
}

/// Joins the server of that socket; starts it where it does not run.
///
/// # Errors
/// The server does not start, or refuses.
pub(crate) async fn join(socket: &Path, hello: &Hello) -> Result<Joined, CommandError> {
    for _ in 0..ATTEMPTS {
        let stream = connect_or_start(socket, &hello.config).await?;
        ours(&stream)?;
        if let Some(joined) = greet(stream, hello).await? {
            return Ok(joined);
        }
    }
    Err(CommandError::Failed("the server ended while it was being joined; try again".into()))
}

/// Another user's server would see what is meant for ours.
fn ours(stream: &UnixStream) -> Result<(), CommandError> {
    let peer = stream.peer_cred().map_err(|error| failed("socket", error))?;
    if peer.uid() == rustix::process::getuid().as_raw() {
        return Ok(());
    }
    Err(CommandError::Failed("the server behind the socket is another user's".into()))
}

/// Says hello. `None` where the server was on its way out.
async fn greet(stream: UnixStream, hello: &Hello) -> Result<Option<Joined>, CommandError> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    if write.write_all(&line(hello)?).await.is_err() {
        return Ok(None);
    }
    let mut answer = Vec::new();
    let mut limited = (&mut read).take(LINE_BYTES_MAX);
    match timeout(LINE_TIME, limited.read_until(b'\n', &mut answer)).await {
        Err(_) => return Err(CommandError::Failed("the server does not answer".into())),
        Ok(Err(_) | Ok(0)) => return Ok(None),
        Ok(Ok(_)) => {}
    }
    match serde_json::from_slice(&answer).map_err(|error| failed("the server's answer", error))? {
        Answer::Ok { agent } => Ok(Some(Joined { read, write, agent })),
        Answer::Error(why) => Err(CommandError::Failed(why)),
    }
}

async fn connect_or_start(socket: &Path, config: &Path) -> Result<UnixStream, CommandError> {
    if let Ok(stream) = UnixStream::connect(socket).await {
        return Ok(stream);
    }
    place::prepare(socket)?;
    let log = socket.with_extension("log");
    let mut server = start(config, &log)?;
    let mut deadline = Instant::now() + START;
    let mut ended = None;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= deadline => {
                let why = ended.unwrap_or_else(|| format!("its socket does not open: {error}"));
                return Err(CommandError::Failed(format!(
                    "the server does not start: {why}\n{}",
                    tail(&log)
                )));
            }
            Err(_) => {}
        }
        // Where two wrappers start at once, one server finds the data folder taken and ends.
        if ended.is_none()
            && let Ok(Some(status)) = server.try_wait()
        {
            ended = Some(format!("it ended with {status}"));
            deadline = deadline.min(Instant::now() + AFTER_ITS_END);
        }
        sleep(RETRY).await;
    }
}

/// Starts a server that outlives us: in a process group of its own, with a log for what it says.
fn start(config: &Path, log: &Path) -> Result<Child, CommandError> {
    let program = std::env::current_exe().map_err(|error| failed("our own program", error))?;
    let log = open_log(log).map_err(|error| failed(&log.display().to_string(), error))?;
    Command::new(program)
        .arg("server")
        .arg("--config")
        .arg(config)
        .args(["--idle-exit-s", &IDLE_EXIT_S.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .current_dir(config.parent().unwrap_or(Path::new("/")))
        .process_group(0)
        .spawn()
        .map_err(|error| failed("the server cannot be started", error))
}

fn open_log(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// The last that a server said.
fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(LOG_TAIL);
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).trim_end().to_owned()
}

/// How a wrapped conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client had no more to say.
    ByClient,
    /// The server went away.
    ByServer,
}

/// Passes bytes both ways until either side ends.
///
/// # Errors
/// A side cannot be read or written.
pub(crate) async fn pump(
    joined: Joined,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<Ended, CommandError> {
    let Joined { mut read, mut write, .. } = joined;
    let mut answers = std::pin::pin!(async move {
        let copied = tokio::io::copy_buf(&mut read, &mut output).await;
        output.flush().await.and(copied)
    });
    let asked = async move {
        let copied = tokio::io::copy(&mut input, &mut write).await;
        let closed = write.shutdown().await;
        // The half stays until its end is known, since dropping it is an end too.
        (copied.and(closed), write)
    };
    tokio::select! {
        answered = &mut answers => {
            answered.map_err(|error| failed("the server's answers", error))?;
            Ok(Ended::ByServer)
        }
        (asked, _write) = asked => {
            // What is under way may still be answered.
            let last = timeout(LAST_WORDS, answers).await;
            if asked.is_err() && last.is_ok() {
                return Ok(Ended::ByServer);
            }
            Ok(Ended::ByClient)
        }
    }
}
