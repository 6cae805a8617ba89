//! Use-case: may this identity do that in the administration of Safeconduct itself? Our own
//! policies answer, through the same evaluation as everyone else's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Assurance, Decision, Effect, Entity, EntityRef, Identity, IdentityKind, Integrity,
    Method, NameError, Role, Tier, Timestamp, Value,
};
use safeconduct_policy::{
    ActionSituation, AdditionalArguments, IdentitySituation, Naming, Policies, Question,
    SessionSituation, Situation, SourceFile, Sources, load,
};
use thiserror::Error;

mod refusal;

pub use refusal::*;

/// The policies, as they stand in the source tree.
const POLICIES: &str = include_str!("../../../policies/admin/admin.cedar");

/// Their namespace.
const NAMESPACE: &str = "Administration";

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Everything that a caller of the administration API can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// Every operation, by word.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word for it in policies, in the API's description and in messages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

operations! {
    /// Ask for a decision.
    AccessEvaluate = "access.evaluate",
    /// Ask for many.
    AccessEvaluateBatch = "access.evaluate_batch",
    /// Request what was denied to somebody that one speaks for.
    AccessRequest = "access.request",
    /// Take such a request back.
    AccessRequestCancel = "access.request_cancel",
    /// See how such a request stands.
    AccessRequestStatus = "access.request_status",
    /// Answer a request, as somebody whom policy names.
    AccessRequestsAnswer = "access_requests.answer",
    /// Answer several at once.
    AccessRequestsAnswerAll = "access_requests.answer_all",
    /// Ask people for a call of one's own.
    AccessRequestsAsk = "access_requests.ask",
    /// List requests: those that one asked or may answer, or all with the right to read them.
    AccessRequestsList = "access_requests.list",
    /// Take a request back that one neither asked nor may answer.
    AccessRequestsRevoke = "access_requests.revoke",
    /// Read a request that one neither asked nor may answer.
    AccessRequestsShow = "access_requests.show",
    /// Wait for the answer to one.
    AccessRequestsWait = "access_requests.wait",
    /// Search for what may be done.
    AccessSearchAction = "access.search_action",
    /// Search for what something may be done to.
    AccessSearchResource = "access.search_resource",
    /// Search for those who may do something.
    AccessSearchSubject = "access.search_subject",
    /// Give a review of rights up that is not one's own.
    CampaignsCancel = "campaigns.cancel",
    /// End a stage of a review that is not one's own.
    CampaignsCloseStage = "campaigns.close_stage",
    /// Answer cases that one is asked about.
    CampaignsDecide = "campaigns.decide",
    /// See a case that one is not asked about.
    CampaignsItem = "campaigns.item",
    /// List the cases of a review in which one has no part.
    CampaignsItems = "campaigns.items",
    /// List reviews: those in which one has a part, or all with the right to read them.
    CampaignsList = "campaigns.list",
    /// Hand a case on that one is asked about.
    CampaignsReassign = "campaigns.reassign",
    /// Hand a case on that somebody else is asked about.
    CampaignsReassignOthers = "campaigns.reassign_others",
    /// Ask again about what nobody answered, in a review that is not one's own.
    CampaignsReiterate = "campaigns.reiterate",
    /// See a review in which one has no part.
    CampaignsShow = "campaigns.show",
    /// Sign a review off, as its owner.
    CampaignsSignOff = "campaigns.sign_off",
    /// Begin a review of rights, or keep its definition.
    CampaignsStart = "campaigns.start",
    /// Keep the definition of a review no longer.
    CampaignsWithdraw = "campaigns.withdraw",
    /// List the catalogue and what is quarantined.
    CatalogueList = "catalogue.list",
    /// Take back a standing word that is not one's own.
    DelegationsEnd = "delegations.end",
    /// List standing words; without `tasks.show` those that one has a part in.
    DelegationsList = "delegations.list",
    /// Give a standing word of one's own.
    DelegationsMake = "delegations.make",
    /// See what somebody can do.
    EstateCan = "estate.can",
    /// See what somebody has done.
    EstateDid = "estate.did",
    /// See who answers for whom.
    EstateOwns = "estate.owns",
    /// See one who there is, with all that is known of them.
    EstateShow = "estate.show",
    /// See what the kill switch would stop of somebody.
    EstateStop = "estate.stop",
    /// See who there is.
    EstateWho = "estate.who",
    /// See why somebody can or cannot do something.
    EstateWhy = "estate.why",
    /// Say that a finding is as it should be, for a time.
    FindingsExempt = "findings.exempt",
    /// List what is wrong with the estate.
    FindingsList = "findings.list",
    /// Look at the estate for what is wrong with it.
    FindingsScan = "findings.scan",
    /// Read one finding.
    FindingsShow = "findings.show",
    /// End such a saying before its time.
    FindingsUnexempt = "findings.unexempt",
    /// Set rules that ask for an approval aside. Whether one may is decided by the policies in
    /// force.
    GlassBreak = "glass.break",
    /// See which rules are set aside.
    GlassList = "glass.list",
    /// Let rules hold again that somebody else set aside.
    GlassMend = "glass.mend",
    /// Do a review that is due of rules which somebody else set aside.
    GlassReview = "glass.review",
    /// See which reviews are due.
    GlassReviews = "glass.reviews",
    /// Register or change an identity that has no role and gets none.
    IdentitiesChange = "identities.change",
    /// Register or change an identity that has a role or gets one.
    IdentitiesChangePrivileged = "identities.change_privileged",
    /// List identities.
    IdentitiesList = "identities.list",
    /// Read one identity.
    IdentitiesShow = "identities.show",
    /// List imports.
    ImportsList = "imports.list",
    /// Import identities that others keep.
    ImportsRun = "imports.run",
    /// List what may be undertaken.
    IntentsList = "intents.list",
    /// Read an intent in whole that one may not undertake.
    IntentsShow = "intents.show",
    /// Stop using a key that signs access tokens, with everything that it signed.
    KeysDrop = "keys.drop",
    /// See how the keys stand that sign access tokens.
    KeysList = "keys.list",
    /// Make new ones.
    KeysRotate = "keys.rotate",
    /// Let go on what the kill switch has stopped.
    KillLift = "kill.lift",
    /// Use the kill switch.
    KillUse = "kill.use",
    /// Lease a credential for the task that one acts in.
    LeasesIssue = "leases.issue",
    /// List leases: one's own, or all with the right to read tasks.
    LeasesList = "leases.list",
    /// Make a lease of the task that one acts in last longer.
    LeasesRenew = "leases.renew",
    /// Read the newest checkpoint.
    LogCheckpoint = "log.checkpoint",
    /// Follow the ledger.
    LogTail = "log.tail",
    /// Say what happened to a permitted action.
    OutcomesReport = "outcomes.report",
    /// List passkeys: one's own, or all with the right to take them away.
    PasskeysList = "passkeys.list",
    /// Take a passkey away that is not one's own.
    PasskeysRemove = "passkeys.remove",
    /// Load policies and catalogue again.
    PoliciesReload = "policies.reload",
    /// Read how the policies stand.
    PoliciesShow = "policies.show",
    /// Approve or reject a change of the policies that somebody else wrote.
    ProposalsAnswer = "proposals.answer",
    /// Read the policy folder as it is, to edit it.
    ProposalsFolder = "proposals.folder",
    /// List changes of the policies that were proposed.
    ProposalsList = "proposals.list",
    /// Propose a change of the policies.
    ProposalsMake = "proposals.make",
    /// Read a change of the policies, with its texts.
    ProposalsShow = "proposals.show",
    /// Search the records.
    RecordsQuery = "records.query",
    /// Read one record.
    RecordsShow = "records.show",
    /// List rights that are taken away.
    RemediationsList = "remediations.list",
    /// Plan that rights are taken away.
    RemediationsSchedule = "remediations.schedule",
    /// Read how far the taking of a right is.
    RemediationsShow = "remediations.show",
    /// Set rights aside, restore them, take them away, verify that, and give them back.
    RemediationsStep = "remediations.step",
    /// See how risky somebody is, and why.
    RiskShow = "risk.show",
    /// Push identities and groups that a directory keeps (SCIM).
    ScimProvision = "scim.provision",
    /// Erase the values of a session.
    SessionsErase = "sessions.erase",
    /// Read the state of a session.
    SessionsShow = "sessions.show",
    /// List signals.
    SignalsList = "signals.list",
    /// Report signals.
    SignalsPut = "signals.put",
    /// See how the streams stand that tell us of risk.
    StreamsList = "streams.list",
    /// Receive what we transmit, as far as the configuration names the caller.
    StreamsReceive = "streams.receive",
    /// Ask the transmitter of a stream that tells us of risk how it stands there.
    StreamsStatus = "streams.status",
    /// Have a stream that tells us of risk verified.
    StreamsVerify = "streams.verify",
    /// Ask to begin a task. Whether it begins is decided by the policies in force.
    TasksBegin = "tasks.begin",
    /// End a task that one has no part in.
    TasksEnd = "tasks.end",
    /// List tasks; without `tasks.show` those that one has a part in.
    TasksList = "tasks.list",
    /// Read tasks and standing words that one has no part in.
    TasksShow = "tasks.show",
    /// Issue a token of an identity that has no role.
    TokensIssue = "tokens.issue",
    /// Issue a token of an identity that has a role.
    TokensIssuePrivileged = "tokens.issue_privileged",
    /// List tokens.
    TokensList = "tokens.list",
    /// Take a token back.
    TokensRevoke = "tokens.revoke",
    /// Read how the upstreams stand.
    UpstreamsList = "upstreams.list",
    /// Learn who one is.
    Whoami = "whoami",
}

