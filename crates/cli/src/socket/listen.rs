//! The server's side: who is there, what do they wrap, and may they.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::wiring::counted::Counted;
use safeconduct_gateway::Gateway;
use safeconduct_model::{Authentication, IdentityId, IdentityKind, IdentityStatus, TokenId};
use safeconduct_service::{Service, token_digest};
use safeconduct_wire::config::Config;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hello::{LINE_BYTES_MAX, LINE_TIME, VERSION, line};
use super::wrapped::{Wrapped, Wrapping};
use super::{Answer, Hello, place};
use crate::exit::{CommandError, failed};

/// Most wrappers at a time.
const CLIENTS_MAX: usize = 256;

/// What the socket leads to.
#[derive(Clone)]
pub(crate) struct Door {
    /// Where the socket is.
    pub(crate) socket: PathBuf,
    /// The configuration file, absolute.
    pub(crate) file: PathBuf,
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// The gateway.
    pub(crate) gateway: Gateway<Counted>,
    /// The decision point.
    pub(crate) service: Arc<Service>,
}

/// Opens the socket; what comes of it runs in `tasks` until `stop`. The data folder must be
/// ours: then an old socket is nobody's. Tells how many wrappers are connected.
///
/// # Errors
/// The folder of the socket is another user's, or the socket cannot be made.
pub(crate) fn listen(
    door: Door,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> Result<watch::Receiver<usize>, CommandError> {
    let shown = door.socket.display().to_string();
    place::prepare(&door.socket)?;
    match fs::remove_file(&door.socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&shown, error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&door.socket).map_err(|error| failed(&shown, error))?;
    fs::set_permissions(&door.socket, Permissions::from_mode(0o600))
        .map_err(|error| failed(&shown, error))?;
    let (count, clients) = watch::channel(0);
    tasks.spawn(accept(door, listener, Arc::new(count), stop, tasks.clone()));
    Ok(clients)
}

/// Resolves once nobody has been connected for so long.
pub(crate) async fn idle(mut clients: watch::Receiver<usize>, after: Duration) {
    loop {
        if clients.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(after) => return,
            changed = clients.wait_for(|count| *count > 0) => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn accept(
    door: Door,
    listener: UnixListener,
    count: Arc<watch::Sender<usize>>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let socket = door.socket.clone();
    let wrapped = Wrapped::new(Arc::clone(&door.config), door.gateway.clone());
    let door = Arc::new((door, wrapped));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, most likely: others must end first.
                tracing::warn!(%error, "a wrapper could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if *count.borrow() >= CLIENTS_MAX {
            tracing::warn!(limit = CLIENTS_MAX, "there are too many wrappers");
            continue;
        }
        count.send_modify(|count| *count += 1);
        let (door, count, stop) = (Arc::clone(&door), Arc::clone(&count), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = wrapper(&door.0, &door.1, stream) => {}
            }
            count.send_modify(|count| *count -= 1);
        });
    }
    // A wrapper that finds no socket starts a new server.
    if let Err(error) = fs::remove_file(&socket) {
        tracing::debug!(%error, "the socket is gone already");
    }
}

async fn wrapper(door: &Door, wrapped: &Wrapped, stream: UnixStream) {
    let user = rustix::process::getuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == user => {}
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "a peer is another user and is turned away");
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "a peer cannot be told and is turned away");
            return;
        }
    }
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let admitted = match hello(&mut read).await {
        Ok(hello) => admit(door, wrapped, hello),
        Err(error) => Err(error.to_string()),
    };
    let answer = match &admitted {
        Ok(admitted) => Answer::Ok { agent: admitted.authentication.identity.to_string() },
        Err(why) => {
            tracing::warn!(%why, "a wrapper is turned away");
            Answer::Error(why.clone())
        }
    };
    let Ok(line) = line(&answer) else { return };
    if write.write_all(&line).await.is_err() {
        return;
    }
    if let Ok(Admitted { authentication, wrapping }) = admitted {
        let server = wrapping.server();
        tracing::info!(%server, agent = %authentication.identity, "a wrapper joined");
        match door.gateway.serve_stream(server, authentication, read, write).await {
            Ok(()) => tracing::info!(%server, "a wrapper left"),
            Err(error) => tracing::warn!(%server, %error, "a wrapper was cut off"),
        }
    }
}

async fn hello(read: &mut BufReader<OwnedReadHalf>) -> Result<Hello, CommandError> {
    let mut line = Vec::new();
    let mut limited = read.take(LINE_BYTES_MAX);
    timeout(LINE_TIME, limited.read_until(b'\n', &mut line))
        .await
        .map_err(|_| CommandError::Failed("no hello came in time".into()))?
        .map_err(|error| failed("hello", error))?;
    if line.last() != Some(&b'\n') {
        return Err(CommandError::Failed("the hello is cut off or too long".into()));
    }
    serde_json::from_slice(&line).map_err(|error| failed("hello", error))
}

/// A wrapper that may begin.
struct Admitted<'a> {
    authentication: Authentication,
    wrapping: Wrapping<'a>,
}

/// Who the wrapper acts as and what it wraps, or why it may not: in words for the person who
/// set it up.
fn admit<'a>(door: &Door, wrapped: &'a Wrapped, hello: Hello) -> Result<Admitted<'a>, String> {
    if hello.version != VERSION {
        return Err(format!(
            "the server speaks version {VERSION} of the socket's protocol and the wrapper {}: \
             end the server, so that one of the wrapper's version starts",
            hello.version
        ));
    }
    if hello.config != door.file {
        return Err(format!(
            "the server on this socket is that of `{}`, not of `{}`",
            door.file.display(),
            hello.config.display()
        ));
    }
    let agent = agent(door, hello.agent.as_deref())?;
    let token = TokenId::new(format!("local:{agent}")).map_err(|error| error.to_string())?;
    let authentication = Service::local_peer(agent, token, door.service.now());
    let authentication = match &hello.task {
        None => authentication,
        Some(handle) => {
            let entered = door.service.enter_task(authentication, &token_digest(handle));
            entered.map_err(|error| format!("SAFECONDUCT_TASK: {error}"))?
        }
    };
    Ok(Admitted { authentication, wrapping: wrapped.enter(hello)? })
}

/// The identity that the client acts as: the one that was asked for, that of `dev.identity`, or
/// the only agent.
fn agent(door: &Door, asked: Option<&str>) -> Result<IdentityId, String> {
    let world = door.service.world();
    let mut agents: Vec<&IdentityId> = world
        .identities()
        .filter(|identity| {
            identity.kind != IdentityKind::User && identity.status == IdentityStatus::Active
        })
        .map(|identity| &identity.id)
        .collect();
    agents.sort_unstable();
    let listed = || {
        let names: Vec<&str> = agents.iter().map(|id| id.as_str()).collect();
        match names.is_empty() {
            true => "list one of kind `agent` under `identities`".to_owned(),
            false => format!("there is {}", names.join(", ")),
        }
    };
    if let Some(asked) = asked {
        let known = agents.iter().find(|id| id.as_str() == asked);
        return known
            .map(|id| (*id).clone())
            .ok_or_else(|| format!("no active agent is called `{asked}`: {}", listed()));
    }
    if let Some(id) = door.config.dev_identity.as_ref().filter(|id| agents.contains(id)) {
        return Ok(id.clone());
    }
    match agents.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(format!("no agent is registered: {}", listed())),
        _ => Err(format!("which agent is it? use --agent: {}", listed())),
    }
}
