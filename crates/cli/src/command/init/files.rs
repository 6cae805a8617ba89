//! The texts of a new project's files.

use std::path::Path;

use safeconduct_wire::schemas;
use serde_json::Value as Json;

use super::Plan;
use crate::args::Host;
use crate::command::catalogue::Draft;

/// Stands in until a second person is named.
pub(super) const FALLBACK_OWNER: &str = "fallback-owner";

/// `safeconduct.yaml`.
pub(super) fn config(plan: &Plan) -> String {
    let quoted = |text: &str| Json::from(text).to_string();
    let (command, args) = plan.command.split_first().map_or(("", &[][..]), |(c, a)| (c, a));
    let args: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
    let mut passed = vec!["HOME".to_owned(), "LANG".to_owned(), "PATH".to_owned()];
    passed.extend(plan.pass_env.iter().cloned());
    format!(
        "# yaml-language-server: $schema={schema}\n\
         version: 1\n\
         listen: 127.0.0.1:{port}\n\
         data: ./data\n\
         # Apart from the data and its backups: erasing a key erases what it locks.\n\
         keys: ./keys\n\
         {policies}\n\
         catalogue: {{ folder: ./catalogue }}\n\
         \n\
         upstreams:\n\
         \x20 {server}:\n\
         \x20   stdio:\n\
         \x20     command: {command}\n\
         \x20     args: [{args}]\n\
         \x20     cwd: {cwd}\n\
         \x20     # All that it gets of our environment.\n\
         \x20     pass_env: [{passed}]\n\
         \n\
         identities:\n\
         \x20 - id: {agent}\n\
         \x20   kind: agent\n\
         \x20   # The person accountable for the agent, and the one where they are gone.\n\
         \x20   owner: {owner}\n\
         \x20   fallback_owner: {FALLBACK_OWNER}\n\
         \x20 - {{ id: {owner}, kind: user }}\n\
         \x20 # Put a second person's name here.\n\
         \x20 - {{ id: {FALLBACK_OWNER}, kind: user }}\n\
         \n\
         # A policy that permits is not all that an action of tier `high` needs: an agent with an API\n\
         # key needs a person too, and one of tier `critical` always does. `sign_in:`, with an\n\
         # OpenID provider, gives people the page on which they approve with a passkey: until it stands\n\
         # here, nobody can (docs/approvals.md). This leaves tier `high` to policies alone:\n\
         # tiers: {{ high: {{ needs: policy }} }}\n\
         \n\
         # Whom a wrapped client acts as, and whose token `safeconduct dev` prints.\n\
         dev:\n\
         \x20 identity: {agent}\n",
        schema = schemas::CONFIG_SCHEMA,
        port = plan.port,
        policies = match plan.baseline {
            false => "policies: { folder: ./policies }",
            true => "policies: { folder: ./policies, baseline: true }",
        },
        server = plan.server,
        command = quoted(command),
        args = args.join(", "),
        cwd = quoted(&plan.cwd.display().to_string()),
        passed = passed.join(", "),
        agent = plan.agent,
        owner = quoted(plan.owner.as_str()),
    )
}

/// `policies/starter.cedar`.
pub(super) fn policy(plan: &Plan) -> String {
    let server = &plan.server;
    format!(
        r#"// A first policy for `{server}`: what can do little harm is permitted, the rest waits for a
// person. Deny is the default. Check it with `safeconduct policy check`, try it with
// `safeconduct policy eval`, test it with `safeconduct policy test`.
@id("starter.permit-low")
permit (
  principal is Safeconduct::Agent,
  action in Safeconduct::Action::"{server}",
  resource
)
when {{ context.action.tier == "low" }};

@id("starter.ask-for-the-rest")
@message("this can change or send something: ask the person you work for")
@requestable("approvers=principal.owner; quorum=1; ttl=15m")
forbid (
  principal is Safeconduct::Agent,
  action in Safeconduct::Action::"{server}",
  resource
)
when {{ context.action.tier != "low" }}
unless {{ context has approval }};
"#
    )
}

/// `policies/tests/starter_test.yaml`.
pub(super) fn tests(plan: &Plan) -> String {
    format!(
        "# yaml-language-server: $schema={schema}\n\
         name: the starter policy\n\
         principals:\n\
         \x20 agent: {{ id: {agent} }}\n\
         tests:\n\
         \x20 - name: an agent reads prompts\n\
         \x20   principals: [agent]\n\
         \x20   actions: [{server}/prompts/get]\n\
         \x20   input: {{ name: any }}\n\
         \x20   expect:\n\
         \x20     - {{ principal: agent, actions: {{ {server}/prompts/get: permit }} }}\n\
         \x20 - name: what is above tier low waits for a person\n\
         \x20   principals: [agent]\n\
         \x20   actions: [{server}/sampling/createMessage]\n\
         \x20   expect:\n\
         \x20     - principal: agent\n\
         \x20       actions:\n\
         \x20         {server}/sampling/createMessage: {{ decision: deny, requestable: true }}\n",
        schema = schemas::TEST_SCHEMA,
        agent = plan.agent,
        server = plan.server,
    )
}

/// What to do next, for the person who ran this.
pub(super) fn next_steps(plan: &Plan, file: &Path, draft: &Draft, host: Host) -> String {
    let folder = file.parent().unwrap_or(Path::new("/")).display();
    let (server, low, count) = (&plan.server, draft.low, draft.count);
    let rest = count.saturating_sub(low);
    let paste = match host {
        Host::ClaudeCode => "put what follows into .mcp.json of your project",
        Host::Cursor => "put what follows into .cursor/mcp.json of your project",
        Host::Codex => "put what follows into ~/.codex/config.toml",
        Host::Mcp => "give your client what follows, in its own form",
    };
    format!(
        "\n`{server}` has {count} tools: {low} of tier low are permitted, {rest} wait for a person.\n\
         The tiers are guesses, from what the server says of its own tools.\n\
         \n\
         Next:\n\
         1. {paste}, in the place of the server's own entry;\n\
         2. look at each guess in {folder}/catalogue/{server}.yaml;\n\
         3. see what is decided: `safeconduct log tail --config {config}`.\n",
        config = file.display(),
    )
}
