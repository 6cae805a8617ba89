//! Use-case: issue an access token for a task. The record comes first, and it is refused where the
//! task, anything above it or the world has changed meanwhile: no token is issued past an end.

use std::sync::Arc;

use safeconduct_credential::jose::{self, Confirmation, DpopProof, Thumbprint};
use safeconduct_credential::token::{
    ACCESS_TOKEN_TYP, ACCESS_TOKEN_TYPE, AccessToken, Fault, FaultCode, Form, Grant, Granted,
    Single, SubjectToken, TaskDetail, TokenRequest, Wanted, claims_to_be_checked, details_value,
    expiry, grant, is_clients, is_for_alone, lets_act, said_issued_at, whole_seconds,
};
use safeconduct_model::{
    Allowance, Authentication, Body, Digest, IdentityId, IdentityKind, IdentityStatus, Minted,
    Record, SessionKey, TaskId, TaskState, Timestamp, TokenId, TraceId, Value,
};

use crate::access_tokens::{Desk, ProtectedBy};
use crate::client_proof::{Client, SKEW_S_MAX, refused};
use crate::line::Line;
use crate::{
    ACCESS_TOKENS_MAX, BeginError, Binding, ClientRequest, Ending, Entry, Holds, Narrowed,
    OnBehalf, Proposal, Service, SubmitError, Ticket, Undertaking, Versioned, World, token_digest,
};

/// How often a token is tried against changes of the world.
const ATTEMPTS: usize = 4;

/// The enforcement point that begins tasks here.
const PEP: &str = "token-service";

/// An access token, for its holder.
pub struct Issued {
    /// The token's text.
    pub text: String,
    /// What it says.
    pub token: AccessToken,
    /// Whether its task was begun by this request, under the handle that was given.
    pub begun: bool,
    /// When it was issued, to the millisecond.
    pub at: Timestamp,
}

impl Issued {
    /// The type of what was issued (RFC 8693 section 3).
    pub const TYPE: &'static str = ACCESS_TOKEN_TYPE;

    /// What may be done with it, as rich authorization details (RFC 9396 section 7).
    pub fn details(&self) -> Value {
        details_value(&self.token.audience, &self.token.allowances)
    }

    /// For how many whole seconds it holds.
    pub fn expires_in_s(&self) -> i64 {
        self.token.expires_at.ms_since(self.at) / 1000
    }
}

/// The token's text is not shown.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({})", self.token.id)
    }
}

/// What a token rests on.
struct Basis {
    task: TaskId,
    begun: bool,
    /// The token that it is exchanged for.
    source: Option<Arc<AccessToken>>,
    /// When what it rests on ends.
    ends: Vec<Timestamp>,
}

/// A token that is asked for, all but what only holds at one moment.
struct Order<'a> {
    desk: &'a Desk,
    client: &'a Client,
    basis: &'a Basis,
    resource: Arc<str>,
    at: &'a ProtectedBy,
    wanted: Wanted,
    confirmation: Confirmation,
}

impl Service {
    /// Issues an access token. `handle` is the digest of a new handle of a task, for the case that
    /// the request begins one.
    ///
    /// # Errors
    /// [`Fault`] in the registered words; no token was issued.
    pub async fn issue_access_token(
        &self,
        request: &ClientRequest<'_>,
        form: &Form,
        handle: Digest,
        trace: Option<TraceId>,
    ) -> Result<Issued, Fault> {
        let desk = self.desk().ok_or_else(|| unavailable("the token service is closed"))?;
        let now = self.clock.now();
        let proof = desk.dpop(request, None, now)?;
        let jkt = proof.as_ref().map(|proof| proof.jkt);
        let client = self.client(&desk, request, form, jkt).await?;
        let asked = TokenRequest::read(form)?;
        let unknown = || {
            let says = "no such resource is configured";
            Fault::new(FaultCode::InvalidTarget, says)
        };
        let found = desk.settings.resources.get_key_value(asked.resource.as_str());
        let (resource, at) = found.ok_or_else(unknown)?;
        let confirmation = Confirmation {
            jkt,
            x5t_s256: match (jkt, request.peer) {
                // A key of the client's own outlives its certificates, which rotate.
                (None, Some(_)) => request.x5t(),
                _ => None,
            },
        };
        if at.binding == Binding::Needed && confirmation.is_bearer() {
            let says = "tokens for this resource are bound: send a DPoP proof, or use mutual TLS";
            return Err(Fault::new(FaultCode::InvalidRequest, says));
        }
        let held = Held { proof, jkt, x5t: request.x5t(), holds: request.holds(jkt) };
        let opening = Opening { detail: asked.details.task.as_ref(), handle, trace };
        let basis = self.basis(&desk, client, &asked.grant, &held, opening).await?;
        let (client, mut basis) = basis;
        basis.ends.extend(client.ends);
        let wanted = Wanted { scope: asked.scope, allowances: asked.details.allowances };
        let order = Order {
            desk: &desk,
            client: &client,
            basis: &basis,
            resource: Arc::clone(resource),
            at,
            wanted: self.named(wanted),
            confirmation,
        };
        let issued = self.mint(&order).await;
        if issued.is_err() && basis.begun {
            self.end_unused(&basis.task, &client.proof.identity).await;
        }
        issued
    }

