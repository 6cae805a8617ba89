//! The members of a leaf, as they are read. Unknown, missing and double members are errors of
//! the reader itself, which names them.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

/// A text of the leaf: borrowed where it holds no escape.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

macro_rules! forms {
    ($($name:ident { $($(#[$attribute:meta])* $field:ident: $ty:ty,)* })*) => {$(
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, bound(deserialize = "'de: 'a"))]
        pub(super) struct $name<'a> {
            $($(#[$attribute])* pub(super) $field: $ty,)*
        }
    )*};
}

forms! {
    Leaf {
        at: Text<'a>,
        body: &'a RawValue,
        id: Text<'a>,
        kind: Text<'a>,
        parent: Option<Text<'a>>,
        trace: Option<Text<'a>>,
        v: u64,
    }
    ServerStarted { version: Text<'a>, }
    PoliciesLoaded { cause: Text<'a>, digest: Text<'a>, policies: u64, }
    PoliciesRefused { digest: Option<Text<'a>>, problem: Text<'a>, }
    CatalogueLoaded { actions: u64, digest: Text<'a>, }
    IdentityChanged { by: Text<'a>, identity: Identity<'a>, }
    TokenIssued { by: Text<'a>, token: Token<'a>, }
    TokenRevoked { by: Text<'a>, token: Text<'a>, }
    SessionBegan { session: Session<'a>, }
    ValuesErased { attachments: u64, by: Text<'a>, session: Session<'a>, }
    DefinitionSeen {
        action: Text<'a>,
        pinned: Text<'a>,
        seen: Text<'a>,
        server: Text<'a>,
    }
    Decided {
        action: Text<'a>,
        approval: Option<Text<'a>>,
        catalogue: Text<'a>,
        decision: Text<'a>,
        #[serde(default)]
        flow: Vec<Flow<'a>>,
        input_digest: Text<'a>,
        label: Option<Label<'a>>,
        method: Text<'a>,
        mode: Text<'a>,
        network: Option<Text<'a>>,
        #[serde(default)]
        obligations: Vec<Obligation<'a>>,
        pep: Text<'a>,
        policies: Text<'a>,
        principal: Entity<'a>,
        #[serde(default)]
        reasons: Vec<Reason<'a>>,
        requestable: Option<Requestable<'a>>,
        #[serde(default)]
        resources: Vec<Entity<'a>>,
        risk: Option<u8>,
        sequence: u64,
        session: Session<'a>,
        session_name: Option<Text<'a>>,
        #[serde(default)]
        shadow: Vec<Reason<'a>>,
        task: Option<DecidedTask<'a>>,
    }
    DecidedTask {
        #[serde(default)]
        actors: Vec<Text<'a>>,
        bytes_out: u64,
        id: Text<'a>,
        intent: Text<'a>,
        on_behalf_of: Option<Text<'a>>,
        spend: u64,
    }
    IntentsLoaded {
        by: Option<Text<'a>>,
        #[serde(default)]
        changed: Vec<Text<'a>>,
        digest: Text<'a>,
        intents: u64,
    }
    TokenKeysRotated {
        by: Text<'a>,
        #[serde(default)]
        keys: Vec<Text<'a>>,
    }
    TokenKeyDropped { by: Text<'a>, key: Text<'a>, reason: Text<'a>, }
    TrustLoaded { cause: Text<'a>, digest: Text<'a>, records: u64, }
    Task {
        agent: Text<'a>,
        authority: Text<'a>,
        begun_at: Text<'a>,
        begun_by: Text<'a>,
        budget: Budget<'a>,
        conversation: Option<Text<'a>>,
        deadline: Text<'a>,
        depth: u8,
        handle: Option<Text<'a>>,
        id: Text<'a>,
        idle_s: u32,
        intent: Text<'a>,
        intent_version: u32,
        on_behalf_of: Option<Text<'a>>,
        parent: Option<Text<'a>>,
        run_of: Option<Text<'a>>,
        session: Option<Session<'a>>,
    }
    Budget {
        bytes_out: Option<u64>,
        calls: u64,
        #[serde(default)]
        calls_of: Vec<CallsOf<'a>>,
        distinct_resources: Option<u64>,
        spend: Option<Spend<'a>>,
    }
    CallsOf { action: Text<'a>, calls: u64, }
    Spend {
        #[serde(default)]
        amounts: Vec<AmountAt<'a>>,
        limit: u64,
    }
    AmountAt { action: Text<'a>, pointer: Text<'a>, }
    TaskEnded { by: Option<Text<'a>>, reason: Text<'a>, state: Text<'a>, task: Text<'a>, }
    Delegation {
        agent: Text<'a>,
        expires_at: Text<'a>,
        id: Text<'a>,
        intent: Text<'a>,
        user: Text<'a>,
    }
    DelegationEnded { by: Text<'a>, delegation: Text<'a>, }
    Minted {
        audience: Text<'a>,
        client: Text<'a>,
        confirmation: Option<Confirmation<'a>>,
        expires_at: Text<'a>,
        id: Text<'a>,
        issued_at: Text<'a>,
        task: Text<'a>,
    }
    Confirmation { jkt: Option<Text<'a>>, x5t: Option<Text<'a>>, }
    LeaseChanged { detail: Option<Text<'a>>, lease: Lease<'a>, state: Text<'a>, }
    Lease {
        expires_at: Text<'a>,
        id: Text<'a>,
        kind: Text<'a>,
        last_at: Text<'a>,
        name: Text<'a>,
        planned_at: Text<'a>,
        target: Text<'a>,
        task: Text<'a>,
    }
    Killed { by: Text<'a>, reason: Text<'a>, scope: KillScope<'a>, }
    KillScope {
        identity: Option<Text<'a>>,
        kind: Text<'a>,
        session: Option<Session<'a>>,
        task: Option<Text<'a>>,
    }
    UsedAfterEnd {
        action: Option<Text<'a>>,
        identity: Text<'a>,
        task: Text<'a>,
        token: Text<'a>,
    }
    Signal {
        about: SignalAbout<'a>,
        confidence: u8,
        detail: Option<Text<'a>>,
        expires_at: Text<'a>,
        id: Text<'a>,
        kind: Text<'a>,
        observed_at: Text<'a>,
        severity: Text<'a>,
        source: SignalSource<'a>,
        topic: Option<Text<'a>>,
    }
    SignalAbout {
        identity: Option<Text<'a>>,
        issuer: Option<Text<'a>>,
        kind: Text<'a>,
        session: Option<Session<'a>>,
        task: Option<Text<'a>>,
        user: Option<Text<'a>>,
    }
    SignalSource { kind: Text<'a>, name: Option<Text<'a>>, }
    Flow {
        label: Label<'a>,
        #[serde(default)]
        origins: Vec<Text<'a>>,
        pointer: Text<'a>,
        role: Text<'a>,
        #[serde(default)]
        sources: Vec<Text<'a>>,
    }
    Label {
        #[serde(default)]
        categories: Vec<Text<'a>>,
        confidentiality: Text<'a>,
        integrity: Text<'a>,
    }
    Executed {
        decision: Text<'a>,
        declassified: Option<Text<'a>>,
        detail: Option<Text<'a>>,
        duration_ms: u64,
        #[serde(default)]
        edits: Vec<Edit<'a>>,
        execution: Text<'a>,
        label: Option<Label<'a>>,
        result_bytes: u64,
        result_digest: Option<Text<'a>>,
        session: Session<'a>,
    }
    SessionRead {
        bytes: u64,
        digest: Option<Text<'a>>,
        label: Label<'a>,
        pep: Text<'a>,
        server: Text<'a>,
        session: Session<'a>,
        source: Text<'a>,
    }
    Identity {
        environment: Option<Text<'a>>,
        fallback_owner: Option<Text<'a>>,
        #[serde(default)]
        groups: Vec<Text<'a>>,
        id: Text<'a>,
        imported: Option<Imported<'a>>,
        kind: Text<'a>,
        owner: Option<Text<'a>>,
        pep: Option<Pep<'a>>,
        #[serde(default)]
        roles: Vec<Text<'a>>,
        sponsor: Option<Text<'a>>,
        status: Text<'a>,
    }
    Imported {
        display_name: Option<Text<'a>>,
        external_id: Option<Text<'a>>,
        from: Text<'a>,
        #[serde(default)]
        suspended: bool,
        user_name: Option<Text<'a>>,
    }
    Pep {
        label_at: Option<Text<'a>>,
        properties: bool,
        #[serde(default)]
        resources: Vec<Text<'a>>,
        #[serde(default)]
        subjects: Vec<Text<'a>>,
    }
    Token {
        digest: Text<'a>,
        expires_at: Text<'a>,
        id: Text<'a>,
        identity: Text<'a>,
        issued_at: Text<'a>,
        revoked: bool,
    }
    Session { identity: Text<'a>, task: Option<Text<'a>>, token: Option<Text<'a>>, }
    Entity {
        id: Text<'a>,
        #[serde(rename = "type")]
        ty: Text<'a>,
    }
    Reason {
        code: Text<'a>,
        detail: Option<Text<'a>>,
        message: Text<'a>,
        of: Option<Text<'a>>,
        policy: Option<Policy<'a>>,
    }
    Policy { effect: Text<'a>, id: Text<'a>, span: Span<'a>, }
    Span { column: u32, end_line: u32, file: Text<'a>, line: u32, }
    Requestable { approvers: Text<'a>, quorum: u32, ttl_s: u32, }
    Obligation { kind: Text<'a>, parameter: Text<'a>, }
    Edit { obligation: Obligation<'a>, values: u64, }
    AccessRequest {
        answered: Option<AccessAnswered<'a>>,
        #[serde(default)]
        asked: Vec<Text<'a>>,
        by: Option<Text<'a>>,
        decision: Option<Text<'a>>,
        event: Text<'a>,
        reason: Option<Text<'a>>,
        request: Text<'a>,
        requested: Option<AccessRequested<'a>>,
        sequence: u32,
    }
    AccessRequested {
        action: Text<'a>,
        #[serde(default)]
        actors: Vec<Text<'a>>,
        answer_by: Text<'a>,
        approvers: Text<'a>,
        arguments: Text<'a>,
        #[serde(default)]
        asked: Vec<Text<'a>>,
        asked_by: Text<'a>,
        assurance: Text<'a>,
        deputies: Text<'a>,
        ends_at: Option<Text<'a>>,
        intent: Option<Text<'a>>,
        #[serde(default)]
        interested: Vec<Text<'a>>,
        likeness: Text<'a>,
        on_behalf_of: Option<Text<'a>>,
        principal: Entity<'a>,
        quorum: u32,
        #[serde(default)]
        resources: Vec<Entity<'a>>,
        standing: Text<'a>,
        task: Option<Text<'a>>,
        ttl_s: u32,
    }
    AccessAnswered {
        answer: Text<'a>,
        by: Text<'a>,
        method: Text<'a>,
        reason: Option<Text<'a>>,
        scope: Option<Text<'a>>,
        stage: u8,
        standing_in_for: Option<Text<'a>>,
        term: Text<'a>,
        until: Option<Text<'a>>,
        uses: Option<u32>,
    }
    GlassBroken {
        agent: Text<'a>,
        by: Text<'a>,
        method: Text<'a>,
        reason: Text<'a>,
        task: Option<Text<'a>>,
        until: Text<'a>,
    }
    GlassMended { by: Option<Text<'a>>, glass: Text<'a>, }
    ReviewChange { about: Option<Text<'a>>, by: Option<Text<'a>>, detail: Option<&'a RawValue>, event: Text<'a>, id: Text<'a>, sequence: u64, }
    ReviewDue { about: Text<'a>, cause: Text<'a>, of: Text<'a>, }
    ReviewDone { by: Text<'a>, note: Text<'a>, of: Text<'a>, verdict: Text<'a>, }
    PasskeyRegistered { by: Text<'a>, passkey: Passkey<'a>, }
    Passkey {
        aaguid: Text<'a>,
        counter: u32,
        id: Text<'a>,
        identity: Text<'a>,
        key: Text<'a>,
        name: Text<'a>,
        registered_at: Text<'a>,
        rp: Text<'a>,
        synced: bool,
    }
    PasskeyRemoved { by: Text<'a>, identity: Text<'a>, passkey: Text<'a>, }
    PasskeyUsed {
        about: Text<'a>,
        authenticator_data: Text<'a>,
        client_data: Text<'a>,
        counter: u32,
        identity: Text<'a>,
        nonce: Text<'a>,
        passkey: Text<'a>,
        signature: Text<'a>,
    }
}
