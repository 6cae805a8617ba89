//! How the committer and callers wake the follower.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Signal {
    asked: Mutex<Asked>,
    changed: Condvar,
    idle: AtomicBool,
}

/// What the follower is asked to do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// Finish, and end.
    pub(crate) stop: bool,
    /// Publish a checkpoint now.
    pub(crate) publish: bool,
}

impl Signal {
    /// There are new records. Costs a system call only where the follower sleeps.
    pub(crate) fn advanced(&self) {
        if self.idle.load(Ordering::SeqCst) && self.idle.swap(false, Ordering::SeqCst) {
            drop(self.lock());
            self.changed.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn publish(&self) {
        self.lock().publish = true;
        self.changed.notify_all();
    }

    /// What is asked; a request to publish is taken by this.
    pub(crate) fn take(&self) -> Asked {
        let mut asked = self.lock();
        let taken = *asked;
        asked.publish = false;
        taken
    }

    /// Waits until there is something to do: at most so long, or until something happens.
    /// `behind` says, while sleep is prepared, whether there are records after all.
    pub(crate) fn wait(&self, at_most: Option<Duration>, behind: impl Fn() -> bool) {
        let asked = self.lock();
        if asked.stop || asked.publish {
            return;
        }
        self.idle.store(true, Ordering::SeqCst);
        if !behind() {
            let wakes = |asked: &mut Asked| {
                self.idle.load(Ordering::SeqCst) && !asked.stop && !asked.publish
            };
            match at_most {
                Some(at_most) => {
                    drop(self.changed.wait_timeout_while(asked, at_most, wakes));
                }
                None => drop(self.changed.wait_while(asked, wakes)),
            }
        }
        self.idle.store(false, Ordering::SeqCst);
    }

    /// Pauses, so that records gather; a request ends it.
    pub(crate) fn pause(&self, for_: Duration) {
        let nothing = |asked: &mut Asked| !asked.stop && !asked.publish;
        drop(self.changed.wait_timeout_while(self.lock(), for_, nothing));
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
