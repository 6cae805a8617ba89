//! The policies that ship.

use std::sync::Arc;

use crate::source::SourceFile;

/// The pack to start from: it permits nothing, and makes actions of tier `high` and `critical`
/// wait for a person. The names start with `baseline/`.
pub fn baseline() -> Vec<SourceFile> {
    [("baseline/step-up.cedar", include_str!("../../../policies/baseline/step-up.cedar"))]
        .into_iter()
        .map(|(name, text)| SourceFile { name: Arc::from(name), text: Arc::from(text) })
        .collect()
}