    /// Ends a task that was begun for a token that there is not. Whoever asked has no handle of
    /// it.
    async fn end_unused(&self, task: &TaskId, client: &IdentityId) {
        let ending = Ending {
            state: TaskState::Revoked,
            by: Some(client.clone()),
            reason: "no token could be issued for it".into(),
        };
        if let Err(error) = self.end_task(task, ending).await {
            tracing::error!(%task, %error, "a task without a token could not be ended");
        }
    }

    /// Types of resources as the schema names them, where it does.
    fn named(&self, mut wanted: Wanted) -> Wanted {
        let world = self.world();
        for allowance in wanted.allowances.iter_mut().flatten() {
            for rule in &mut allowance.resources {
                if let Some(ty) = world.policies().resolve_type(rule.ty.as_str()) {
                    rule.ty = ty;
                }
            }
        }
        wanted
    }

    async fn mint(&self, order: &Order<'_>) -> Result<Issued, Fault> {
        let task = &order.basis.task;
        self.end_if_overdue(task);
        let (mut token, minted, ticket) = self.queue_token(order)?;
        let algorithm = order.at.algorithm.unwrap_or(order.desk.settings.algorithm);
        // The signature is made while the disk works; the token leaves after both.
        let signing = order.desk.signing();
        let signed = signing
            .ring
            .signer(algorithm, minted.issued_at)
            .ok_or_else(|| unavailable("there is no key to sign with"))
            .and_then(|key| {
                self.access.signed(&minted.id, key.public().kid().unwrap_or_default());
                key.sign(ACCESS_TOKEN_TYP, &token.claims()).map_err(|error| match error {
                    jose::SignError::TooLong { .. } => {
                        let says = "the token would be too long: ask for fewer actions by scope";
                        Fault::new(FaultCode::InvalidAuthorizationDetails, says)
                    }
                    other => unavailable(&other.to_string()),
                })
            });
        if let Err(error) = self.ledger.durable(ticket).await {
            self.access.never_born(&minted.id);
            return Err(not_recorded(&error));
        }
        let text = signed.inspect_err(|_| self.access.never_born(&minted.id))?;
        token.issued_at = whole_seconds(minted.issued_at);
        Ok(Issued { text, token, begun: order.basis.begun, at: minted.issued_at })
    }

    /// Everything up to the queue, without waiting.
    fn queue_token(&self, order: &Order<'_>) -> Result<(AccessToken, Minted, Ticket), Fault> {
        for attempt in 1..=ATTEMPTS {
            // The last attempt keeps other changes of this process out.
            let _alone = (attempt == ATTEMPTS).then(|| self.keep_changes_out());
            let world = self.world();
            let now = self.clock.now();
            let line = self.unsealed_line(&order.basis.task).ok_or_else(task_over)?;
            let token = self.token(order, &world, &line, now)?;
            let minted = Minted {
                id: token.id.clone(),
                task: token.task.clone(),
                client: token.client.clone(),
                audience: Arc::clone(&token.audience),
                confirmation: recorded(&token.confirmation),
                issued_at: now,
                expires_at: token.expires_at,
            };
            let record = Record {
                id: self.ids.record("rec"),
                at: now,
                trace: None,
                parent: None,
                body: Body::TokenMinted(Box::new(minted.clone())),
            };
            let leaf = safeconduct_ledger::encode(&record).map_err(|e| not_recorded(&e))?;
            // INVARIANT: an end changes the version of its task, and of nothing else that is read
            // here; so none can come between this reading and this record.
            let mut reads = line.versions;
            reads.push((Versioned::World, world.version));
            let entries = vec![Entry { leaf, attachment: None }];
            match self.ledger.submit(Proposal { entries, reads, writes: Vec::new() }) {
                Ok(ticket) => {
                    self.access.born(&minted, Some(token.allowances.as_slice().into()));
                    return Ok((token, minted, ticket));
                }
                // A change may be between its record and its swap: wait for it to be through.
                Err(SubmitError::Stale) if attempt < ATTEMPTS => drop(self.keep_changes_out()),
                Err(SubmitError::Stale) => {}
                Err(error) => return Err(not_recorded(&error)),
            }
        }
        Err(unavailable("too many changes at the same moment; try again"))
    }