/// Our fault: the embedded policies cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdministrationError {
    /// They do not load.
    #[error("the policies of our own administration do not load: {0}")]
    Policies(String),
    /// One of our words is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A question to them cannot be asked.
    #[error(
        "the policies of our own administration cannot be asked about `{operation}`: {problem}"
    )]
    Question {
        /// About what.
        operation: &'static str,
        /// Why not.
        problem: String,
    },
}

/// What matters of an identity here: nothing else can change an answer.
#[derive(Debug, Clone)]
struct Standing {
    kind: IdentityKind,
    roles: BTreeSet<Role>,
    enforcement_point: bool,
}

/// How many standings there are.
const STANDINGS: usize = IdentityKind::ALL.len() << (Role::ALL.len() + 1);

impl Standing {
    /// The standing of that number.
    fn of_number(number: usize) -> Option<Self> {
        let held = Role::ALL.into_iter().filter(|role| number >> (1 + *role as usize) & 1 == 1);
        let kind = IdentityKind::ALL.get(number >> (1 + Role::ALL.len()))?;
        Some(Self { kind: *kind, roles: held.collect(), enforcement_point: number & 1 == 1 })
    }
}

/// The number of an identity's standing.
fn number_of(identity: &Identity) -> usize {
    let roles = identity.roles.iter().fold(0, |bits, role| bits | 1 << *role as usize);
    let kind = identity.kind as usize;
    (kind << Role::ALL.len() | roles) << 1 | usize::from(identity.pep.is_some())
}

