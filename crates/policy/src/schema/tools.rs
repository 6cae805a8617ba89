//! Actions for the tools of MCP servers, with typed arguments.
//!
//! The types come from `cedar-policy-mcp-schema-generator`, one tool at a time, so that a tool
//! whose schema it cannot read takes no other tool with it. Names that Cedar cannot have are
//! given stand-ins before and their own names back after.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::Name;
use cedar_policy_core::est::Annotations;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::{
    RawName, ValidatorSchema,
    json_schema::{
        ActionEntityUID, ActionType, ApplySpec, AttributesOrContext, EntityTypeKind, Fragment,
        NamespaceDefinition, RecordType, Type, TypeOfAttribute, TypeVariant,
    },
};
use cedar_policy_mcp_schema_generator::{SchemaGenerator, SchemaGeneratorConfig};
use mcp_tools_sdk::description::{Property, PropertyType, ServerDescription};
use safeconduct_model::{ServerName, Value};
use smol_str::SmolStr;

use super::Builder;
use super::input::Input;
use super::merge::{self, Declared};
use super::names::Names;
use crate::canonical;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{DEFINITION_DEPTH_MAX, Sources, ToolDefinition};

/// MCP's methods beside `tools/call` that are decided on, with the arguments that policies see.
const METHODS: [(&str, &str); 7] = [
    ("resources/read", "uri"),
    ("resources/subscribe", "uri"),
    ("prompts/get", "name"),
    ("completion/complete", ""),
    ("sampling/createMessage", ""),
    ("elicitation/create", ""),
    ("logging/setLevel", "level"),
];

/// An action that policies are checked against where there is no other; none can ask about it.
pub(super) const STAND_IN: &str = "(no action)";

impl Builder {
    /// Adds groups, tools, methods and other actions of the catalogue.
    pub(super) fn generate(
        &mut self,
        sources: &Sources,
        declared: &Declared,
        problems: &mut Vec<Diagnostic>,
    ) {
        for server in sources.servers.iter().collect::<BTreeSet<_>>() {
            self.insert(server.as_str(), group(), problems);
            for (method, argument) in METHODS {
                let id = format!("{server}/{method}");
                let input = method_input(argument);
                let opaque = argument.is_empty();
                self.action(&id, Some(server), input, declared, problems);
                if opaque {
                    let uid = self.uid(&id);
                    self.inputs.insert(id, Input::opaque(uid));
                }
            }
        }
        let mut taken = BTreeSet::new();
        let tools: BTreeMap<_, _> =
            sources.definitions.iter().map(|tool| ((&tool.server, &tool.tool), tool)).collect();
        for tool in tools.values() {
            let id = sources.naming.tool_action(&tool.server, &tool.tool);
            let name = fresh_name(tool, &mut taken);
            let (input, ty) = self.tool(&id, tool, &name, declared, problems);
            self.action(&id, Some(&tool.server), ty, declared, problems);
            self.inputs.insert(id, input);
        }
        for (action, server) in sources.actions.iter().collect::<BTreeSet<_>>() {
            let id = action.as_str();
            let known =
                |definition: &NamespaceDefinition<RawName>| definition.actions.contains_key(id);
            if !self.fragment.0.values().any(known) {
                self.action(id, server.as_ref(), empty_record(), declared, problems);
                let uid = self.uid(id);
                self.inputs.insert(id.to_owned(), Input::opaque(uid));
            }
        }
        let mut all = self.fragment.0.values().flat_map(|definition| definition.actions.values());
        if !all.any(|action| action.applies_to.is_some()) {
            self.action(STAND_IN, None, empty_record(), declared, problems);
        }
    }

    fn uid(&self, id: &str) -> String {
        format!("{}::Action::{id:?}", self.namespace)
    }

    fn here(&mut self) -> &mut NamespaceDefinition<RawName> {
        self.fragment.0.entry(Some(self.namespace.clone())).or_insert_with(merge::empty)
    }

    fn insert(&mut self, id: &str, action: ActionType<RawName>, problems: &mut Vec<Diagnostic>) {
        let actions = &mut self.here().actions;
        if actions.insert(id.into(), action).is_some() {
            problems.push(
                Diagnostic::general(Severity::Error, format!("action `{id}` is there twice"))
                    .with_help("servers, tools and declared actions share one namespace"),
            );
        }
    }

