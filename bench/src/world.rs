//! The world that is asked about: agents that read files, and policies in any number of which
//! each agent has six candidates.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use safeconduct_engine::Vocabulary;
use safeconduct_model::{
    ActionEntry, ActionName, ArgumentRole, ArgumentUse, Catalogue, Confidentiality, Digest, Effect,
    EntityType, Identity, IdentityId, IdentityKind, IdentityStatus, Integrity, Label, LabelAt,
    PepRegistration, ResourceForm, ResourceMapping, Returns, ServerName, Tier, Value,
};
use safeconduct_policy::{SourceFile, Sources, ToolDefinition};

use crate::section::Failure;

/// The action that everything asks about.
pub(crate) const ACTION: &str = "files.read_text_file";

/// Policies that are candidates for everyone.
const GENERAL: &str = r#"
@id("critical")
forbid (principal, action, resource)
when { context.action.tier == "critical" && !(context has approval) };

@id("denied-too-often")
forbid (principal is Safeconduct::Agent, action, resource)
when { context.session.denials > 20 };

@id("read-after-sending")
forbid (principal, action == Safeconduct::Action::"files.read_text_file", resource)
when { context.session.actions.contains("mail.send") };

@id("long-read")
forbid (principal, action == Safeconduct::Action::"files.read_text_file", resource)
when { context.input has head && context.input.head > 1000 };
"#;

/// How policies name what an agent may read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Naming {
    /// By a folder above it, which the catalogue maps the argument to: as behind the gateway.
    Folder,
    /// By its own id, which the enforcement point names: as over AuthZEN.
    Itself,
}

/// How many agents that many policies are about: four are general, and each agent has two.
pub(crate) const fn agents(policies: usize) -> usize {
    policies.saturating_sub(4) / 2
}

/// The text of that many policies, in files below the size limit.
pub(crate) fn policy_files(policies: usize, naming: Naming) -> Vec<SourceFile> {
    let mut files = vec![SourceFile::new("general.cedar", GENERAL)];
    let every: Vec<usize> = (0..agents(policies)).collect();
    for (number, some) in every.chunks(1000).enumerate() {
        let mut text = String::new();
        for agent in some {
            agent_policies(*agent, naming, &mut text);
        }
        files.push(SourceFile::new(format!("agents-{number:03}.cedar"), text));
    }
    files
}

fn agent_policies(agent: usize, naming: Naming, text: &mut String) {
    let resource = match naming {
        Naming::Folder => format!("in Safeconduct::Path::\"/cases/{agent}\""),
        Naming::Itself => format!("== Safeconduct::Resource::\"case-{agent}\""),
    };
    // Writing into a text cannot fail.
    let _ = write!(
        text,
        r#"
@id("own-case-{agent}")
permit (
  principal == Safeconduct::Agent::"agent-{agent}",
  action == Safeconduct::Action::"{ACTION}",
  resource {resource}
) when {{ context.input.path like "/cases/*" && context.session.steps < 5000000000 }};

@id("stale-proof-{agent}")
forbid (principal == Safeconduct::Agent::"agent-{agent}", action, resource)
when {{ context.identity.age_s > 864000000 }}
unless {{ principal has environment && principal.environment == "production" }};
"#
    );
}

/// Everything that the policy set is made of.
pub(crate) fn sources(policies: Vec<SourceFile>) -> Result<Sources, Failure> {
    let string = || Value::object([("type", Value::from("string"))]);
    let integer = || Value::object([("type", Value::from("integer"))]);
    let schema = Value::object([
        ("type", Value::from("object")),
        ("properties", Value::object([("path", string()), ("head", integer()), ("why", string())])),
        ("required", Value::Array(vec![Value::from("path")])),
    ]);
    let definition =
        Value::object([("name", Value::from("read_text_file")), ("inputSchema", schema)]);
    Ok(Sources {
        policies,
        servers: vec![ServerName::new("files")?],
        definitions: vec![ToolDefinition {
            server: ServerName::new("files")?,
            tool: "read_text_file".into(),
            definition,
        }],
        ..Sources::default()
    })
}

/// What the catalogue knows of the action.
pub(crate) fn entry(naming: Naming) -> Result<ActionEntry, Failure> {
    let resources = match naming {
        Naming::Folder => vec![ResourceMapping {
            argument: "/path".into(),
            ty: EntityType::new("Safeconduct::Path")?,
            form: ResourceForm::Path { root: None },
            optional: false,
        }],
        Naming::Itself => Vec::new(),
    };
    Ok(ActionEntry {
        name: ActionName::new(ACTION)?,
        server: Some(ServerName::new("files")?),
        tier: Tier::Low,
        effect: Effect::Read,
        guessed: false,
        returns: Returns::uniform(Label {
            integrity: Integrity::Untrusted,
            confidentiality: Confidentiality::Confidential,
            ..Label::LEAST
        }),
        accepts: Confidentiality::Confidential,
        arguments: vec![ArgumentUse { argument: "/path".into(), role: ArgumentRole::Address }],
        resources,
        definition: Some(Digest::from_bytes([1; 32])),
        raises: Vec::new(),
        additional_arguments: false,
        keep_arguments: false,
        keep_result: false,
    })
}

/// The catalogue.
pub(crate) fn catalogue(naming: Naming) -> Result<Catalogue, Failure> {
    let entry = entry(naming)?;
    Ok(Catalogue { actions: [(entry.name.clone(), entry)].into(), ..Catalogue::default() })
}

/// The names of the shipped types.
pub(crate) fn vocabulary() -> Result<Arc<Vocabulary>, Failure> {
    Ok(Arc::new(Vocabulary::new("Safeconduct")?))
}

/// One of the agents.
pub(crate) fn agent(number: usize) -> Result<Identity, Failure> {
    Ok(Identity {
        id: IdentityId::new(format!("agent-{number}"))?,
        kind: IdentityKind::Agent,
        status: IdentityStatus::Active,
        owner: Some(IdentityId::new("alice")?),
        sponsor: None,
        imported: None,
        fallback_owner: Some(IdentityId::new("bob")?),
        environment: Some("production".into()),
        groups: BTreeSet::from(["clerks".to_owned(), "readers".to_owned()]),
        pep: None,
        roles: BTreeSet::new(),
    })
}

/// The enforcement point that asks over HTTP.
pub(crate) fn enforcement_point() -> Result<Identity, Failure> {
    Ok(Identity {
        id: IdentityId::new("bench-pep")?,
        kind: IdentityKind::Workload,
        pep: Some(PepRegistration {
            subjects: BTreeSet::from([EntityType::new("Safeconduct::Agent")?]),
            resources: BTreeSet::new(),
            properties: false,
            label_at: LabelAt::Report,
        }),
        groups: BTreeSet::new(),
        ..agent(0)?
    })
}

/// The file that agent asks for.
pub(crate) fn path(agent: usize) -> String {
    format!("/cases/{agent}/notes/2026-11.md")
}