/// The answers of our own policies to every question there is, worked out once: looking one up
/// costs the hot path next to nothing.
#[derive(Debug, Clone)]
pub struct Administration {
    /// By the number of the standing: a bit for each operation.
    permitted: Vec<u128>,
    /// What the answers come from.
    policies: Arc<Policies>,
}

// A bit for each operation must fit.
const _: () = assert!(Operation::ALL.len() <= 128);

impl Administration {
    /// Loads the embedded policies and asks them everything.
    ///
    /// # Errors
    /// [`AdministrationError`]: a fault of ours, which a test would have found.
    pub fn load() -> Result<Self, AdministrationError> {
        let policies = policies()?;
        let answers = |standing: Standing| -> Result<u128, AdministrationError> {
            Operation::ALL.iter().try_fold(0, |bits, operation| {
                let permitted = ask(&policies, &standing, *operation)?;
                Ok(bits | u128::from(permitted) << *operation as u32)
            })
        };
        let permitted = (0..STANDINGS).filter_map(Standing::of_number).map(answers);
        let permitted = permitted.collect::<Result<_, _>>()?;
        Ok(Self { permitted, policies: Arc::new(policies) })
    }

    /// Whether that identity may do that. Its status is not looked at: a token of an identity
    /// that is not active proves nothing.
    pub fn permits(&self, identity: &Identity, operation: Operation) -> bool {
        let answers = self.permitted.get(number_of(identity));
        answers.is_some_and(|bits| bits >> operation as u32 & 1 == 1)
    }
}

fn policies() -> Result<Policies, AdministrationError> {
    let actions = Operation::ALL.iter().map(|operation| ActionName::new(operation.as_str()));
    let sources = Sources {
        policies: vec![SourceFile::new("admin.cedar", POLICIES)],
        naming: Naming { namespace: NAMESPACE.into(), ..Naming::default() },
        actions: actions.map(|name| Ok((name?, None))).collect::<Result<_, NameError>>()?,
        ..Sources::default()
    };
    load(&sources)
        .map(|loaded| loaded.policies)
        .map_err(|error| AdministrationError::Policies(error.to_string()))
}