    fn action(
        &mut self,
        id: &str,
        server: Option<&ServerName>,
        input: Type<RawName>,
        declared: &Declared,
        problems: &mut Vec<Diagnostic>,
    ) {
        let shipped = merge::shipped_context(&self.fragment, &self.namespace);
        let mut attributes: BTreeMap<_, _> = shipped.into_iter().collect();
        attributes.insert("input".into(), attribute(input, true));
        let known = server.filter(|s| self.here().actions.contains_key(s.as_str()));
        let action = ActionType {
            attributes: None,
            applies_to: Some(ApplySpec {
                principal_types: declared.principals.clone(),
                resource_types: declared.resources.clone(),
                context: AttributesOrContext(record_type(attributes)),
            }),
            member_of: known.map(|s| vec![ActionEntityUID::new(None, s.as_str().into())]),
            annotations: Annotations::new(),
            loc: None,
        };
        self.insert(id, action, problems);
    }

    /// Generates the types of a tool's arguments, and says what cannot be typed.
    fn tool(
        &mut self,
        id: &str,
        tool: &ToolDefinition,
        name: &str,
        declared: &Declared,
        problems: &mut Vec<Diagnostic>,
    ) -> (Input, Type<RawName>) {
        let uid = self.uid(id);
        let told = |message: String| Diagnostic::general(Severity::Warning, message);
        let schema = tool.definition.member("inputSchema").cloned().unwrap_or(Value::Null);
        if schema.depth() > DEFINITION_DEPTH_MAX {
            problems.push(told(format!(
                "tool `{}` of server `{}` nests its arguments deeper than {DEFINITION_DEPTH_MAX} \
                 levels: policies cannot speak of them",
                tool.tool, tool.server
            )));
            return (Input::opaque(uid), empty_record());
        }
        let mut names = Names::new(&declared.unqualified, &schema);
        let mut rewritten = names.schema(&schema);
        let mut generated = generate(&self.namespace, name, &rewritten);
        if generated.is_err() {
            for property in make_opaque(&mut rewritten, &self.namespace, name) {
                let property = names.original(&property);
                problems.push(told(format!(
                    "argument `{property}` of tool `{}` of server `{}` is of a type that Cedar \
                     cannot express: policies can only compare it",
                    tool.tool, tool.server
                )));
            }
            generated = generate(&self.namespace, name, &rewritten);
        }
        let generated = match generated {
            Ok(generated) => generated,
            Err(error) => {
                problems.push(told(format!(
                    "the arguments of tool `{}` of server `{}` cannot be typed, so that policies \
                     cannot speak of them: {error}",
                    tool.tool, tool.server
                )));
                return (Input::opaque(uid), empty_record());
            }
        };
        self.adopt(generated.fragment, &names);
        let ty = RawName::from_normalized_str(&format!("{}::{name}Input", self.namespace));
        let ty = ty.map_or_else(
            |_| empty_record(),
            |type_name| Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, loc: None },
        );
        let input = Input {
            uid,
            properties: Some(generated.properties),
            definitions: generated.definitions,
            names: names.original,
        };
        (input, ty)
    }

    /// Adds generated types to the schema, under the names that arguments really have.
    fn adopt(&mut self, generated: Fragment<RawName>, names: &Names<'_>) {
        for (space, definition) in generated.0 {
            let into = self.fragment.0.entry(space).or_insert_with(merge::empty);
            for (id, mut common) in definition.common_types {
                names.restore(&mut common.ty);
                into.common_types.entry(id).or_insert(common);
            }
            for (id, mut entity) in definition.entity_types {
                if let EntityTypeKind::Standard(standard) = &mut entity.kind {
                    names.restore(&mut standard.shape.0);
                    if let Some(tags) = &mut standard.tags {
                        names.restore(tags);
                    }
                }
                into.entity_types.entry(id).or_insert(entity);
            }
        }
    }
}

fn group() -> ActionType<RawName> {
    ActionType {
        attributes: None,
        applies_to: None,
        member_of: None,
        annotations: Annotations::new(),
        loc: None,
    }
}

fn attribute(ty: Type<RawName>, required: bool) -> TypeOfAttribute<RawName> {
    TypeOfAttribute { ty, annotations: Annotations::new(), required }
}

