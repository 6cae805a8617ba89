//! What an access token says (RFC 9068), there and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{
    ActionName, Allowance, IdentityId, IntentName, TaskId, Timestamp, TokenId, Value,
};
use thiserror::Error;

use super::TTL_S_MAX;
use super::details::{details_value, read_granted};
use super::ring::SIGNING;
use crate::jose::{AudienceRule, Confirmation, Expect, Thumbprint, Typ, Verified};

/// The `typ` of an access token.
pub const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// Deepest chain of actors that is read.
const ACTORS_MAX: usize = safeconduct_model::DEPTH_MAX as usize + 2;

/// An access token, before it is signed or after it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Who issued it.
    pub issuer: Arc<str>,
    /// What it is for: one resource.
    pub audience: Arc<str>,
    /// For whom it acts.
    pub subject: IdentityId,
    /// Who may use it: the agent of its task.
    pub client: IdentityId,
    /// Its `jti`.
    pub id: TokenId,
    /// When it was issued; whole seconds.
    pub issued_at: Timestamp,
    /// When it ends; whole seconds.
    pub expires_at: Timestamp,
    /// Who acts, and who delegated to them, outwards (`act`, RFC 8693 section 4.1). Empty only
    /// where the client acts for itself.
    pub actors: Vec<IdentityId>,
    /// The task that it ends with.
    pub task: TaskId,
    /// The task's intent.
    pub intent: IntentName,
    /// What may be done with it.
    pub allowances: Vec<Allowance<Value>>,
    /// The scope, where one was asked.
    pub scope: Option<BTreeSet<ActionName>>,
    /// What the presenter must hold besides.
    pub confirmation: Confirmation,
}

