//! The forms' schemas as an OpenAPI document wants them: the same ones that bodies are checked
//! by, so that description and behaviour cannot part.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde_json::Value as Json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{RefOr, Required, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::document::inline_schema_of;
use crate::{admin, authzen, identity, outcome, signals};

macro_rules! described {
    ($($form:ty = $name:literal;)*) => {$(
        impl PartialSchema for $form {
            fn schema() -> RefOr<Schema> {
                schema_of::<Self>()
            }
        }

        impl ToSchema for $form {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )*

        #[cfg(test)]
        fn all() -> Vec<(&'static str, RefOr<Schema>, Json)> {
            vec![$(($name, <$form>::schema(), inline_schema_of::<$form>())),*]
        }
    };
}

described! {
    admin::AccessAskedView = "AccessAsked";
    admin::AccessRequestDetail = "AccessRequest";
    admin::AccessRequestList = "AccessRequestList";
    admin::AccessRequestSummary = "AccessRequestSummary";
    admin::AccessSettledView = "AccessSettled";
    admin::AllSettledView = "AccessAllSettled";
    admin::AnswerAllRequest = "AccessAnswerAll";
    admin::AnswerRequest = "AccessAnswer";
    admin::AskRequest = "AccessAsk";
    admin::BrokenGlassList = "BrokenGlassList";
    admin::BrokenGlassView = "BrokenGlass";
    admin::DueReviewList = "DueReviewList";
    admin::DueReviewRequest = "DueReviewDoing";
    admin::DueReviewView = "DueReview";
    admin::CampaignDecided = "CampaignDecided";
    admin::CampaignDecideForm = "CampaignDecide";
    admin::CampaignItems = "CampaignItems";
    admin::CampaignItemView = "CampaignItem";
    admin::CampaignList = "CampaignList";
    admin::CampaignReassignForm = "CampaignReassign";
    admin::CampaignSignForm = "CampaignSign";
    admin::CampaignStarted = "CampaignStarted";
    admin::CampaignStartForm = "CampaignStart";
    admin::CampaignView = "Campaign";
    admin::CatalogueList = "CatalogueList";
    admin::DelegationList = "DelegationList";
    admin::DelegationRequest = "DelegationRequest";
    admin::DelegationView = "Delegation";
    admin::EndRequest = "EndRequest";
    admin::ErasedView = "Erased";
    admin::EstateCan = "EstateCan";
    admin::EstateDid = "EstateDid";
    admin::EstateOne = "EstateOne";
    admin::EstateOwned = "EstateOwned";
    admin::EstateStop = "EstateStop";
    admin::EstateUnregistered = "EstateUnregistered";
    admin::EstateWho = "EstateWho";
    admin::EstateWhy = "EstateWhy";
    admin::ExemptionRequest = "Exemption";
    admin::FindingList = "FindingList";
    admin::FindingView = "Finding";
    admin::GlassRequest = "BreakGlass";
    admin::ProposalAnswerForm = "ProposalAnswer";
    admin::ProposalList = "ProposalList";
    admin::ProposalView = "Proposal";
    admin::ProposalWithTexts = "ProposalWithTexts";
    admin::ProposeForm = "Propose";
    admin::PolicyFolderView = "PolicyFolder";
    admin::RemediationList = "RemediationList";
    admin::RemediationStepForm = "RemediationStep";
    admin::RemediationView = "Remediation";
    admin::ScheduleForm = "RemediationSchedule";
    admin::Scheduled = "RemediationScheduled";
    admin::SteppedRemediation = "RemediationStepped";
    admin::IdentityList = "IdentityList";
    admin::IdentityView = "IdentityShown";
    admin::ImportList = "ImportList";
    admin::ImportReport = "ImportReport";
    admin::IntentList = "IntentList";
    admin::IntentView = "Intent";
    admin::KeyDrop = "KeyDrop";
    admin::KeyList = "KeyList";
    admin::Killed = "Killed";
    admin::KillRequest = "KillRequest";
    admin::LeaseIssued<'_> = "LeaseIssued";
    admin::LeaseList = "LeaseList";
    admin::LeaseRequest = "LeaseRequest";
    admin::LeaseView = "Lease";
    admin::OneRecord = "OneRecord";
    admin::LookView = "FindingsLook";
    admin::PasskeyList = "PasskeyList";
    admin::PasskeyView = "Passkey";
    admin::PoliciesView = "Policies";
    admin::RecordPage = "RecordPage";
    admin::RiskView = "Risk";
    admin::SessionView = "Session";
    admin::SignalList = "SignalList";
    admin::StreamList = "StreamList";
    admin::StreamStatusView = "StreamStatus";
    admin::TakenView = "SignalsTaken";
    admin::TaskBegun<'_> = "TaskBegun";
    admin::TaskDetail = "Task";
    admin::TaskEnded = "TaskEnded";
    admin::TaskList = "TaskList";
    admin::TaskRequest = "TaskRequest";
    admin::TakeBackRequest = "AccessTakeBack";
    admin::TokenIssued<'_> = "TokenIssued";
    admin::TokenList = "TokenList";
    admin::TokenRequest = "TokenRequest";
    admin::UpstreamList = "UpstreamList";
    admin::WhoamiView = "Whoami";
    authzen::RequestAnswer = "AuthzenAccessRequest";
    authzen::Metadata = "AuthzenMetadata";
    identity::IdentityForm = "Identity";
    outcome::OutcomeForm = "Outcome";
    signals::SignalReport = "SignalReport";
}

impl IntoParams for admin::RecordQueryForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::ImportQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::EstateWhyForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::RemediationQueryForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::FindingQueryForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::EstateDidForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::AccessQueryForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::CampaignItemsForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::CampaignListForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::WaitForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

impl IntoParams for admin::TaskQueryForm {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        query_of::<Self>()
    }
}

