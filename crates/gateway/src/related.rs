//! The way back to whoever waits for a call, and what happens to the call meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use safeconduct_model::Value;
use safeconduct_service::{Content, Read};
use safeconduct_wire::json;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::message::Id;
use crate::probe::Probing;

/// Most messages that wait for a client to read them; more are dropped.
pub(crate) const OUTLET_MESSAGES_MAX: usize = 256;

/// Where messages for a client go: the stream of one request, a standing stream, or the one
/// writer of a stdio client. Never waits: one slow client must not hold up an upstream.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(mpsc::Sender<Vec<u8>>);

/// The client is gone, or does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTaken;

impl Outlet {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (sender, receiver) = mpsc::channel(OUTLET_MESSAGES_MAX);
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, message: Vec<u8>) -> Result<(), NotTaken> {
        self.0.try_send(message).map_err(|_| NotTaken)
    }

    /// Waits for room; for answers, which must not be dropped.
    pub(crate) async fn deliver(&self, message: Vec<u8>) -> Result<(), NotTaken> {
        self.0.send(message).await.map_err(|_| NotTaken)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// One request of a client while it is under way.
#[derive(Debug)]
pub(crate) struct Related {
    /// The client's id of it; none for what the gateway asks for itself.
    pub(crate) client_id: Option<Id>,
    /// Where messages that belong to it go.
    pub(crate) outlet: Option<Outlet>,
    /// Set once the client no longer wants the answer.
    pub(crate) cancelled: CancellationToken,
    /// Set once the authority for it has ended.
    pub(crate) ended: CancellationToken,
    /// Set where it is no request of a client, and goes no further than the decision.
    pub(crate) probing: Option<Arc<Probing>>,
    /// The client's token for progress.
    progress: Mutex<Option<Value>>,
    alive: Mutex<Instant>,
    /// How many people are being asked something for it.
    asked: AtomicUsize,
    garbage: AtomicBool,
    /// Rings at every message that belongs to it.
    sign: Notify,
    said: Mutex<Said>,
}

/// Most bytes of what a server says beside an answer that are taken apart; of more it counts as
/// read that nobody knows what it was.
const SAID_BYTES_MAX: usize = 256 * 1024;

/// Most messages of it; the same holds of more.
const SAID_MESSAGES_MAX: usize = 4096;

/// Is told at once of what a client reads, by the method of the message that holds it. Says
/// whether it may go on.
trait Hears: Send + Sync {
    fn hear(&self, method: &str, read: &Read) -> bool;
}

impl<F: Fn(&str, &Read) -> bool + Send + Sync> Hears for F {
    fn hear(&self, method: &str, read: &Read) -> bool {
        self(method, read)
    }
}

/// What became of something that was said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was taken in.
    Taken,
    /// It could not be taken in, and must not go on.
    NotTaken,
    /// Nobody listens here; this is what was said.
    ByNobody(Value),
}

/// What a client has been told beside the answer.
#[derive(Default)]
struct Said {
    read: Read,
    bytes: usize,
    messages: usize,
    told: Option<Box<dyn Hears>>,
    /// Whether it is kept for the end.
    kept: bool,
}

/// Counts only.
impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Said {
    fn add(&mut self, method: &str, said: Value) -> Heard {
        let Some(told) = &self.told else {
            return Heard::ByNobody(said);
        };
        if !self.kept {
            return match told.hear(method, &Read::This(vec![Content::Value(said)])) {
                true => Heard::Taken,
                false => Heard::NotTaken,
            };
        }
        if self.read == Read::Unseen {
            return Heard::Taken;
        }
        self.bytes = self.bytes.saturating_add(json::to_bytes(&said).len());
        self.messages += 1;
        let new = match std::mem::take(&mut self.read) {
            _ if self.bytes > SAID_BYTES_MAX || self.messages > SAID_MESSAGES_MAX => {
                self.read = Read::Unseen;
                Read::Unseen
            }
            before => {
                let new = Read::This(vec![Content::Value(said)]);
                self.read = and(before, new.clone());
                new
            }
        };
        match told.hear(method, &new) {
            true => Heard::Taken,
            false => Heard::NotTaken,
        }
    }
}

/// Both, the one before the other.
pub(crate) fn and(one: Read, other: Read) -> Read {
    match (one, other) {
        (Read::Unseen, _) | (_, Read::Unseen) => Read::Unseen,
        (Read::Nothing, read) | (read, Read::Nothing) => read,
        (Read::This(mut all), Read::This(more)) => {
            all.extend(more);
            Read::This(all)
        }
    }
}

