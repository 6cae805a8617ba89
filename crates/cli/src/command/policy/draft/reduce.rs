//! `safeconduct policy reduce`: the smallest change that still permits what was used, with its
//! replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use safeconduct_model::{ActionName, Decision, Entity, EntityRef, IdentityId, PolicyId, Timestamp};
use safeconduct_policy::{
    Ages, Chosen, Evidence, NarrowedEnvelope, RecordedDecision, Reduction, Sources,
    Surroundings as _, Used, load_reusing, narrow_envelope, reduce, widened,
};
use safeconduct_service::Surrounded;
use serde_json::{Value as Json, json};

use super::past::{self, Met};
use super::{proof, report};
use crate::args::{PolicyReduce, Shared};
use crate::command::policy::ground::Ground;
use crate::command::records::moment;
use crate::exit::{CommandError, Exit, failed, invalid};
use crate::output::{self, Format};
use crate::wiring::project::Project;

/// Prints what would change, and what that would have changed.
///
/// # Errors
/// The project or the records cannot be read, or nothing of that name is there.
pub(crate) fn run(shared: &Shared, args: &PolicyReduce) -> Result<Exit, CommandError> {
    let (text, exit) = text(shared, args)?;
    output::print(&text)?;
    Ok(exit)
}

pub(super) fn text(shared: &Shared, args: &PolicyReduce) -> Result<(String, Exit), CommandError> {
    let project = Project::load(&shared.config)?;
    let ground = Ground::of(&project)?;
    let seen = Seen::of(shared, args, &ground)?;
    if let Some(intent) = &args.what.intent {
        let text = envelope(shared, &project, intent, &seen)?;
        if !args.proving.prove {
            return Ok((text, Exit::Ok));
        }
        output::say("an intent's envelope is no policy, and is not proved");
        return Ok((text, Exit::Failure));
    }
    let policies = &ground.policies;
    let (ids, holder) = chosen(args, &ground, &seen)?;
    let choice = match (&ids, &holder) {
        (Some(ids), _) => Chosen::Policies(ids),
        (_, Some(holder)) => Chosen::Holder(holder),
        _ => Chosen::All,
    };
    let since = seen.since_each(&ground);
    let evidence =
        Evidence { used: &seen.used, from: seen.from, since: &since, around: &seen.around };
    let reduction = reduce(policies, &choice, &evidence);
    let files = reduction.applied(&project.rules.sources.policies);
    let sources = Sources { policies: files, ..project.rules.sources.clone() };
    let draft = load_reusing(&sources, policies).map_err(|error| invalid(error.diagnostics))?;
    let belongs = |of: &EntityRef, to: &EntityRef| {
        let mut places =
            ground.catalogue.actions.keys().filter_map(|a| seen.around.resource(a, of));
        places.any(|entity| entity.ancestors.contains(to))
    };
    if let Some(wider) = widened(policies, &draft.policies, &belongs) {
        return Err(failed(
            "the change cannot be shown to be narrower, so none is proposed",
            wider,
        ));
    }
    if let Some(out) = &args.out {
        for file in &reduction.files {
            let path = out.join(&*file.name);
            let folder = path.parent().unwrap_or(out);
            fs::create_dir_all(folder).map_err(|error| failed(&file.name, error))?;
            fs::write(&path, &*file.after).map_err(|error| failed(&file.name, error))?;
        }
    }
    let sets = (&**policies, &draft.policies);
    let replay = past::replay((shared, &args.source, &ground), sets, seen.since)?;
    let proved = proof::proved(&args.proving, sets, &proof::belongs(&ground))?;
    let exit = proved.as_ref().map_or(Exit::Ok, proof::Proved::exit);
    let text = match shared.output {
        Format::Json | Format::Yaml => {
            let mut document = document(&reduction, &seen);
            if let Some(members) = document.as_object_mut() {
                members.insert("replay".into(), report::document(&replay));
            }
            if let (Some(proved), Some(members)) = (&proved, document.as_object_mut()) {
                members.insert("proof".into(), proved.document());
            }
            output::document(shared.output, &document)
        }
        _ => {
            let proved = proved.as_ref().map(proof::Proved::table).unwrap_or_default();
            Ok([table(&reduction, &seen), report::table(&replay), proved].concat())
        }
    };
    Ok((text?, exit))
}