    /// What a token says that is issued at this moment, where one may be.
    fn token(
        &self,
        order: &Order<'_>,
        world: &World,
        line: &Line,
        now: Timestamp,
    ) -> Result<AccessToken, Fault> {
        let task = &line.task;
        let mandate = line.mandate.as_ref().filter(|_| line.ended.is_none());
        let mandate = mandate.ok_or_else(task_over)?;
        if task.agent != order.client.proof.identity {
            return Err(task_over());
        }
        let active = |id: &IdentityId| {
            world.identity(id).is_some_and(|known| known.status == IdentityStatus::Active)
        };
        let key = SessionKey::task(task.agent.clone(), task.id.clone());
        let stands = active(&task.agent) && task.on_behalf_of.as_ref().is_none_or(active);
        if !stands || world.killed(&key).is_some() {
            return Err(Fault::new(FaultCode::AccessDenied, "the agent or its user was stopped"));
        }
        if !self.access.has_room(now) {
            tracing::warn!(limit = ACCESS_TOKENS_MAX, "too many access tokens are alive");
            return Err(unavailable("too many access tokens are alive"));
        }
        let here: Vec<Allowance<Value>> = mandate
            .authority
            .allowances
            .iter()
            .filter(|a| is_here(a, order.at, world))
            .cloned()
            .collect();
        let source = order.basis.source.as_ref().map(|source| source.allowances.as_slice());
        let Granted { allowances, scope } = grant(&here, source, &order.wanted)?;
        let limits = order.basis.ends.iter().copied().chain([task.deadline]);
        let limits = limits.chain(order.basis.source.iter().map(|source| source.expires_at));
        let expires_at = expiry(now, order.desk.settings.ttl_s, limits)
            .ok_or_else(|| invalid("what the token would rest on is over"))?;
        let (subject, actors) = who(line);
        Ok(AccessToken {
            issuer: Arc::clone(&order.desk.settings.issuer),
            audience: Arc::clone(&order.resource),
            subject,
            client: task.agent.clone(),
            id: TokenId::new(self.ids.record("at").shared())
                .map_err(|error| unavailable(&error.to_string()))?,
            issued_at: whole_seconds(now),
            expires_at,
            actors,
            task: task.id.clone(),
            intent: task.intent.clone(),
            allowances,
            scope,
            confirmation: order.confirmation,
        })
    }
}

/// For whom a task acts, and who acts, outwards. A subject that is not the one who acts always
/// comes with whoever does.
fn who(line: &Line) -> (IdentityId, Vec<IdentityId>) {
    let task = &line.task;
    let mut actors = vec![task.agent.clone()];
    actors.extend(line.delegated_by.iter().cloned());
    match &task.on_behalf_of {
        Some(user) => (user.clone(), actors),
        // Nobody else's: the first agent of the line acts for itself.
        None => (actors.pop().unwrap_or_else(|| task.agent.clone()), actors),
    }
}

fn is_here(allowance: &Allowance<Value>, at: &ProtectedBy, world: &World) -> bool {
    at.servers.as_ref().is_none_or(|servers| {
        let entry = world.catalogue.entry(&allowance.action);
        entry.and_then(|entry| entry.server.as_ref()).is_some_and(|on| servers.contains(on))
    })
}

fn recorded(confirmation: &Confirmation) -> Option<safeconduct_model::Confirmation> {
    let text = |thumbprint: Thumbprint| Arc::from(thumbprint.to_string());
    let jkt = confirmation.jkt.map(text).map(safeconduct_model::Confirmation::Jkt);
    let x5t = confirmation.x5t_s256.map(text).map(safeconduct_model::Confirmation::X5t);
    jkt.or(x5t)
}

