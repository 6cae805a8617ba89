//! An upstream that is a child process: one message per line, supervised, with nothing of our
//! environment but what is listed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use safeconduct_credential::inject::{ScrubStream, Scrubber};
use safeconduct_model::{ServerName, Value};
use safeconduct_wire::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Answered, Inbound, LinkError, Outgoing, Wiring};
use crate::config::{Limits, Transport, UpstreamConfig};
use crate::headers::META_SUBSCRIPTION;
use crate::id_scan::{IdScan, Scanned};
use crate::inject::scrubbed;
use crate::message::{self, Answer, Id, Message};
use crate::related::Related;
use crate::{Secrets, edit};

/// How long a child may take to end after its input is closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Longest line of a child's error output that is logged, in bytes; the rest of it is left out.
const STDERR_LINE_MAX: usize = 4096;
/// Most lines of a child's error output that are logged in all.
const STDERR_LINES_MAX: usize = 10_000;

pub(crate) struct StdioLink {
    shared: Arc<Shared>,
}

struct Shared {
    name: ServerName,
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    pending: Mutex<HashMap<i64, Waiting>>,
    closed: CancellationToken,
    limits: json::Limits,
    scrubber: Option<Arc<Scrubber>>,
}

struct Waiting {
    answer: oneshot::Sender<Result<Answer, LinkError>>,
    related: Arc<Related>,
}

impl StdioLink {
    pub(crate) fn start(
        config: &UpstreamConfig,
        limits: &Limits,
        wiring: &Wiring,
        secrets: Option<&Secrets>,
        inbound: Arc<dyn Inbound>,
    ) -> Result<Self, LinkError> {
        let Transport::Stdio { env, .. } = &config.transport else {
            return Err(LinkError::NotSent("it is no command".into()));
        };
        let added = secrets.map(|secrets| secrets.environment(&config.name, env)).transpose();
        let added = added.map_err(LinkError::NotInjected)?.unwrap_or_default();
        let scrubber = secrets.and_then(Secrets::scrubber);
        let mut child = spawn(config, added)
            .map_err(|error| LinkError::NotSent(format!("its command does not start: {error}")))?;
        let shared = Arc::new(Shared {
            name: config.name.clone(),
            stdin: tokio::sync::Mutex::new(child.stdin.take()),
            pending: Mutex::default(),
            closed: CancellationToken::new(),
            limits: json::Limits { bytes: limits.answer_bytes, depth: limits.answer_depth },
            scrubber: scrubber.clone(),
        });
        tracing::info!(server = %config.name, pid = child.id(), "upstream started");
        if let Some(stdout) = child.stdout.take() {
            wiring.tasks.spawn(Arc::clone(&shared).read(stdout, inbound));
        }
        if let Some(stderr) = child.stderr.take() {
            wiring.tasks.spawn(log_stderr(config.name.clone(), stderr, scrubber));
        }
        wiring.tasks.spawn(supervise(Arc::clone(&shared), child));
        Ok(Self { shared })
    }

    pub(crate) async fn call(
        &self,
        outgoing: Outgoing<'_>,
        related: &Arc<Related>,
    ) -> Result<Answered, LinkError> {
        let id = outgoing.id;
        let bytes = message::request_bytes(&Id::Integer(id), outgoing.method, outgoing.params);
        let (answer, waiter) = oneshot::channel();
        self.shared.pending().insert(id, Waiting { answer, related: Arc::clone(related) });
        let _forget = Forget { shared: &self.shared, id };
        if self.shared.closed.is_cancelled() {
            return Err(LinkError::NotSent("it has ended".into()));
        }
        self.send(bytes).await?;
        match waiter.await {
            Ok(answer) => Ok(answer?.into()),
            Err(_) => Err(LinkError::Gone),
        }
    }

    pub(crate) async fn send(&self, mut bytes: Vec<u8>) -> Result<(), LinkError> {
        bytes.push(b'\n');
        let mut stdin = self.shared.stdin.lock().await;
        let Some(stdin) = stdin.as_mut() else {
            return Err(LinkError::NotSent("it has ended".into()));
        };
        // A write that is given up in its middle leaves half a line; nothing can follow it.
        let half = EndUnlessDone { closed: Some(&self.shared.closed) };
        stdin
            .write_all(&bytes)
            .await
            .map_err(|error| LinkError::NotSent(format!("it takes no input: {error}")))?;
        half.done();
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.closed.is_cancelled()
    }

