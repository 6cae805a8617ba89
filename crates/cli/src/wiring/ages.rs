//! Policy sets of before: how old the statements of the policies are, told once after the start, and
//! what decided when a verification decides it again.

use std::sync::Arc;

use safeconduct_model::{Catalogue, Digest};
use safeconduct_policy::Policies;
use safeconduct_service::{ReadSet, Service};

use super::kept;

/// Reads sets as they were kept.
struct Kept;

impl ReadSet for Kept {
    fn read(&self, set: Digest, texts: &[u8], other: &Policies) -> Option<Policies> {
        let read = kept::policies_of(set, texts, other);
        read.inspect_err(|error| {
            tracing::warn!(%set, %error, "what a policy set of before held is not known");
        })
        .ok()
    }

    fn catalogue(&self, of: Digest, texts: &[u8], beside: &Policies) -> Option<Catalogue> {
        let read = kept::catalogue_of(of, texts, beside);
        read.inspect_err(|error| {
            tracing::warn!(catalogue = %of, %error, "a catalogue of before cannot be used");
        })
        .ok()
    }
}

/// Goes over the sets of before, apart from everything else.
pub(super) async fn tell(service: Arc<Service>) {
    service.set_kept_sets(Arc::new(Kept));
    let told = tokio::task::spawn_blocking(move || service.tell_ages(&Kept)).await;
    if let Err(error) = told {
        tracing::error!(%error, "how old policies are is not known");
    }
}
