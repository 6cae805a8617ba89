//! `safeconduct policy learn`: a first policy of what was permitted, or observed.

use std::collections::BTreeSet;

use safeconduct_model::Decided;
use safeconduct_policy::{Learned, RecordedDecision};
use safeconduct_service::Surrounded;

use super::past::{self, Met};
use crate::args::{PolicyLearn, Shared};
use crate::command::policy::ground::Ground;
use crate::command::records::moment;
use crate::exit::{CommandError, Exit};
use crate::output;
use crate::wiring::project::Project;

/// Writes the policy to standard output.
///
/// # Errors
/// The project or the records cannot be read, nothing of that name was decided, or more than one
/// kind of thing has that name.
pub(crate) fn run(shared: &Shared, args: &PolicyLearn) -> Result<Exit, CommandError> {
    let (text, decisions) = text(shared, args)?;
    output::print(&text)?;
    let decisions = usize::try_from(decisions).unwrap_or(usize::MAX);
    let decisions = output::counted(decisions, "decision", "decisions");
    output::say(&format!("learned from {decisions}; read it before you use it"));
    Ok(Exit::Ok)
}

/// The policy, and of how many decisions it was learned.
pub(super) fn text(shared: &Shared, args: &PolicyLearn) -> Result<(String, u64), CommandError> {
    let ground = Ground::of(&Project::load(&shared.config)?)?;
    let since = args.since.as_deref().map(moment).transpose()?;
    let from = From::of(&args.from);
    let (mut learned, mut kinds) = (Learned::default(), BTreeSet::new());
    let mut last: Option<Surrounded> = None;
    past::through(shared, &args.source, &ground, |met, around| match met {
        Met::Decision(id, at, decided) if since.is_none_or(|since| since <= at) => {
            let matched = from.matches(decided);
            if !matched.is_empty() {
                kinds.extend(matched);
                learned.take(&RecordedDecision { id, at, decided }, around);
                last.get_or_insert_with(|| around.clone());
            }
        }
        _ => {}
    })?;
    let name = &args.from;
    if kinds.len() > 1 {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let message = format!("`{name}` is several things: write one of {}", kinds.join(", "));
        return Err(CommandError::Failed(message));
    }
    let around = last.ok_or_else(|| {
        CommandError::Failed(format!("no decision of a session, an identity or an intent `{name}`"))
    })?;
    let text = safeconduct_policy::learn(&ground.policies, &learned, &around);
    if text.is_empty() {
        let message = format!("nothing was permitted or observed of `{name}`");
        return Err(CommandError::Failed(message));
    }
    Ok((text, learned.decisions))
}

/// Whose decisions.
struct From<'a> {
    /// What it has to be, where that was said.
    kind: Option<&'static str>,
    name: &'a str,
}

impl<'a> From<'a> {
    fn of(text: &'a str) -> Self {
        for kind in ["session:", "identity:", "intent:"] {
            if let Some(name) = text.strip_prefix(kind) {
                return Self { kind: Some(kind), name };
            }
        }
        Self { kind: None, name: text }
    }

    /// As what a decision is of that name.
    fn matches(&self, decided: &Decided) -> Vec<&'static str> {
        let is_session = self.name.rsplit_once(['/', '#']).is_some_and(|(identity, scope)| {
            let session = &decided.session;
            session.identity.as_str() == identity && session.scope.as_str() == scope
        });
        let task = decided.task.as_ref();
        let found = [
            ("session:", is_session),
            ("identity:", decided.principal.id.as_str() == self.name),
            ("intent:", task.is_some_and(|task| task.intent.as_str() == self.name)),
        ];
        let found = found.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind);
        found.filter(|kind| self.kind.is_none_or(|wanted| wanted == *kind)).collect()
    }
}