    pub(crate) fn close(&self) {
        self.shared.closed.cancel();
    }
}

impl Drop for StdioLink {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(config: &UpstreamConfig, added: Vec<(OsString, OsString)>) -> std::io::Result<Child> {
    let Transport::Stdio { command, args, env, cwd } = &config.transport else {
        return Err(std::io::Error::other("it is no command"));
    };
    let mut process = Command::new(command);
    process
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .envs(added)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(cwd) = cwd {
        process.current_dir(cwd);
    }
    process.spawn()
}

/// Waits for the child to end, or ends it.
async fn supervise(shared: Arc<Shared>, mut child: Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let signal = |signal| {
        if let Some(group) = group {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(group, signal);
        }
    };
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        () = shared.closed.cancelled() => None,
    };
    shared.closed.cancel();
    if let Some(status) = ended {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        tracing::warn!(server = %shared.name, status, "upstream ended");
        signal(Signal::KILL);
    } else {
        if let Ok(mut stdin) = tokio::time::timeout(GRACE, shared.stdin.lock()).await {
            stdin.take();
        }
        if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
            signal(Signal::TERM);
            let _ = tokio::time::timeout(GRACE, child.wait()).await;
        }
        signal(Signal::KILL);
        let _ = child.wait().await;
        tracing::debug!(server = %shared.name, "upstream stopped");
    }
    shared.stdin.lock().await.take();
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<i64, Waiting>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(self: Arc<Self>, stdout: impl AsyncRead + Unpin, inbound: Arc<dyn Inbound>) {
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        let mut line = Line::default();
        loop {
            let chunk = match stdout.fill_buf().await {
                Ok([]) | Err(_) => break,
                Ok(chunk) => chunk,
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (head, _) = chunk.split_at(end.unwrap_or(chunk.len()));
            line.push(head, self.limits.bytes);
            let used = head.len() + usize::from(end.is_some());
            stdout.consume(used);
            if end.is_some() {
                self.line_ended(std::mem::take(&mut line), &*inbound);
            }
        }
        self.closed.cancel();
        // Dropping a waiting call's sender tells it that the upstream is gone.
        self.pending().clear();
    }

    fn line_ended(&self, line: Line, inbound: &dyn Inbound) {
        let bytes = match line {
            Line::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => return,
            Line::Whole(bytes) => bytes,
            Line::TooLong(scan) => {
                return self.fail(*scan, LinkError::TooLarge { limit: self.limits.bytes });
            }
        };
        let message = message::parse_within(&bytes, self.limits);
        match message.map(|message| scrubbed(message, self.scrubber.as_deref())) {
            Ok(Message::Response(Some(Id::Integer(id)), answer)) => {
                match self.pending().remove(&id) {
                    // The call may have been given up at this very moment.
                    Some(waiting) => drop(waiting.answer.send(Ok(answer))),
                    None => tracing::warn!(
                        server = %self.name, id, "an answer that nobody waits for was dropped"
                    ),
                }
            }
            Ok(Message::Response(id, _)) => {
                tracing::warn!(
                    server = %self.name,
                    id = id.as_ref().map_or("none", Id::kind),
                    bytes = bytes.len(),
                    "a stray answer was dropped"
                );
                self.note_garbage();
            }
            Ok(message) => {
                let related = self.related(&message);
                inbound.receive(message, related.as_ref());
            }
            Err(error) => {
                tracing::warn!(
                    server = %self.name,
                    code = error.code(),
                    bytes = bytes.len(),
                    "a line that is no message was dropped"
                );
                let mut scan = IdScan::default();
                scan.feed(&bytes);
                self.fail(scan, LinkError::Malformed);
            }
        }
    }

    /// Fails the call whose answer cannot be used. Where it cannot be told which, every waiting
    /// call remembers that something was there. What the server sends by itself answers no call,
    /// whatever its id.
    fn fail(&self, scan: IdScan, error: LinkError) {
        let waiting = match scan.finish() {
            Scanned::Call => {
                tracing::warn!(server = %self.name, %error, "what the server sent was dropped");
                return;
            }
            Scanned::Answer(Some(Id::Integer(id))) => self.pending().remove(&id),
            Scanned::Answer(_) => None,
        };
        match waiting {
            Some(waiting) => drop(waiting.answer.send(Err(error))),
            None => self.note_garbage(),
        }
    }

    fn note_garbage(&self) {
        self.pending().values().for_each(|waiting| waiting.related.note_garbage());
    }

    /// The call that a message belongs to: by the token or id that it carries; a request by
    /// itself belongs to the youngest call, and anything else to the only call there is.
    fn related(&self, message: &Message) -> Option<Arc<Related>> {
        let pending = self.pending();
        let params = match message {
            Message::Notification(notification) => notification.params.as_ref(),
            _ => None,
        };
        let named = params.and_then(|params| {
            [
                params.member("progressToken"),
                edit::meta(params, META_SUBSCRIPTION),
                params.member("requestId"),
            ]
            .into_iter()
            .flatten()
            .find_map(Value::as_integer)
        });
        let found = match (named, message) {
            (Some(id), _) => pending.get(&id),
            (None, Message::Request(_)) => {
                pending.iter().max_by_key(|(id, _)| **id).map(|(_, waiting)| waiting)
            }
            (None, _) if pending.len() == 1 => pending.values().next(),
            (None, _) => None,
        };
        found.map(|waiting| Arc::clone(&waiting.related))
    }
}

