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
//!
//! What is read or subscribed to is named by its URI. One that leads over the network is a URL
//! like a tool's: a secret may stand in it. What else is given stays with the server, as what a
//! tool is given that only reads.

use safeconduct_model::{Effect, EntityType, ResourceForm, ResourceMapping, Tier};

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

/// What the arguments of a method name, where nobody says otherwise.
pub(super) fn method_resources(method: &str) -> Option<ResourceMapping> {
    let by_uri = matches!(method, "resources/read" | "resources/subscribe");
    let ty = EntityType::new("Url").ok().filter(|_| by_uri)?;
    Some(ResourceMapping { argument: "/uri".into(), ty, form: ResourceForm::Uri, optional: false })
}
