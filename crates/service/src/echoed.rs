//! What a call has said, against which is held what comes of it: an answer that repeats it vouches
//! for none of it.

use std::sync::{Arc, OnceLock};

use safeconduct_model::Value;
use safeconduct_session::flow::{Echo, FlowKey, Gleaned};

/// The fingerprints of what a pending call said, made once: what is read while it is under way is
/// held against them message by message.
pub(crate) type Kept = Arc<OnceLock<Echo>>;

/// All that a call has said.
pub(crate) struct Spoken<'a> {
    /// By the call itself.
    call: Vec<&'a Value>,
    kept: Option<&'a Kept>,
    /// What its agent answered to servers since it began.
    answered: Vec<&'a Value>,
}

impl<'a> Spoken<'a> {
    /// By a call, and nothing since.
    pub(crate) const fn by(call: Vec<&'a Value>) -> Self {
        Self { call, kept: None, answered: Vec::new() }
    }

    /// By a call whose fingerprints are kept, and what was answered since.
    pub(crate) fn since(call: Vec<&'a Value>, kept: &'a Kept, answered: &'a [Value]) -> Self {
        Self { call, kept: Some(kept), answered: answered.iter().collect() }
    }

    /// What is left of a result that vouches for nothing of it.
    pub(crate) fn strip(&self, gleaned: Gleaned, key: &FlowKey) -> Gleaned {
        if !gleaned.vouches() {
            return gleaned;
        }
        let source = gleaned.source().clone();
        let echo = |said: &[&Value]| Echo::of(key, said, &source);
        let kept = self.kept.map(|kept| kept.get_or_init(|| echo(&self.call)));
        let gleaned = match kept.filter(|kept| kept.key() == *key) {
            Some(kept) => gleaned.without(kept),
            // The session's values were erased meanwhile, and its key with them.
            None => gleaned.without(&echo(&self.call)),
        };
        match self.answered.is_empty() {
            true => gleaned,
            false => gleaned.without(&echo(&self.answered)),
        }
    }
}