/// What the client proved to hold in this request.
struct Held<'a> {
    proof: Option<DpopProof>,
    jkt: Option<Thumbprint>,
    x5t: Option<Thumbprint>,
    holds: Holds<'a>,
}

impl Held<'_> {
    /// Uses the proof up, by a client that has proved who it is.
    fn used_by(&self, desk: &Desk, client: &Client, now: Timestamp) -> Result<(), Fault> {
        let proof = self.proof.as_ref();
        proof.map_or(Ok(()), |proof| desk.use_dpop(proof, &client.proof.identity, now))
    }
}

impl Service {
    /// What the token will rest on, and whose it will be.
    async fn basis(
        &self,
        desk: &Desk,
        client: Option<Client>,
        grant: &Grant,
        held: &Held<'_>,
        opening: Opening<'_>,
    ) -> Result<(Client, Basis), Fault> {
        let (subject, actor) = match grant {
            Grant::Assertion(assertion) => {
                return self.asserted(desk, client, assertion.reveal(), held, opening).await;
            }
            Grant::Client => return self.clients_own(desk, client, held, opening).await,
            Grant::Exchange { subject, actor } => (subject, actor),
        };
        let client = client.ok_or_else(|| refused("the client did not prove who it is"))?;
        held.used_by(desk, &client, self.clock.now())?;
        if let Some(actor) = actor {
            self.is_actor(&client, actor.reveal(), held).await?;
        }
        let basis = match subject {
            SubjectToken::TaskHandle(handle) => {
                opening.must_be_none()?;
                self.of_handle(&client, handle.reveal())?
            }
            SubjectToken::Token(token) if desk.knows(token.reveal()) => {
                opening.must_be_none()?;
                self.of_own_token(desk, &client, token.reveal(), held)?
            }
            SubjectToken::Token(token) => {
                let (user, ends) = self.user(desk, &client, token.reveal()).await?;
                self.open(&client, Some(user), ends, opening).await?
            }
        };
        Ok((client, basis))
    }

    /// A task that the client begins in its own name: the one that the request asks for, or else
    /// what this client usually does (RFC 6749 section 4.4).
    async fn clients_own(
        &self,
        desk: &Desk,
        client: Option<Client>,
        held: &Held<'_>,
        opening: Opening<'_>,
    ) -> Result<(Client, Basis), Fault> {
        let client = client.ok_or_else(|| refused("the client did not prove who it is"))?;
        held.used_by(desk, &client, self.clock.now())?;
        let identity = &client.proof.identity;
        let kind = self.world().identity(identity).map(|known| known.kind);
        if !matches!(kind, Some(IdentityKind::Agent | IdentityKind::Workload)) {
            let says = "by this grant agents and workloads act in their own name, and nobody else";
            return Err(Fault::new(FaultCode::UnauthorizedClient, says));
        }
        let registered = desk.settings.clients.get(identity);
        let usual = registered.and_then(|client| client.intent.clone()).map(|intent| TaskDetail {
            intent,
            version: None,
            parameters: Default::default(),
            seconds: None,
        });
        let detail = opening.detail.or(usual.as_ref());
        let basis = self.open(&client, None, None, Opening { detail, ..opening }).await?;
        Ok((client, basis))
    }

    fn of_handle(&self, client: &Client, handle: &str) -> Result<Basis, Fault> {
        let entered = self.enter_task(client.proof.clone(), &token_digest(handle));
        let task = entered.ok().and_then(|proof| proof.task);
        // An enforcement point may name others' tasks; their tokens are not its.
        let task = task.filter(|task| task.agent == client.proof.identity);
        let task = task.ok_or_else(|| invalid("no task of this client has that handle"))?;
        Ok(Basis { task: task.id, begun: false, source: None, ends: Vec::new() })
    }