/// What the records tell of use.
struct Seen {
    used: Used,
    /// The actions that were permitted under each intent.
    intents: BTreeMap<String, BTreeSet<ActionName>>,
    around: Surrounded,
    /// The time that was asked for, and when what was looked at begins.
    since: Option<Timestamp>,
    from: Timestamp,
    /// When a policy set was in force first: since then each statement may have been of which no
    /// more is known.
    in_force: Option<Timestamp>,
    /// Since when statements are in force, by the texts that were kept of the sets before.
    ages: Ages,
    decisions: u64,
}

impl Seen {
    fn of(shared: &Shared, args: &PolicyReduce, ground: &Ground) -> Result<Self, CommandError> {
        let since = args.since.as_deref().map(moment).transpose()?;
        let (mut used, mut intents) = (Used::default(), BTreeMap::<_, BTreeSet<_>>::new());
        let (mut loaded, mut decisions) = (Vec::new(), 0);
        let mut last = None;
        let past::Through { first, whole } =
            past::through(shared, &args.source, ground, |met, around| match met {
                Met::Policies(at, set, beside) => loaded.push((at, set, beside)),
                Met::Identity => last = Some(around.clone()),
                Met::Decision(id, at, decided) if since.is_none_or(|since| since <= at) => {
                    decisions += 1;
                    last.get_or_insert_with(|| around.clone());
                    used.take(&RecordedDecision { id, at, decided }, around);
                    let task =
                        decided.task.as_ref().filter(|_| decided.decision == Decision::Permit);
                    if let Some(task) = task {
                        let actions = intents.entry(task.intent.to_string()).or_default();
                        actions.insert(decided.action.clone());
                    }
                }
                Met::Decision(..) => {}
            })?;
        let nothing = || CommandError::Failed("there are no records to look at".into());
        let (first, around) = (first.ok_or_else(nothing)?, last.ok_or_else(nothing)?);
        let from = since.map_or(first, |since| since.max(first));
        // Where older records were left out, what came in force before them is not known.
        let in_force = loaded.first().map(|(at, ..)| *at).filter(|_| whole);
        let ages = past::ages(shared, ground, &loaded)?;
        Ok(Self { used, intents, around, since, from, in_force, ages, decisions })
    }

    /// Since when each statement may have been in force: as the kept texts tell, and where they do
    /// not, since there was a policy set at all. Of one that never was, there is nothing to tell.
    fn since_each(&self, ground: &Ground) -> BTreeMap<PolicyId, Timestamp> {
        let statements = ground.policies.statements();
        let each = statements.filter_map(|statement| {
            let first = self.in_force?;
            let since = match self.ages.of(&statement) {
                Some(age) => age.perhaps,
                None if self.ages.is_known() => return None,
                None => first,
            };
            Some((statement.info().reference.id.clone(), since))
        });
        each.collect()
    }

    /// Whether nothing can have been in force before the records that were looked at.
    fn is_whole(&self) -> bool {
        self.in_force.is_some_and(|in_force| in_force >= self.from)
    }
}

/// The policies that are looked at: by their ids, or because they are somebody's.
fn chosen(
    args: &PolicyReduce,
    ground: &Ground,
    seen: &Seen,
) -> Result<(Option<BTreeSet<PolicyId>>, Option<Entity>), CommandError> {
    if let Some(name) = &args.what.identity {
        let id = IdentityId::new(name.as_str()).map_err(|error| failed("--identity", error))?;
        let holder = seen.around.identity(&id).cloned();
        let unknown = || CommandError::Failed(format!("nobody is registered as `{name}`"));
        return Ok((None, Some(holder.ok_or_else(unknown)?)));
    }
    if args.what.all {
        return Ok((None, None));
    }
    let mut ids = BTreeSet::new();
    for name in &args.what.policy {
        let id = PolicyId::new(name.as_str()).map_err(|error| failed("--policy", error))?;
        if ground.policies.policy(&id).is_none() {
            return Err(CommandError::Failed(format!("there is no policy `{name}`")));
        }
        ids.insert(id);
    }
    Ok((Some(ids), None))
}

fn diffs(reduction: &Reduction) -> impl Iterator<Item = (&str, String)> {
    let files = reduction.files.iter();
    files.map(|file| (&*file.name, report::unified(&file.name, &file.before, &file.after)))
}