impl Related {
    pub(crate) fn new(client_id: Option<Id>, outlet: Option<Outlet>) -> Self {
        Self {
            client_id,
            outlet,
            cancelled: CancellationToken::new(),
            ended: CancellationToken::new(),
            probing: None,
            progress: Mutex::new(None),
            alive: Mutex::new(Instant::now()),
            asked: AtomicUsize::new(0),
            garbage: AtomicBool::new(false),
            sign: Notify::new(),
            said: Mutex::default(),
        }
    }

    /// The same for a probe, where it is one.
    pub(crate) fn probing(self, probing: Option<Arc<Probing>>) -> Self {
        Self { probing, ..self }
    }

    pub(crate) fn set_progress(&self, token: Option<Value>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    pub(crate) fn progress(&self) -> Option<Value> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells of everything that the client reads beside the answer, before the client reads it,
    /// and keeps it for the end.
    pub(crate) fn tell(&self, told: impl Fn(&Read) + Send + Sync + 'static) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let told = move |_: &str, read: &Read| {
            told(read);
            true
        };
        said.told = Some(Box::new(told));
        said.kept = true;
    }

    /// The same of a request that no outcome is reported of: nothing is kept, and what `told`
    /// cannot take in does not go on.
    pub(crate) fn tell_each(&self, told: impl Fn(&str, &Read) -> bool + Send + Sync + 'static) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.told = Some(Box::new(told));
        said.kept = false;
    }

    /// The client is about to read that, in a message of that method.
    pub(crate) fn says(&self, method: &str, said: Value) -> Heard {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).add(method, said)
    }

    /// All that the client has read beside the answer. Nobody here is told of more.
    pub(crate) fn said(&self) -> Read {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.told = None;
        std::mem::take(&mut said.read)
    }

    /// A sign of life.
    pub(crate) fn touch(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.sign.notify_one();
    }

    /// Waits for the next sign of life, or gives the one that nobody waited for.
    pub(crate) async fn sign(&self) {
        self.sign.notified().await;
    }

    /// When the upstream last gave a sign of life; now, while a person is being asked.
    pub(crate) fn alive(&self) -> Instant {
        match self.asked.load(Ordering::Relaxed) {
            0 => *self.alive.lock().unwrap_or_else(PoisonError::into_inner),
            _ => Instant::now(),
        }
    }

    pub(crate) fn asking(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) {
        self.touch();
        self.asked.fetch_sub(1, Ordering::Relaxed);
    }

    /// The upstream wrote something that is no message.
    pub(crate) fn note_garbage(&self) {
        self.garbage.store(true, Ordering::Relaxed);
    }

    pub(crate) fn saw_garbage(&self) -> bool {
        self.garbage.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_is_said_is_told_at_once_and_kept_for_the_end() {
        let related = Related::new(None, None);
        let told = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&told);
        related.tell(move |read| all.lock().unwrap().push(read.clone()));
        let this = |text: &str| Read::This(vec![Content::Value(Value::from(text))]);
        let says = |text: &str| related.says("notifications/message", Value::from(text));
        assert_eq!(says("a"), Heard::Taken);
        assert_eq!(*told.lock().unwrap(), [this("a")]);
        assert_eq!(says("b"), Heard::Taken);
        assert_eq!(related.said(), and(this("a"), this("b")));
        assert_eq!(says("too late"), Heard::ByNobody(Value::from("too late")));
        assert_eq!(told.lock().unwrap().len(), 2);
    }

    #[test]
    fn of_too_much_nobody_knows_what_it_was() {
        for (bytes, messages) in [(SAID_BYTES_MAX / 2, 3), (1, SAID_MESSAGES_MAX + 1)] {
            let related = Related::new(None, None);
            related.tell(|_| {});
            for _ in 0..messages {
                let said = Value::from("x".repeat(bytes));
                assert_eq!(related.says("notifications/message", said), Heard::Taken);
            }
            assert_eq!(related.said(), Read::Unseen);
        }
    }

    #[test]
    fn what_nobody_can_take_in_does_not_go_on() {
        let related = Related::new(None, None);
        related.tell_each(|_, _| false);
        assert_eq!(related.says("notifications/message", Value::from("x")), Heard::NotTaken);
        assert_eq!(related.said(), Read::Nothing);
    }
}
