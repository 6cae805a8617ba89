//! Policy is asked about each lease before the target is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_engine::Understood;
use safeconduct_model::{
    ActionName, Assurance, Authentication, Entity, EntityId, EntityRef, EntityType, IdentityId,
    Method, Mode, RecordId, Subject, TargetName, TaskRef, TokenId, Value,
};

use super::{LeaseError, Target};
use crate::{Check, Service};

/// The action that policy decides about a lease. Its resource is the target.
pub const LEASE: &str = "lease";

/// The enforcement point that asks, and what the gateway is called that leases for a task.
const PEP: &str = "leases";

impl Service {
    /// The proof by which the gateway leases for a task in which a call was permitted: it is there
    /// in the task's name, and proves nothing more.
    pub(super) fn on_behalf_of_task(&self, task: &TaskRef) -> Result<Authentication, LeaseError> {
        Ok(Authentication {
            identity: task.agent.clone(),
            token: TokenId::new(PEP)?,
            method: Method::PepAssertion,
            assurance: Assurance::Low,
            at: self.clock.now(),
            expires_at: None,
            task: Some(task.clone()),
        })
    }

    /// Asks policy, and gives the decision, which is recorded.
    pub(super) async fn ask_for_lease(
        &self,
        by: &Authentication,
        target: &TargetName,
        grants: &BTreeSet<Arc<str>>,
        at: &Target,
    ) -> Result<RecordId, LeaseError> {
        let world = self.world();
        let namespace = world.vocabulary.namespace();
        let ty = EntityType::new(format!("{namespace}::Target"))?;
        let resource = EntityRef { ty, id: EntityId::new(target.shared())? };
        let names = grants.iter().map(|grant| Value::String(Arc::clone(grant)));
        let seconds = |ms: i64| Value::Integer(ms / 1000);
        let asserted = Value::object([
            ("kind", Value::from(at.issuer.kind().as_str())),
            ("grants", Value::Array(names.collect())),
            ("ttl_s", seconds(at.terms.ttl_ms)),
            ("ttl_max_s", seconds(at.terms.ttl_max_ms)),
        ]);
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