fn record_type(attributes: BTreeMap<SmolStr, TypeOfAttribute<RawName>>) -> Type<RawName> {
    let record = RecordType { attributes, additional_attributes: false };
    Type::Type { ty: TypeVariant::Record(record), loc: None }
}

fn empty_record() -> Type<RawName> {
    record_type(BTreeMap::new())
}

fn method_input(argument: &str) -> Type<RawName> {
    match RawName::from_normalized_str("__cedar::String") {
        Ok(type_name) if !argument.is_empty() => {
            let string = Type::Type { ty: TypeVariant::EntityOrCommon { type_name }, loc: None };
            record_type([(SmolStr::from(argument), attribute(string, true))].into())
        }
        _ => empty_record(),
    }
}

/// A name for a tool's types that Cedar can have and no other tool has.
fn fresh_name(tool: &ToolDefinition, taken: &mut BTreeSet<String>) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(100).collect()
    };
    let mut base = format!("{}_{}", plain(tool.server.as_str()), plain(&tool.tool));
    if !base.starts_with(|c: char| c.is_ascii_alphabetic()) {
        base.insert_str(0, "t_");
    }
    let mut name = base.clone();
    let mut count = 1;
    while !taken.insert(name.clone()) {
        count += 1;
        name = format!("{base}_{count}");
    }
    name
}

/// What one tool generates.
struct Generated {
    fragment: Fragment<RawName>,
    properties: Vec<Property>,
    definitions: HashMap<SmolStr, PropertyType>,
}

fn generate(namespace: &Name, name: &str, schema: &Value) -> Result<Generated, String> {
    const WHO: &str = "Safeconduct_who";
    const WHAT: &str = "Safeconduct_what";
    let stub = format!(
        "namespace {namespace} {{ @mcp_principal(\"p\") entity {WHO}; \
         @mcp_resource(\"r\") entity {WHAT}; }}"
    );
    let (stub, _) = Fragment::from_cedarschema_str(&stub, Extensions::all_available())
        .map_err(|error| error.to_string())?;
    let tool = Value::object([("name", Value::from(name)), ("inputSchema", schema.clone())]);
    let text = format!("[{}]", canonical::json(&tool));
    let description = ServerDescription::from_json_str(&text).map_err(|error| error.to_string())?;
    // Decimals lie about a number with more than four digits; our conversion refuses such a
    // number, so that what policies see is always exact.
    let config =
        SchemaGeneratorConfig::default().objects_as_records(true).encode_numbers_as_decimal(true);
    let mut generator =
        SchemaGenerator::new_with_config(stub, config).map_err(|error| error.to_string())?;
    generator
        .add_actions_from_server_description(&description)
        .map_err(|error| error.to_string())?;
    let mut fragment = generator.get_schema().clone();
    ValidatorSchema::try_from(fragment.clone()).map_err(|error| error.to_string())?;
    if let Some(here) = fragment.0.get_mut(&Some(namespace.clone())) {
        here.actions.clear();
        here.entity_types.retain(|id, _| ![WHO, WHAT].contains(&id.as_ref()));
    }
    let mut properties = Vec::new();
    let mut definitions = HashMap::new();
    for tool in description.tool_descriptions() {
        properties.extend(tool.inputs().properties().cloned());
        let defined = tool.type_definitions().chain(tool.inputs().type_definitions());
        definitions.extend(defined.map(|d| (d.name().into(), d.property_type().clone())));
    }
    Ok(Generated { fragment, properties, definitions })
}

/// Makes those arguments opaque that cannot be typed on their own, and gives their names.
fn make_opaque(schema: &mut Value, namespace: &Name, name: &str) -> Vec<String> {
    let Value::Object(members) = schema else {
        return Vec::new();
    };
    let definitions = members.get("$defs").cloned();
    let Some(Value::Object(properties)) = members.get_mut("properties") else {
        return Vec::new();
    };
    let mut opaque = Vec::new();
    for (property, ty) in properties.iter_mut() {
        let mut alone = BTreeMap::from([
            (Arc::from("type"), Value::from("object")),
            (Arc::from("properties"), Value::object([(Arc::clone(property), ty.clone())])),
        ]);
        alone.extend(definitions.clone().map(|d| (Arc::from("$defs"), d)));
        if generate(namespace, name, &Value::Object(alone)).is_err() {
            *ty = Value::Object(BTreeMap::new());
            opaque.push(property.to_string());
        }
    }
    opaque
}
