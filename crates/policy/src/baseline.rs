//! The policies that ship.

use std::sync::Arc;

use crate::source::SourceFile;

/// The pack to start from. It permits nothing: it makes what can do much harm wait for a person,
/// keeps untrusted data from choosing addresses, commands and amounts, and confidential content
/// from where it does not belong. The names start with `baseline/`; `docs/baseline.md` explains
/// each rule.
pub fn baseline() -> Vec<SourceFile> {
    [
        (
            "baseline/confidential.cedar",
            include_str!("../../../policies/baseline/confidential.cedar"),
        ),
        ("baseline/step-up.cedar", include_str!("../../../policies/baseline/step-up.cedar")),
        ("baseline/untrusted.cedar", include_str!("../../../policies/baseline/untrusted.cedar")),
    ]
    .into_iter()
    .map(|(name, text)| SourceFile { name: Arc::from(name), text: Arc::from(text) })
    .collect()
}
