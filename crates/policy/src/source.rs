//! What a policy set is made of, and how much of it there may be.

use std::sync::Arc;

use safeconduct_model::{ActionName, ServerName, Value};

/// Most policies in a set.
pub const POLICIES_MAX: usize = 200_000;
/// Largest policy or schema file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Most policy files, and most schema files.
pub const FILES_MAX: usize = 10_000;
/// Deepest nesting of brackets in a policy or schema.
pub const NESTING_MAX: usize = 48;
/// Most operators (`&&`, `.`, `in`, `!` …) in one policy: each can nest an expression once more.
pub const OPERATORS_MAX: usize = 4_000;
/// Deepest expression of a policy that is loaded; a chain of `a || b || c` counts as deep as it
/// has parts.
pub const EXPRESSION_DEPTH_MAX: usize = 256;
/// Most problems that one load reports.
pub const DIAGNOSTICS_MAX: usize = 100;
/// Deepest schema of a tool's arguments; a deeper one makes the tool's input opaque.
pub const DEFINITION_DEPTH_MAX: usize = 32;

/// Most Rego files in a set.
pub const REGO_FILES_MAX: usize = 200;
/// Most rules in all Rego files of a set.
pub const REGO_RULES_MAX: usize = 2_000;
/// Deepest nesting of brackets in a Rego file: its parser tries alternatives, at a cost that
/// doubles with each.
pub const REGO_NESTING_MAX: usize = 10;
/// Most operators (`.`, `[`, `==`, `in`, `not` …) in one expression of a Rego file.
pub const REGO_OPERATORS_MAX: usize = 400;
/// Most calls of Rego rules that stand in each other.
pub const REGO_CALLS_MAX: usize = 64;
/// Most instructions that one decision of the Rego policies takes.
pub const REGO_INSTRUCTIONS_MAX: usize = 50_000;
/// Largest input of a Rego decision, in bytes: about as long as it is in JSON.
pub const REGO_INPUT_BYTES_MAX: usize = 256 << 10;
/// Deepest input of a Rego decision, from each argument or attribute.
pub const REGO_INPUT_DEPTH_MAX: usize = 64;

/// A file, read by whoever loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, relative to the policy folder.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// Makes one of two texts.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// A tool as its server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDefinition {
    /// The server that has it.
    pub server: ServerName,
    /// Its name there.
    pub tool: String,
    /// MCP's `Tool` object: `name`, `description`, `inputSchema`, …
    pub definition: Value,
}

/// How the schema names things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The namespace of the shipped schema and of generated actions.
    pub namespace: String,
    /// The id of a tool's action; `{server}` and `{tool}` are replaced. `{server}___{tool}` fits
    /// policies written for AWS AgentCore.
    pub action_id: String,
}

impl Default for Naming {
    fn default() -> Self {
        Self { namespace: "Safeconduct".into(), action_id: "{server}.{tool}".into() }
    }
}

impl Naming {
    /// The id of that tool's action.
    pub fn tool_action(&self, server: &ServerName, tool: &str) -> String {
        // The tool's name is foreign text: replaced last, so that `{server}` in it stays as it is.
        match self.action_id.split_once("{tool}") {
            Some((before, after)) => {
                let server = server.as_str();
                let before = before.replace("{server}", server);
                format!("{before}{tool}{}", after.replace("{server}", server))
            }
            None => self.action_id.replace("{server}", server.as_str()),
        }
    }
}

/// Everything that a policy set is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The policy files: `.rego` are Rego, all others Cedar. At most [`FILES_MAX`].
    pub policies: Vec<SourceFile>,
    /// Schema files of the deployment's own (`.cedarschema`). At most [`FILES_MAX`].
    pub schemas: Vec<SourceFile>,
    /// The tools whose arguments policies may speak of.
    pub definitions: Vec<ToolDefinition>,
    /// The upstream servers.
    pub servers: Vec<ServerName>,
    /// How the schema names things.
    pub naming: Naming,
    /// Actions of the catalogue that are no tools, with the server that performs them.
    pub actions: Vec<(ActionName, Option<ServerName>)>,
}
