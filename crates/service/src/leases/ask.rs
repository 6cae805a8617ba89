//! Policy is asked about each lease before the target is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_engine::Understood;
use safeconduct_model::{
    ActionName, Authentication, Entity, EntityId, EntityRef, EntityType, IdentityId, Lease,
    LeaseId, Mode, Reason, RecordId, Subject, TargetName, Value,
};

use super::{LeaseError, LeaseSlot, Target};
use crate::{Check, Service};

/// The action that policy decides about a lease. Its resource is the target.
pub const LEASE: &str = "lease";

/// The enforcement point that asks.
const PEP: &str = "leases";

impl Service {
    /// Asks policy whether a lease may last longer, and gives the decision. A lease that an earlier
    /// process made is asked about with all that the task may have there: never with less than it
    /// has. Where policy denies it, the lease is taken back.
    pub(super) async fn ask_to_renew(
        &self,
        by: &Authentication,
        slot: &LeaseSlot,
        at: &Target,
    ) -> Result<RecordId, LeaseError> {
        let Lease { id, target, task, .. } = &slot.lease;
        let grants = match &slot.grants {
            Some(grants) => grants.clone(),
            None => self.grants_of(task, target, None)?,
        };
        let asked = self.ask_for_lease(by, target, &grants, at, Some(id)).await;
        if let Err(LeaseError::Denied { decision, reasons }) = &asked
            && reasons.iter().any(is_of_policy)
        {
            self.end_lease(id, &format!("its renewal was denied by {}", decision.as_str()));
        }
        asked
    }

    /// Asks policy, and gives the decision, which is recorded.
    pub(super) async fn ask_for_lease(
        &self,
        by: &Authentication,
        target: &TargetName,
        grants: &BTreeSet<Arc<str>>,
        at: &Target,
        renewed: Option<&LeaseId>,
    ) -> Result<RecordId, LeaseError> {
        let world = self.world();
        let namespace = world.vocabulary.namespace();
        let ty = EntityType::new(format!("{namespace}::Target"))?;
        let resource = EntityRef { ty, id: EntityId::new(target.shared())? };
        let names = grants.iter().map(|grant| Value::String(Arc::clone(grant)));
        let seconds = |ms: i64| Value::Integer(ms / 1000);
        let mut asserted = vec![
            ("kind", Value::from(at.issuer.kind().as_str())),
            ("grants", Value::Array(names.collect())),
            ("ttl_s", seconds(at.terms.ttl_ms)),
            ("ttl_max_s", seconds(at.terms.ttl_max_ms)),
        ];
        asserted.extend(renewed.map(|lease| ("renews", Value::from(lease.as_str()))));
        let asserted = Value::object(asserted);
        let check = Check {
            subject: Subject::Lessee(by.clone()),
            action: ActionName::new(LEASE)?,
            resource: Some(Entity::bare(resource)),
            input: Value::Object(Default::default()),
            asserted: Some(asserted),
            session_name: None,
            pep: IdentityId::new(PEP)?,
            mode: Mode::Enforce,
            trace: None,
            parent: None,
            understood: Understood::Only(Default::default()),
            network: None,
        };
        let ruling = self.check(check).await;
        self.tell_of_decision(&ruling);
        let ruling =
            ruling.map_err(|unrecorded| LeaseError::Record(unrecorded.reason.message().into()))?;
        let ruling = ruling.into_value();
        let decision = ruling.decision().clone();
        if !ruling.goes_ahead() {
            return Err(LeaseError::Denied { decision, reasons: ruling.outcome.reasons });
        }
        // The decision was the question; its outcome is the lease.
        self.expect_nothing(&decision);
        Ok(decision)
    }
}

/// Whether it is what policies say, and not that somebody could not prove who they are.
const fn is_of_policy(reason: &Reason) -> bool {
    matches!(reason, Reason::Policy(_) | Reason::PolicyError { .. })
}