    fn of_own_token(
        &self,
        desk: &Desk,
        client: &Client,
        token: &str,
        held: &Held<'_>,
    ) -> Result<Basis, Fault> {
        let now = self.clock.now();
        let source = self.own_token(desk, token, now);
        let source = source.map_err(|error| invalid(error.to_string()))?;
        // Whoever else wants to act does so in a task that was delegated to them.
        if source.client != client.proof.identity {
            return Err(invalid("the subject token is another client's"));
        }
        if !source.confirmation.is_met_by(held.jkt, held.x5t) {
            return Err(invalid("the subject token is bound to what was not proved"));
        }
        self.still_stands(&source, now).map_err(|error| invalid(error.to_string()))?;
        Ok(Basis {
            task: source.task.clone(),
            begun: false,
            source: Some(source),
            ends: Vec::new(),
        })
    }

    /// The user that a token proves to be there, and when it ends. An agent never takes another's
    /// place: it acts for people, and says so.
    async fn user(
        &self,
        desk: &Desk,
        client: &Client,
        token: &str,
    ) -> Result<(Authentication, Option<Timestamp>), Fault> {
        let proof = self.authenticate_user(token).await.ok();
        let proof = proof.filter(|proof| proof.identity != client.proof.identity);
        let proof = proof.ok_or_else(|| invalid("the subject token is none of another user"))?;
        let allowed = claims_to_be_checked(token)
            .is_none_or(|said| lets_act(&said, &client.proof.identity, &desk.settings.issuer));
        if !allowed {
            return Err(invalid("the subject token lets another client act (`may_act`)"));
        }
        let ends = self.end_of(&proof);
        Ok((proof, ends))
    }

    /// When a proof's credential ends.
    fn end_of(&self, proof: &Authentication) -> Option<Timestamp> {
        let registered = || self.world().token(&proof.token).map(|token| token.expires_at);
        proof.expires_at.or_else(registered)
    }

    /// Whether an actor token is the client's own: nobody else acts in its name.
    async fn is_actor(&self, client: &Client, token: &str, held: &Held<'_>) -> Result<(), Fault> {
        let actor = self.authenticate_bearer(token, held.holds).await;
        match actor.is_ok_and(|actor| actor.identity == client.proof.identity) {
            true => Ok(()),
            false => Err(invalid("the actor token is none of the client that asks")),
        }
    }

    /// An assertion of a trusted issuer (RFC 7523 section 2.1): of a user for whom the client
    /// acts, or of the client itself.
    async fn asserted(
        &self,
        desk: &Desk,
        client: Option<Client>,
        assertion: &str,
        held: &Held<'_>,
        opening: Opening<'_>,
    ) -> Result<(Client, Basis), Fault> {
        let refused = |says: &str| Fault::new(FaultCode::InvalidGrant, says);
        let claims = claims_to_be_checked(assertion);
        let claims = claims.ok_or_else(|| refused("the assertion is no JWT"))?;
        if desk.knows(assertion) {
            return Err(refused("an assertion of our own is not taken"));
        }
        if !is_for_alone(&claims, &desk.settings.issuer) {
            return Err(refused("the assertion is not meant for this issuer alone"));
        }
        let user = self.authenticate_user(assertion).await.ok();
        let client = match (client, &user) {
            (Some(client), _) => client,
            (None, Some(_)) => {
                return Err(crate::client_proof::refused("the client did not prove who it is"));
            }
            (None, None) => {
                let proof = self.authenticate_bearer(assertion, held.holds).await;
                let proof = proof.map_err(|_| refused("the assertion proves nobody"))?;
                Client { ends: proof.expires_at, proof }
            }
        };
        let identity = &client.proof.identity;
        if !is_clients(&claims, identity) || !lets_act(&claims, identity, &desk.settings.issuer) {
            return Err(refused("the assertion was issued to another client"));
        }
        let asserted = match &user {
            Some(user) => user.clone(),
            None => {
                let proof = self.authenticate_bearer(assertion, held.holds).await.ok();
                let own = proof.filter(|proof| proof.identity == *identity);
                own.ok_or_else(|| refused("the assertion is neither of a user nor of the client"))?
            }
        };
        held.used_by(desk, &client, self.clock.now())?;
        self.use_asserted(desk, &client, assertion, &claims, asserted.expires_at)?;
        let ends = asserted.expires_at;
        let basis = self.open(&client, user, ends, opening).await?;
        Ok((client, basis))
    }