/// The members of a form as the parameters of a query string.
fn query_of<T: JsonSchema>() -> Vec<Parameter> {
    let schema = inline_schema_of::<T>();
    let properties = schema.get("properties").and_then(Json::as_object);
    let parameter = |(name, schema): (&String, &Json)| {
        let description = schema.get("description").and_then(Json::as_str);
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(description)
            .schema(Some(read(schema.clone())))
            .build()
    };
    properties.into_iter().flatten().map(parameter).collect()
}

fn schema_of<T: JsonSchema>() -> RefOr<Schema> {
    read(inline_schema_of::<T>())
}

/// A schema as the document's own type has it. A test holds that nothing of it is lost.
fn read(schema: Json) -> RefOr<Schema> {
    serde_json::from_value(worded(schema)).unwrap_or_else(|_| RefOr::T(Schema::default()))
}

/// Words with a comment each become a plain vocabulary: the document's type has no `const`.
fn worded(schema: Json) -> Json {
    match schema {
        Json::Object(mut object) => {
            let words = object.get("oneOf").and_then(Json::as_array).and_then(|options| {
                options
                    .iter()
                    .map(|option| option.get("const").cloned())
                    .collect::<Option<Vec<_>>>()
            });
            if let Some(words) = words {
                object.remove("oneOf");
                object.insert("type".into(), "string".into());
                object.insert("enum".into(), Json::Array(words));
            }
            // A set is a list here: the type has no word for it.
            object.remove("uniqueItems");
            if let Some(Json::Object(properties)) = object.get_mut("properties") {
                properties.values_mut().for_each(typed);
            }
            if let Some(items @ Json::Bool(true)) = object.get_mut("items") {
                *items = Json::Object(serde_json::Map::new());
                typed(items);
            }
            Json::Object(object.into_iter().map(|(name, value)| (name, worded(value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(worded).collect()),
        other => other,
    }
}

/// Says of what may be anything that it may be anything: the document's type wants a type.
fn typed(schema: &mut Json) {
    let Json::Object(object) = schema else { return };
    if !["type", "anyOf", "oneOf", "enum"].iter().any(|keyword| object.contains_key(*keyword)) {
        let types = ["null", "boolean", "number", "string", "array", "object"];
        object.insert("type".into(), Json::from(types.as_slice()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_schema_is_lost() {
        for (name, read, ours) in all() {
            let kept = serde_json::to_value(read).unwrap();
            assert_eq!(plain(kept), plain(worded(ours)), "{name}");
        }
    }

    /// Without what says the same in two ways: order and `1.0` for `1`.
    fn plain(value: Json) -> safeconduct_model::Value {
        crate::json::from_serde(&value)
    }

    #[test]
    fn a_query_is_described() {
        let parameters = admin::RecordQueryForm::into_params(|| None);
        assert_eq!(parameters.len(), 11);
        assert!(parameters.iter().all(|p| p.description.is_some() && p.schema.is_some()));
    }
}