fn table(reduction: &Reduction, seen: &Seen) -> String {
    let decisions = usize::try_from(seen.decisions).unwrap_or(usize::MAX);
    let decisions = output::counted(decisions, "decision", "decisions");
    let mut text = format!("looked at {decisions} since {}\n", seen.from);
    for (id, span, proposal) in &reduction.statements {
        let _ = writeln!(text, "policy {id} at {span}: {proposal}");
    }
    if reduction.files.is_empty() {
        text.push_str("nothing is proposed\n");
    }
    diffs(reduction).for_each(|(_, diff)| text.push_str(&diff));
    text
}

fn document(reduction: &Reduction, seen: &Seen) -> Json {
    let statements = reduction.statements.iter().map(|(id, span, proposal)| {
        json!({
            "policy": id.as_str(),
            "at": span.to_string(),
            "proposal": proposal.as_str(),
            "in_words": proposal.to_string(),
        })
    });
    let files = diffs(reduction).map(|(file, diff)| json!({"file": file, "diff": diff}));
    json!({
        "decisions": seen.decisions,
        "since": seen.from.to_string(),
        "policies": statements.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
    })
}

/// The envelope of an intent without what was never used under it.
fn envelope(
    shared: &Shared,
    project: &Project,
    intent: &str,
    seen: &Seen,
) -> Result<String, CommandError> {
    let known = project.rules.intents.versions.iter().find(|(name, _)| name.as_str() == intent);
    let unknown = || CommandError::Failed(format!("there is no intent `{intent}`"));
    let (_, versions) = known.ok_or_else(unknown)?;
    let newest = versions.last_key_value().map_or(0, |(version, _)| *version);
    let mut found: Option<(String, String)> = None;
    if let Some(folder) = &project.config.intents {
        find(folder, folder, &mut |name, text| {
            if declares(&text, "intent", intent) && declares(&text, "version", &newest.to_string())
            {
                found = Some((name, text));
            }
        })?;
    }
    let (name, text) = found.ok_or_else(|| {
        CommandError::Failed(format!("no file begins with `intent: {intent}`, version {newest}"))
    })?;
    let used = seen.intents.get(intent).cloned().unwrap_or_default();
    let narrowed = match seen.is_whole() {
        true => narrow_envelope(&text, &used),
        false => None,
    };
    let why = match &narrowed {
        Some(_) => "narrowed: raise `version` where tasks of it are under way",
        None if !seen.is_whole() => {
            "kept: it may be older than the records that were looked at, so its use is not known in \
             full"
        }
        None if used.is_empty() => "kept: nobody used it at all; withdraw the intent instead",
        None => "kept: all that it names was used, or it is not laid out as `- action: NAME`",
    };
    let diff = |narrowed: &NarrowedEnvelope| report::unified(&name, &text, &narrowed.text);
    let diff = narrowed.as_ref().map(diff).unwrap_or_default();
    match shared.output {
        Format::Json | Format::Yaml => {
            let without = narrowed.map(|narrowed| narrowed.without).unwrap_or_default();
            let document = json!({
                "intent": intent, "version": newest, "file": name, "in_words": why,
                "without": without, "diff": diff,
            });
            output::document(shared.output, &document)
        }
        _ => Ok(format!("intent {intent} version {newest} in {name}: {why}\n{diff}")),
    }
}

/// Whether a document has that member with that value at its top.
fn declares(text: &str, member: &str, value: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| {
        let said = line.strip_prefix(member).and_then(|rest| rest.strip_prefix(':'));
        said.is_some_and(|said| said.split(" #").next().unwrap_or_default().trim() == value)
    })
}

/// The YAML files of a folder and of those below it.
fn find(
    root: &Path,
    folder: &Path,
    each: &mut dyn FnMut(String, String),
) -> Result<(), CommandError> {
    let shown = folder.display().to_string();
    for entry in fs::read_dir(folder).map_err(|error| failed(&shown, error))? {
        let path = entry.map_err(|error| failed(&shown, error))?.path();
        if path.is_dir() {
            find(root, &path, each)?;
        } else if path.extension().is_some_and(|end| end == "yaml") {
            let text = fs::read_to_string(&path).map_err(|error| failed(&shown, error))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            each(name, text);
        }
    }
    Ok(())
}