/// A line while it is read: whole, or so long that only its id is looked for.
enum Line {
    Whole(Vec<u8>),
    TooLong(Box<IdScan>),
}

impl Default for Line {
    fn default() -> Self {
        Self::Whole(Vec::new())
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8], limit: usize) {
        match self {
            Self::Whole(line) if line.len() + bytes.len() <= limit => line.extend_from_slice(bytes),
            Self::Whole(line) => {
                let mut scan = IdScan::default();
                scan.feed(line);
                scan.feed(bytes);
                *self = Self::TooLong(Box::new(scan));
            }
            Self::TooLong(scan) => scan.feed(bytes),
        }
    }
}

/// Forgets a call that ends, however it ends.
struct Forget<'a> {
    shared: &'a Shared,
    id: i64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.pending().remove(&self.id);
    }
}

/// Ends the link unless the write came to its end.
struct EndUnlessDone<'a> {
    closed: Option<&'a CancellationToken>,
}

impl EndUnlessDone<'_> {
    fn done(mut self) {
        self.closed = None;
    }
}

impl Drop for EndUnlessDone<'_> {
    fn drop(&mut self) {
        if let Some(closed) = self.closed {
            closed.cancel();
        }
    }
}

async fn log_stderr(server: ServerName, stderr: ChildStderr, scrubber: Option<Arc<Scrubber>>) {
    let mut stderr = BufReader::new(stderr);
    let mut scrub = scrubber.map(ScrubStream::new);
    let mut log = StderrLog { server, line: Vec::new(), lines: 0 };
    loop {
        let used = match stderr.fill_buf().await {
            Ok([]) | Err(_) => break,
            Ok(chunk) => {
                match &mut scrub {
                    // Before lines are told apart and cut: a secret may lie across both.
                    Some(scrub) => log.take(&scrub.push(chunk)),
                    None => log.take(chunk),
                }
                chunk.len()
            }
        };
        stderr.consume(used);
    }
    if let Some(scrub) = scrub {
        log.take(&scrub.finish());
    }
}

/// The error output of a child, line by line.
struct StderrLog {
    server: ServerName,
    line: Vec<u8>,
    lines: usize,
}

impl StderrLog {
    fn take(&mut self, mut rest: &[u8]) {
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            self.extend(head);
            self.line_ended();
            rest = tail.get(1..).unwrap_or_default();
        }
        self.extend(rest);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = STDERR_LINE_MAX.saturating_sub(self.line.len());
        self.line.extend(bytes.iter().take(room));
    }

    fn line_ended(&mut self) {
        let server = &self.server;
        self.lines += 1;
        if self.lines <= STDERR_LINES_MAX {
            tracing::info!(%server, stderr = %String::from_utf8_lossy(&self.line));
        } else if self.lines == STDERR_LINES_MAX + 1 {
            tracing::warn!(%server, "no more of its error output is logged");
        }
        self.line.clear();
    }
}