/// A token that we signed does not say what ours say: another version of Safeconduct wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the access token's claim `{0}` is not as we write it")]
pub struct ClaimsError(pub &'static str);

/// What our own access tokens must be, for one of these resources.
pub fn own_tokens(issuer: &str, audiences: impl IntoIterator<Item = String>) -> Expect {
    let mut expect = Expect::new(SIGNING, Typ::one_of([ACCESS_TOKEN_TYP]), audiences);
    expect.issuer = Some(issuer.to_owned());
    expect.audience_rule = AudienceRule::Alone;
    expect.lifetime_max_s = TTL_S_MAX;
    expect.required.extend(["jti", "client_id", "task"].map(str::to_owned));
    expect
}

impl AccessToken {
    /// The claims.
    pub fn claims(&self) -> Value {
        let text = |text: &Arc<str>| Value::String(Arc::clone(text));
        let seconds = |at: Timestamp| Value::Integer(at.as_millis().div_euclid(1000));
        let task = Value::object([
            ("id", Value::String(self.task.shared())),
            ("intent", Value::String(self.intent.shared())),
        ]);
        let always = [
            ("iss", text(&self.issuer)),
            ("aud", text(&self.audience)),
            ("sub", Value::String(self.subject.shared())),
            ("client_id", Value::String(self.client.shared())),
            ("jti", Value::String(self.id.shared())),
            ("iat", seconds(self.issued_at)),
            ("exp", seconds(self.expires_at)),
            ("task", task),
            ("authorization_details", details_value(&self.audience, &self.allowances)),
        ];
        let perhaps = [
            ("act", self.act()),
            ("scope", self.scope_text().map(Value::from)),
            ("cnf", cnf(&self.confirmation)),
        ];
        let perhaps = perhaps.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Value::object(always.into_iter().chain(perhaps))
    }

    /// The scope as one text.
    pub fn scope_text(&self) -> Option<String> {
        let words = |scope: &BTreeSet<ActionName>| {
            scope.iter().map(ActionName::as_str).collect::<Vec<_>>().join(" ")
        };
        self.scope.as_ref().map(words)
    }

    /// The actors, the outermost outside. An actor is a pair of issuer and name.
    fn act(&self) -> Option<Value> {
        self.actors.iter().rev().fold(None, |inner, actor| {
            let own = [
                ("sub", Value::String(actor.shared())),
                ("iss", Value::String(Arc::clone(&self.issuer))),
            ];
            Some(Value::object(own.into_iter().chain(inner.map(|inner| ("act", inner)))))
        })
    }

    /// The answer of introspection for it while it is active (RFC 7662 section 2.2).
    pub fn introspection(&self) -> Value {
        let mut claims = match self.claims() {
            Value::Object(members) => members,
            _ => Default::default(),
        };
        claims.insert("active".into(), Value::Bool(true));
        claims.insert("token_type".into(), Value::from(self.token_type()));
        Value::Object(claims)
    }

    /// How it is presented: `Bearer` or `DPoP`.
    pub const fn token_type(&self) -> &'static str {
        if self.confirmation.jkt.is_some() { "DPoP" } else { "Bearer" }
    }

    /// What a token says that was checked against [`own_tokens`].
    ///
    /// # Errors
    /// [`ClaimsError`] names the claim that is not as we write it.
    pub fn read(token: &Verified) -> Result<Self, ClaimsError> {
        let claims = &token.claims;
        let text = |name: &'static str| {
            claims.member(name).and_then(Value::as_str).ok_or(ClaimsError(name))
        };
        let issuer = token.issuer.clone().ok_or(ClaimsError("iss"))?;
        let [audience] = token.audiences.as_slice() else { return Err(ClaimsError("aud")) };
        let identity = |name| IdentityId::new(text(name)?).map_err(|_| ClaimsError(name));
        let task = |name: &str| {
            let task = claims.member("task").and_then(|task| task.member(name));
            task.and_then(Value::as_str).ok_or(ClaimsError("task"))
        };
        let scope = match claims.member("scope") {
            None => None,
            Some(Value::String(words)) => Some(
                words
                    .split(' ')
                    .map(|word| ActionName::new(word).map_err(|_| ClaimsError("scope")))
                    .collect::<Result<_, _>>()?,
            ),
            Some(_) => return Err(ClaimsError("scope")),
        };
        let details = claims.member("authorization_details");
        let details = details.ok_or(ClaimsError("authorization_details"))?;
        let token_id = token.token_id.as_deref().ok_or(ClaimsError("jti"))?;
        Ok(Self {
            audience: Arc::clone(audience),
            subject: identity("sub")?,
            client: identity("client_id")?,
            id: TokenId::new(token_id).map_err(|_| ClaimsError("jti"))?,
            issued_at: token.issued_at.ok_or(ClaimsError("iat"))?,
            expires_at: token.expires_at,
            actors: actors(claims, &issuer)?,
            task: TaskId::new(task("id")?).map_err(|_| ClaimsError("task"))?,
            intent: IntentName::new(task("intent")?).map_err(|_| ClaimsError("task"))?,
            allowances: read_granted(details, audience)
                .map_err(|_| ClaimsError("authorization_details"))?,
            scope,
            confirmation: token.confirmation,
            issuer,
        })
    }
}

fn actors(claims: &Value, issuer: &str) -> Result<Vec<IdentityId>, ClaimsError> {
    const WRONG: ClaimsError = ClaimsError("act");
    let mut actors = Vec::new();
    let mut next = claims.member("act");
    while let Some(act) = next {
        // An actor of another issuer is another actor, whatever its name.
        if act.member("iss").and_then(Value::as_str) != Some(issuer) || actors.len() >= ACTORS_MAX {
            return Err(WRONG);
        }
        let name = act.member("sub").and_then(Value::as_str).ok_or(WRONG)?;
        actors.push(IdentityId::new(name).map_err(|_| WRONG)?);
        next = act.member("act");
    }
    Ok(actors)
}

fn cnf(confirmation: &Confirmation) -> Option<Value> {
    let member = |thumbprint: Thumbprint| Value::from(thumbprint.to_string());
    let members =
        [("jkt", confirmation.jkt.map(member)), ("x5t#S256", confirmation.x5t_s256.map(member))];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    (!confirmation.is_bearer()).then(|| Value::object(members))
}