fn ask(
    policies: &Policies,
    standing: &Standing,
    operation: Operation,
) -> Result<bool, AdministrationError> {
    let name = |ty: &str, id: &str| EntityRef::new(format!("{NAMESPACE}::{ty}"), id);
    let groups = standing
        .roles
        .iter()
        .map(|role| role.as_str())
        .chain(standing.enforcement_point.then_some("enforcement_point"))
        .chain(["anyone"]);
    let principal = Entity {
        uid: name(standing.kind.entity_type(), "caller")?,
        attributes: BTreeMap::new(),
        ancestors: groups.map(|group| name("Group", group)).collect::<Result<_, _>>()?,
    };
    let question = Question {
        principal: &principal,
        action: &ActionName::new(operation.as_str())?,
        resource: &Entity::bare(name("Server", "safeconduct")?),
        input: &Value::object::<&str>([]),
        additional: AdditionalArguments::Refused,
        situation: &situation(standing.kind),
        extra: &[],
    };
    let answer = policies.evaluate(&question).map_err(|error| AdministrationError::Question {
        operation: operation.as_str(),
        problem: error.to_string(),
    })?;
    Ok(answer.enforced.decision() == Decision::Permit)
}

/// Nothing of it is looked at by the embedded policies: their answers are worked out before
/// anyone asks.
fn situation(kind: IdentityKind) -> Situation<'static> {
    Situation {
        session: SessionSituation {
            steps: 0,
            denials: 0,
            distinct_resources: 0,
            calls_left: 0,
            actions: Vec::new(),
            label: safeconduct_model::Label::least(),
        },
        identity: IdentitySituation {
            kind: Some(kind),
            method: Method::ApiKey,
            assurance: Assurance::Low,
            age_s: 0,
        },
        action: ActionSituation {
            tier: Tier::High,
            effect: Effect::Administer,
            trust: Integrity::Trusted,
            guessed: false,
            accepts: safeconduct_model::Confidentiality::Internal,
        },
        now: Timestamp::default(),
        task: None,
        flow: safeconduct_policy::FlowSituation::default(),
        risk: safeconduct_policy::RiskSituation::default(),
        approval: None,
        request: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeconduct_model::{IdentityId, IdentityStatus};

    fn identity(kind: IdentityKind, roles: &[Role]) -> Identity {
        Identity {
            id: IdentityId::new("someone").unwrap(),
            kind,
            status: IdentityStatus::Active,
            owner: None,
            sponsor: None,
            imported: None,
            fallback_owner: None,
            environment: None,
            // A group of one's own name is no role.
            groups: BTreeSet::from(["administrator".to_owned()]),
            pep: None,
            roles: roles.iter().copied().collect(),
        }
    }

    #[test]
    fn roles_give_what_the_policies_say() {
        let administration = Administration::load().unwrap();
        let permits = |kind, roles: &[Role], operation| {
            administration.permits(&identity(kind, roles), operation)
        };
        let user = IdentityKind::User;
        assert!(permits(user, &[], Operation::Whoami));
        assert!(!permits(user, &[], Operation::IdentitiesList));
        assert!(permits(user, &[Role::Auditor], Operation::RecordsQuery));
        assert!(!permits(user, &[Role::Auditor], Operation::TokensIssue));
        assert!(!permits(user, &[Role::Operator], Operation::RecordsQuery));
        assert!(permits(user, &[Role::Operator, Role::Auditor], Operation::RecordsQuery));
        assert!(permits(user, &[Role::Administrator], Operation::SessionsErase));
        assert!(!permits(user, &[Role::Administrator], Operation::AccessEvaluate));
    }

    #[test]
    fn no_role_lets_an_agent_administer() {
        let administration = Administration::load().unwrap();
        let agent = identity(IdentityKind::Agent, &Role::ALL);
        let permitted: Vec<_> =
            Operation::ALL.iter().filter(|o| administration.permits(&agent, **o)).collect();
        let own = [
            "access_requests.ask",
            "access_requests.list",
            "delegations.list",
            "intents.list",
            "leases.issue",
            "leases.list",
            "leases.renew",
            "tasks.begin",
            "tasks.list",
            "whoami",
        ];
        assert_eq!(permitted.iter().map(|operation| operation.as_str()).collect::<Vec<_>>(), own);
    }

    #[test]
    fn every_standing_has_its_number() {
        for number in 0..STANDINGS {
            let standing = Standing::of_number(number).unwrap();
            let identity = Identity {
                roles: standing.roles,
                pep: standing.enforcement_point.then(Default::default),
                ..identity(standing.kind, &[])
            };
            assert_eq!(number_of(&identity), number);
        }
        assert!(Standing::of_number(STANDINGS).is_none());
        assert_eq!(Administration::load().unwrap().permitted.len(), STANDINGS);
    }
}
