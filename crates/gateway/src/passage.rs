//! What may be sent to an upstream as a request. There are two ways to make one: from a permit
//! that was used up, or from a method that the table lets through without a decision. A gated
//! call without a permit is therefore nothing that could be written down.

use std::sync::Arc;

use safeconduct_model::{
    Authentication, IdentityId, Mode, Network, Obligation, RecordId, SessionName, Subject, TraceId,
    Value,
};
use safeconduct_pep::{Asks, OnDenial, Redeemed};
use safeconduct_service::Check;

use crate::action::Question;
use crate::methods::{Direction, Form, Rule, classify};
use crate::{Revision, action, meta, obligation};

/// A message that must be decided on, with everything that the question needs. What is asked is
/// taken from the very parameters that are forwarded.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) question: Question,
    pub(crate) method: Arc<str>,
    pub(crate) params: Option<Value>,
    pub(crate) authentication: Authentication,
    pub(crate) pep: IdentityId,
    pub(crate) mode: Mode,
    pub(crate) session_name: Option<SessionName>,
    pub(crate) trace: Option<TraceId>,
    pub(crate) parent: Option<RecordId>,
    /// Where in the parameters answers stand that the server has asked for.
    pub(crate) asked: Vec<Value>,
    pub(crate) on_denial: OnDenial,
    /// From where it came.
    pub(crate) network: Option<Network>,
}

impl Asks for Gated {
    fn check(&self) -> Check {
        Check {
            subject: Subject::Caller(self.authentication.clone()),
            action: self.question.action.clone(),
            resource: None,
            input: self.question.input.clone(),
            asserted: action::answers(self.params.as_ref(), &self.asked),
            session_name: self.session_name.clone(),
            pep: self.pep.clone(),
            mode: self.mode,
            trace: self.trace.clone(),
            parent: self.parent.clone(),
            understood: obligation::understood(),
            network: self.network,
        }
    }

    fn on_denial(&self) -> OnDenial {
        self.on_denial
    }
}

/// A request that may go to an upstream.
#[derive(Debug)]
pub(crate) struct Passage {
    method: Arc<str>,
    params: Option<Value>,
    origin: Origin,
}

/// What lets a request through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Permit,
    Table,
}

impl Passage {
    /// What a permit allows, with the decision and the obligations that come with it.
    pub(crate) fn permitted(redeemed: Redeemed<Gated>) -> (Self, Gated, RecordId, Vec<Obligation>) {
        let (mut gated, decision, obligations) = redeemed.into_parts();
        let mut params = gated.params.take();
        meta::keep_known(&mut params);
        let passage = Self { method: Arc::clone(&gated.method), params, origin: Origin::Permit };
        (passage, gated, decision, obligations)
    }

    /// A request that needs no decision; `None` where the method needs one, or is not let
    /// through at all.
    pub(crate) fn ungated(
        revision: Revision,
        method: impl Into<Arc<str>>,
        mut params: Option<Value>,
    ) -> Option<Self> {
        let method = method.into();
        meta::keep_members(&method, &mut params);
        match classify(Direction::ToServer, Form::Request, revision, &method) {
            Rule::Passed | Rule::Listed(_) | Rule::Handled => {
                Some(Self { method, params, origin: Origin::Table })
            }
            Rule::Gated | Rule::Refused(_) => None,
        }
    }

    /// Changes the parameters on their way: obligations, and what belongs to the hop.
    pub(crate) fn edit<T>(&mut self, edit: impl FnOnce(&str, &mut Option<Value>) -> T) -> T {
        edit(&self.method, &mut self.params)
    }

    /// Whether a permit was used up for it, so that it is sent once and never again.
    pub(crate) fn is_gated(&self) -> bool {
        self.origin == Origin::Permit
    }

    pub(crate) fn into_parts(self) -> (Arc<str>, Option<Value>) {
        (self.method, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::gated;

    #[test]
    fn no_gated_method_passes_without_a_permit() {
        for revision in Revision::ALL {
            for method in gated(Direction::ToServer) {
                assert!(Passage::ungated(revision, method, None).is_none(), "{method} {revision}");
            }
            assert!(Passage::ungated(revision, "made/up", None).is_none());
            assert!(Passage::ungated(revision, "tools/list", None).is_some());
        }
    }
}
