//! MCP methods that are known without being listed, with cautious defaults.
//!
//! | method | tier | effect |
//! |---|---|---|
//! | `resources/read`, `resources/subscribe`, `prompts/get`, `completion/complete`, `logging/setLevel` | low | read |
//! | `elicitation/create` (asked by the server) | moderate | send |
//! | `sampling/createMessage` (asked by the server) | high | execute |
//!
//! A policy still has to permit each of them. Any other method is unknown, and an unknown action
//! is denied.

use safeconduct_model::{Effect, Tier};

/// Method, tier and effect.
pub(super) const METHODS: &[(&str, Tier, Effect)] = &[
    ("completion/complete", Tier::Low, Effect::Read),
    ("elicitation/create", Tier::Moderate, Effect::Send),
    ("logging/setLevel", Tier::Low, Effect::Read),
    ("prompts/get", Tier::Low, Effect::Read),
    ("resources/read", Tier::Low, Effect::Read),
    ("resources/subscribe", Tier::Low, Effect::Read),
    ("sampling/createMessage", Tier::High, Effect::Execute),
];
