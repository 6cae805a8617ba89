//! Raw Cedar as a peer: the same policies and the same question through its public API.

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};
use safeconduct_policy::SourceFile;

use crate::section::Failure;
use crate::world;

/// How much of the context Cedar is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given {
    /// Only the members that these ten policies look at, which its user has to know.
    WhatPoliciesReadOnly,
    /// All that the shipped schema says is there.
    WholeContext,
}

impl Given {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WhatPoliciesReadOnly => "cedar lean",
            Self::WholeContext => "cedar whole",
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::WhatPoliciesReadOnly => "given only what these policies read",
            Self::WholeContext => "given the whole context",
        }
    }
}

/// Cedar with its policies.
pub(crate) struct Peer {
    authorizer: Authorizer,
    policies: PolicySet,
    agent: EntityTypeName,
    group: EntityTypeName,
    path: EntityTypeName,
    action: EntityUid,
}

/// A question that is built.
pub(crate) struct Prepared {
    request: Request,
    entities: Entities,
}

impl Peer {
    pub(crate) fn new(files: &[SourceFile]) -> Result<Self, Failure> {
        let texts: Vec<&str> = files.iter().map(|file| &*file.text).collect();
        let action = "Safeconduct::Action".parse::<EntityTypeName>()?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: texts.join("\n").parse()?,
            agent: "Safeconduct::Agent".parse::<EntityTypeName>()?,
            group: "Safeconduct::Group".parse::<EntityTypeName>()?,
            path: "Safeconduct::Path".parse::<EntityTypeName>()?,
            action: EntityUid::from_type_name_and_id(action, EntityId::new(world::ACTION)),
        })
    }

    /// Builds the question of that agent and answers it.
    pub(crate) fn ask(&self, agent: usize, given: Given) -> Result<(), Failure> {
        self.answer(&self.prepare(agent, given)?)
    }

    pub(crate) fn answer(&self, prepared: &Prepared) -> Result<(), Failure> {
        let Prepared { request, entities } = prepared;
        let response = self.authorizer.is_authorized(request, &self.policies, entities);
        match black_box(response).decision() {
            Decision::Allow => Ok(()),
            Decision::Deny => Err("Cedar denied".into()),
        }
    }

    pub(crate) fn prepare(&self, agent: usize, given: Given) -> Result<Prepared, Failure> {
        let principal = uid(&self.agent, &format!("agent-{agent}"));
        let path = world::path(agent);
        let resource = uid(&self.path, &path);
        let entities =
            [self.principal(principal.clone())?, self.resource(resource.clone(), &path)?];
        Ok(Prepared {
            entities: Entities::from_entities(entities, None)?,
            request: Request::new(
                principal,
                self.action.clone(),
                resource,
                context(&path, given)?,
                None,
            )?,
        })
    }

    fn principal(&self, principal: EntityUid) -> Result<Entity, Failure> {
        let attributes = [("owner", "alice"), ("environment", "production"), ("status", "active")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), string(value)));
        let groups = ["clerks", "readers"].map(|group| uid(&self.group, group));
        Ok(Entity::new(principal, HashMap::from(attributes), HashSet::from(groups))?)
    }

    fn resource(&self, resource: EntityUid, path: &str) -> Result<Entity, Failure> {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at.max(1)));
        let ancestors = above.map(|folder| uid(&self.path, folder)).collect();
        let attributes = HashMap::from([("path".to_owned(), string(path))]);
        Ok(Entity::new(resource, attributes, ancestors)?)
    }
}

fn context(path: &str, given: Given) -> Result<Context, Failure> {
    let actions = ["list", "read_text_file", "search", "stat", "tree", "write"];
    let actions = actions.map(|tool| RestrictedExpression::new_string(format!("files.{tool}")));
    let actions = RestrictedExpression::new_set(actions);
    let input =
        [("path", string(path)), ("head", long(40)), ("why", string("the customer asked for it"))];
    let mut session = vec![("steps", long(48)), ("denials", long(2)), ("actions", actions)];
    let mut identity = vec![("age_s", long(86_400))];
    let mut action = vec![("tier", string("low"))];
    let mut members = Vec::new();
    if matches!(given, Given::WholeContext) {
        session.extend([("distinct_resources", long(20)), ("calls_left", long(9_952))]);
        identity.extend([
            ("kind", string("agent")),
            ("method", string("api_key")),
            ("assurance", string("low")),
        ]);
        action.extend([
            ("name", string(world::ACTION)),
            ("effect", string("read")),
            ("trust", string("untrusted")),
            ("guessed", RestrictedExpression::new_bool(false)),
        ]);
        let now = RestrictedExpression::new_datetime("2026-11-24T06:40:00.000Z");
        members.push(("time", record([("now", now)])?));
    }
    members.extend([
        ("input", record(input)?),
        ("session", record(session)?),
        ("identity", record(identity)?),
        ("action", record(action)?),
    ]);
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Ok(Context::from_pairs(members)?)
}

fn record(
    members: impl IntoIterator<Item = (&'static str, RestrictedExpression)>,
) -> Result<RestrictedExpression, Failure> {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Ok(RestrictedExpression::new_record(members)?)
}

fn uid(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn long(n: i64) -> RestrictedExpression {
    RestrictedExpression::new_long(n)
}
