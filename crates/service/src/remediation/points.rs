//! Where decisions of this process are carried out, and how a question goes their way without
//! anything being done.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use safeconduct_engine::Outcome;
use safeconduct_model::{ActionName, Authentication, IdentityId, ServerName, Value};

use crate::Service;

/// A question that is to go the way of a call, up to the decision and no further.
#[derive(Debug, Clone)]
pub struct PointProbe {
    /// The server that offers the action.
    pub server: ServerName,
    /// What is asked about.
    pub action: ActionName,
    /// The arguments.
    pub input: Value,
    /// Who would act.
    pub proof: Authentication,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum Probed {
    /// No enforcement point of this process serves that server.
    NotServed,
    /// It did not come as far as a decision: why.
    Silent(String),
    /// It was weighed as the call would have been decided. What `mode` of the outcome says holds:
    /// where a Deny is only observed, the call would have gone ahead.
    Weighed {
        /// The enforcement point.
        point: IdentityId,
        /// What would have been decided.
        outcome: Box<Outcome>,
    },
}

/// The wait for a probe.
pub struct Probes<'a>(pub Pin<Box<dyn Future<Output = Probed> + Send + 'a>>);

impl Future for Probes<'_> {
    type Output = Probed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// The enforcement points of this process.
pub trait EnforcementPoints: Send + Sync + 'static {
    /// Sends a question the way of a call. Nothing is forwarded, recorded or counted by that.
    fn probe(&self, probe: PointProbe) -> Probes<'_>;
}

impl Service {
    /// Says where calls are let through or stopped. The first word holds; it is not kept from
    /// ending.
    pub fn set_enforcement_points(&self, points: &Arc<dyn EnforcementPoints>) {
        let _ = self.points.set(Arc::downgrade(points));
    }

    pub(super) fn enforcement_points(&self) -> Option<Arc<dyn EnforcementPoints>> {
        self.points.get().and_then(Weak::upgrade)
    }
}