    /// Lets an assertion of another issuer be used, this once.
    fn use_asserted(
        &self,
        desk: &Desk,
        client: &Client,
        assertion: &str,
        claims: &Value,
        ends: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let refused = |says: &str| Fault::new(FaultCode::InvalidGrant, says);
        let now = self.clock.now();
        let issued_at =
            said_issued_at(claims).filter(|at| *at <= now.plus_ms(i64::from(SKEW_S_MAX) * 1000));
        let issued_at = issued_at.ok_or_else(|| {
            refused("the assertion does not say when it was issued (`iat`), or not truly")
        })?;
        let until = ends.ok_or_else(|| refused("the assertion has no end"))?;
        let single = Single {
            // No client is called so.
            whose: "",
            // By its own bytes: not every issuer gives its assertions an id.
            id: &token_digest(assertion).to_string(),
            client: client.proof.identity.as_str(),
            issued_at,
            until,
        };
        desk.use_assertion(&single, now)
            .map_err(|used| refused(&format!("of the assertion: {used}")))
    }

    /// Begins the task that a request asks for, and for which its token will be.
    async fn open(
        &self,
        client: &Client,
        user: Option<Authentication>,
        ends: Option<Timestamp>,
        opening: Opening<'_>,
    ) -> Result<Basis, Fault> {
        let Some(detail) = opening.detail else {
            let says = "say with `authorization_details` of type `safeconduct_task` what for";
            return Err(Fault::new(FaultCode::InvalidAuthorizationDetails, says));
        };
        let pep = IdentityId::new(PEP).map_err(|error| unavailable(&error.to_string()))?;
        let undertaking = Undertaking {
            by: client.proof.clone(),
            agent: client.proof.identity.clone(),
            intent: detail.intent.clone(),
            version: detail.version,
            parameters: detail.parameters.clone(),
            prompt: None,
            on_behalf_of: user.map(OnBehalf::Proved),
            narrowed: Narrowed { seconds: detail.seconds, ..Narrowed::default() },
            handle: Some(opening.handle),
            conversation: None,
            run_of: None,
            pep,
            trace: opening.trace,
        };
        let task = self.begin_task(undertaking).await.map_err(not_begun)?;
        let ends = ends.into_iter().collect();
        Ok(Basis { task: task.id.clone(), begun: true, source: None, ends })
    }
}

/// What a request says of a task to be begun.
struct Opening<'a> {
    detail: Option<&'a TaskDetail>,
    handle: Digest,
    trace: Option<TraceId>,
}

impl Opening<'_> {
    fn must_be_none(&self) -> Result<(), Fault> {
        match self.detail {
            None => Ok(()),
            Some(_) => Err(invalid("the subject token is of a task already")),
        }
    }
}

fn not_begun(error: BeginError) -> Fault {
    let says = error.to_string();
    match &error {
        BeginError::UnknownIntent(_)
        | BeginError::Parameters(_)
        | BeginError::Prompt { .. }
        | BeginError::NoUser(_)
        | BeginError::NotForUsers(_)
        | BeginError::Wider(_)
        | BeginError::Name(_)
        | BeginError::NoTime => Fault::new(FaultCode::InvalidAuthorizationDetails, says),
        BeginError::NotAnUndertaker { .. }
        | BeginError::NotAllowed { .. }
        | BeginError::UnknownIdentity(_)
        | BeginError::NotDelegated { .. }
        | BeginError::ParentEnded
        | BeginError::UnknownSchedule(_)
        | BeginError::Running { .. }
        | BeginError::Stopped
        | BeginError::NotActive(_)
        | BeginError::Attached(_) => Fault::new(FaultCode::AccessDenied, says),
        BeginError::Denied { ruling, .. } => {
            let id = &ruling.value().outcome.record.id;
            Fault::new(FaultCode::AccessDenied, format!("{says} (decision {id})"))
        }
        BeginError::OverLimit { .. } | BeginError::Contended => unavailable(&says),
        BeginError::Unrecorded(_)
        | BeginError::Submit(_)
        | BeginError::Append(_)
        | BeginError::Record(_) => not_recorded(&says),
    }
}

fn invalid(says: impl AsRef<str>) -> Fault {
    Fault::new(FaultCode::InvalidRequest, says)
}

fn task_over() -> Fault {
    invalid("the task is over, or is another's")
}

pub(crate) fn unavailable(says: &str) -> Fault {
    Fault::new(FaultCode::TemporarilyUnavailable, says)
}

/// What the disk says is for the operators' log.
pub(crate) fn not_recorded(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "the token service could not record what it did");
    unavailable("it could not be recorded, so it was not done")
}
