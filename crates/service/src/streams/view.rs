//! How streams stand, for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::Timestamp;
use safeconduct_wire::config::DeliveryWord;

use super::{Stream, Streams};

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamView {
    /// Its name.
    pub name: Arc<str>,
    /// Its transmitter.
    pub issuer: Arc<str>,
    /// How its tokens come.
    pub delivery: DeliveryWord,
    /// Whether it speaks.
    pub standing: StreamStanding,
    /// When it was heard last by this process.
    pub last_heard: Option<Timestamp>,
    /// When it was verified last by this process.
    pub verified_at: Option<Timestamp>,
    /// Whether a verification is under way.
    pub verifying: bool,
    /// How many tokens were taken by this process.
    pub taken: u64,
    /// How many had been taken before.
    pub before: u64,
    /// How many came to nothing.
    pub passed_over: u64,
    /// How many were refused, by why.
    pub refused: BTreeMap<&'static str, u64>,
    /// How many ids are remembered.
    pub remembered: usize,
}

/// Whether a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStanding {
    /// Nothing has come yet.
    New,
    /// It does.
    Speaking,
    /// It has fallen silent, or its transmitter paused or ended it.
    Silent,
}

impl StreamStanding {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Speaking => "speaking",
            Self::Silent => "silent",
        }
    }
}

impl Streams {
    /// How every stream stands, by name.
    pub fn views(&self) -> Vec<StreamView> {
        self.streams.values().map(view).collect()
    }

    /// How one stands.
    pub fn view(&self, name: &str) -> Option<StreamView> {
        self.streams.get(name).map(view)
    }
}

fn view(stream: &Stream) -> StreamView {
    let state = stream.state();
    StreamView {
        name: Arc::clone(&stream.name),
        issuer: Arc::clone(&stream.issuer),
        delivery: stream.delivery,
        standing: match (state.silence, state.heard.is_some()) {
            (Some(_), _) => StreamStanding::Silent,
            (None, true) => StreamStanding::Speaking,
            (None, false) => StreamStanding::New,
        },
        last_heard: (state.taken + state.passed_over > 0).then_some(state.last_heard),
        verified_at: state.verified_at,
        verifying: state.asked.is_some(),
        taken: state.taken,
        before: state.before,
        passed_over: state.passed_over,
        refused: state.refused.clone(),
        remembered: state.memory.len(),
    }
}
