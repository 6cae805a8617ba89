//! From Rego files to a program: all of it, or all that is wrong with it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::{CompiledPolicy, Engine};
use safeconduct_model::{PolicyEffect, PolicyId, PolicyRef, Span};

use super::program::{self, Fault};
use super::scan::{self, Head, Metadata, Scanned};
use super::{Rego, guard, mend};
use crate::annotations::{self, PolicyMode};
use crate::diagnostic::{Diagnostic, Located, Severity};
use crate::policies::PolicyInfo;
use crate::source::{DIAGNOSTICS_MAX, FILE_BYTES_MAX, REGO_FILES_MAX, REGO_RULES_MAX, SourceFile};

/// The package in which the rule stands that decides.
const PACKAGE: &str = "data.safeconduct";
/// The rules that can decide; the first that is there does.
const ENTRIES: [&str; 2] = ["decision", "allow"];
/// Rules that OPA's users write for what is forbidden.
const VETOES: [&str; 3] = ["deny", "forbid", "violation"];

/// Whether a file is one of Rego.
pub(crate) fn is_rego(name: &str) -> bool {
    name.ends_with(".rego")
}

/// One file with what is known of it.
struct Read<'s> {
    source: &'s SourceFile,
    located: Located<'s>,
    scanned: Scanned,
    /// Its package: `data.safeconduct.amounts`.
    package: String,
}

/// Compiles the Rego files of a set. `None` where they do not load; then `problems` says why.
pub(crate) fn load(files: &[&SourceFile], problems: &mut Vec<Diagnostic>) -> Option<Rego> {
    if files.len() > REGO_FILES_MAX {
        let message = format!("there are more than the limit of {REGO_FILES_MAX} Rego files");
        problems.push(Diagnostic::general(Severity::Error, message));
        return None;
    }
    let mut sorted: Vec<&SourceFile> = files.to_vec();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    let before = problems.len();
    let mut read = Vec::with_capacity(sorted.len());
    for source in sorted {
        read.extend(read_one(source, &mut engine, problems));
    }
    if problems.iter().skip(before).any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let rules: usize = read.iter().map(|file| file.scanned.heads.len()).sum();
    if rules > REGO_RULES_MAX {
        let message = format!("there are more than the limit of {REGO_RULES_MAX} Rego rules");
        problems.push(Diagnostic::general(Severity::Error, message));
        return None;
    }
    let entry = entry(&read, problems)?;
    let (mut program, compiled) = compile(&mut engine, &entry, &read, problems)?;
    let measured = match program::check(&program, &entry) {
        Ok(measured) => measured,
        Err(fault) => {
            problems.push(told(&fault, &program, &read));
            return None;
        }
    };
    let mut warnings = Vec::new();
    unreached(&program, &compiled, &read, &mut warnings);
    let annotated = annotated(&entry, &read, &mut warnings);
    problems.extend(warnings.iter().cloned());
    if warnings.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let (permit, forbid, text) = known(&entry, &read, &annotated)?;
    let whole = Arc::make_mut(&mut program);
    let Some(conflicts) = guard::guard(whole).and_then(|()| mend::mend(whole)) else {
        let message = "the Rego files are too large for one program";
        problems.push(Diagnostic::general(Severity::Error, message));
        return None;
    };
    Some(Rego {
        files: read.into_iter().map(|file| file.source.clone()).collect(),
        program,
        conflicts,
        entry: entry.into(),
        // The deepest of them can come to one that is guarded.
        calls: measured.calls + 1,
        permit,
        forbid,
        text,
        warnings,
    })
}

fn read_one<'s>(
    source: &'s SourceFile,
    engine: &mut Engine,
    problems: &mut Vec<Diagnostic>,
) -> Option<Read<'s>> {
    let located = Located::new(&source.name, &source.text);
    if source.text.len() > FILE_BYTES_MAX {
        let size = source.text.len();
        let message = format!("the file has {size} bytes, more than the limit of {FILE_BYTES_MAX}");
        problems.push(Diagnostic::in_file(Severity::Error, &source.name, message));
        return None;
    }
    let before = problems.len();
    let scanned = scan::scan(&located, problems);
    problems.truncate(before + DIAGNOSTICS_MAX);
    if problems.len() > before {
        return None;
    }
    match guarded(|| engine.add_policy(source.name.to_string(), source.text.to_string())) {
        Ok(Ok(package)) => Some(Read { source, located, scanned, package }),
        Ok(Err(error)) => {
            problems.push(described(&error.to_string(), &located));
            None
        }
        Err(problem) => {
            problems.push(Diagnostic::in_file(Severity::Error, &source.name, problem));
            None
        }
    }
}

/// Runs what is the engine's. What it takes for impossible is its fault, and no reason to fall.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| "the engine failed over this: a fault of it".to_owned())
}

/// The rule that decides.
fn entry(read: &[Read<'_>], problems: &mut Vec<Diagnostic>) -> Option<String> {
    let ours: Vec<&Read<'_>> = read.iter().filter(|file| file.package == PACKAGE).collect();
    let Some(first) = ours.first() else {
        let nearest = read.iter().find(|file| {
            let package = file.package.strip_prefix("data.").unwrap_or(&file.package);
            strsim::osa_distance(package, "safeconduct") <= 3
        });
        let file = nearest.or_else(|| read.first())?;
        let offset = file.scanned.package.unwrap_or(0);
        let message = "no file is of the package `safeconduct`, where the rule is that decides";
        problems.push(
            file.located.problem(Severity::Error, (offset, "package".len()), message).with_help(
                "write `package safeconduct`, and in it `allow if { … }` or `decision := { … }`",
            ),
        );
        return None;
    };
    let heads = || ours.iter().flat_map(|file| &file.scanned.heads);
    if let Some(found) = ENTRIES.into_iter().find(|entry| heads().any(|head| head.name == **entry))
    {
        return Some(format!("{PACKAGE}.{found}"));
    }
    let near = |head: &&Head| {
        ENTRIES.into_iter().any(|entry| strsim::osa_distance(&head.name, entry) <= 2)
    };
    let slip =
        ours.iter().find_map(|file| file.scanned.heads.iter().find(near).map(|head| (file, head)));
    let message = "the package `safeconduct` has no rule that decides";
    problems.push(match slip {
        Some((file, head)) => {
            let meant = ENTRIES.into_iter().min_by_key(|e| strsim::osa_distance(&head.name, e));
            file.located
                .problem(Severity::Error, (head.offset, head.name.len()), message)
                .with_help(format!("did you mean `{}`?", meant.unwrap_or("allow")))
        }
        None => first
            .located
            .problem(Severity::Error, (first.scanned.package.unwrap_or(0), 7), message)
            .with_help("write `allow if { … }`, or `decision := {\"allow\": …}`"),
    });
    None
}

fn compile(
    engine: &mut Engine,
    entry: &str,
    read: &[Read<'_>],
    problems: &mut Vec<Diagnostic>,
) -> Option<(Arc<Program>, CompiledPolicy)> {
    let compiled = guarded(|| {
        let compiled =
            engine.compile_with_entrypoint(&entry.into()).map_err(|error| error.to_string())?;
        let program = Compiler::compile_from_policy(&compiled, &[entry])
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((program, compiled))
    });
    match compiled {
        Ok(Ok(compiled)) => Some(compiled),
        Ok(Err(error)) => {
            let file =
                read.iter().find(|file| error.contains(&format!("--> {}:", file.source.name)));
            problems.push(match file.or_else(|| read.first()) {
                Some(file) => described(&error, &file.located),
                None => Diagnostic::general(Severity::Error, error),
            });
            None
        }
        Err(problem) => {
            problems.push(Diagnostic::general(Severity::Error, problem));
            None
        }
    }
}

/// What the engine found, in our words' shape: it writes `--> FILE:LINE:COLUMN`, the line, and
/// `error: MESSAGE`.
fn described(error: &str, located: &Located<'_>) -> Diagnostic {
    let place = error.lines().find_map(|line| {
        let (rest, column) = line.trim().strip_prefix("--> ")?.rsplit_once(':')?;
        let (_, line) = rest.rsplit_once(':')?;
        Some((line.parse::<u32>().ok()?, column.parse::<u32>().ok()?))
    });
    let message = error.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let message = message.or_else(|| error.lines().find(|line| !line.trim().is_empty()));
    let message: String = message.unwrap_or("it cannot be read").chars().take(300).collect();
    let message = message.strip_prefix("Compilation error: ").unwrap_or(&message).to_owned();
    match place {
        Some((line, column)) => at(located, line, column, 1, message),
        None => Diagnostic::in_file(Severity::Error, located.file, message),
    }
}

fn at(located: &Located<'_>, line: u32, column: u32, length: usize, message: String) -> Diagnostic {
    let offset = located.offset(line, column);
    located.problem(Severity::Error, (offset, length), message)
}

fn told(fault: &Fault, program: &Program, read: &[Read<'_>]) -> Diagnostic {
    let placed = fault.span.as_ref().filter(|span| span.line > 0).and_then(|span| {
        let name = &program.sources.get(span.source_index)?.name;
        let file = read.iter().find(|file| *file.source.name == **name)?;
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column) = (small(span.line), small(span.column));
        Some(at(&file.located, line, column, span.length, fault.message.clone()))
    });
    let problem =
        placed.unwrap_or_else(|| Diagnostic::general(Severity::Error, fault.message.as_str()));
    Diagnostic { help: fault.help.clone(), ..problem }
}

/// Says of files and rules that the decision never looks at: whoever wrote them thinks it does.
fn unreached(
    program: &Program,
    compiled: &CompiledPolicy,
    read: &[Read<'_>],
    problems: &mut Vec<Diagnostic>,
) {
    let reached: BTreeSet<&str> =
        program.rule_infos.iter().map(|rule| rule.name.as_str()).collect();
    for file in read {
        let of_package = |name: &&str| {
            name.strip_prefix(file.package.as_str())
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        if file.package != PACKAGE && !reached.iter().any(of_package) {
            let at = (file.scanned.package.unwrap_or(0), "package".len());
            let message =
                format!("the decision looks at nothing in the package `{}`", file.package);
            problems.push(file.located.problem(Severity::Error, at, message).with_help(format!(
                "look at it from `{PACKAGE}`, write `package safeconduct`, or take the file out"
            )));
            continue;
        }
        let mut said = BTreeSet::new();
        for head in &file.scanned.heads {
            let path = format!("{}.{}", file.package, head.name);
            let looked_at = |name: &&str| {
                name.strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let is_rule = compiled.get_rules().contains_key(&path);
            if reached.iter().any(looked_at) || !is_rule || !said.insert(path) {
                continue;
            }
            let veto = VETOES.contains(&head.name.as_str());
            let severity = if veto { Severity::Error } else { Severity::Warning };
            let message = format!("the decision never looks at `{}`", head.name);
            let at = (head.offset, head.name.len());
            let problem = file.located.problem(severity, at, message);
            problems.push(if veto {
                problem.with_help("write `decision := {\"allow\": count(deny) == 0, …}`, or add `count(deny) == 0` to `allow`")
            } else {
                problem
            });
        }
    }
}

/// What the annotations of the package and of the rule that decides say.
fn annotated(entry: &str, read: &[Read<'_>], problems: &mut Vec<Diagnostic>) -> Metadata {
    let name = entry.rsplit('.').next().unwrap_or(entry);
    let mut all = Metadata::default();
    for file in read.iter().filter(|file| file.package == PACKAGE) {
        let heads = file.scanned.heads.iter().filter(|head| head.name == name);
        for offset in file.scanned.package.into_iter().chain(heads.map(|head| head.offset)) {
            match scan::metadata(&file.source.text, offset) {
                Ok(Metadata { mode, message, control }) => {
                    // One that has effect is not without it elsewhere.
                    all.mode = match (all.mode, mode) {
                        (Some(PolicyMode::Enforce), _) | (_, Some(PolicyMode::Enforce)) => {
                            Some(PolicyMode::Enforce)
                        }
                        (so_far, next) => so_far.or(next),
                    };
                    all.message = all.message.or(message);
                    all.control = all.control.or(control);
                }
                Err((offset, problem)) => {
                    let line = file.source.text.get(offset..).and_then(|rest| rest.lines().next());
                    let length = line.map_or(1, str::len);
                    let at = (offset, length);
                    problems.push(
                        file.located
                            .problem(Severity::Error, at, problem)
                            .with_help("`custom` has `mode`, `message` and `control`"),
                    );
                }
            }
        }
    }
    if let Some(message) = &all.message
        && super::answer::message(message).is_err()
    {
        let message = "`message` must be one line that an agent may see";
        problems.push(Diagnostic::general(Severity::Error, message));
    }
    all
}

/// What the engine is named by, where it permits and where it forbids, and the text of its rule.
fn known(
    entry: &str,
    read: &[Read<'_>],
    annotated: &Metadata,
) -> Option<(Arc<PolicyInfo>, Arc<PolicyInfo>, Arc<str>)> {
    let name = entry.rsplit('.').next().unwrap_or(entry);
    let mut texts = Vec::new();
    let mut first: Option<Span> = None;
    for file in read.iter().filter(|file| file.package == PACKAGE) {
        for (number, head) in file.scanned.heads.iter().enumerate() {
            if head.name != name {
                continue;
            }
            let end =
                file.scanned.heads.get(number + 1).map_or(file.source.text.len(), |h| h.offset);
            let text = without_comments_after(file.source.text.get(head.offset..end).unwrap_or(""));
            if first.is_none() {
                let (line, column) = file.located.position(head.offset);
                let end_line = file.located.end_line(head.offset, text.len());
                first = Some(Span { file: Arc::clone(&file.source.name), line, column, end_line });
            }
            texts.push(text.to_owned());
        }
    }
    let id =
        PolicyId::new(format!("rego:{}", entry.strip_prefix("data.").unwrap_or(entry))).ok()?;
    let message = annotated.message.as_deref().and_then(|text| super::answer::message(text).ok());
    let controls = annotated.control.as_deref().map(annotations::controls).unwrap_or_default();
    let span = first?;
    let info = |effect: PolicyEffect| {
        Arc::new(PolicyInfo {
            reference: Arc::new(PolicyRef {
                id: id.clone(),
                effect,
                span: span.clone(),
                message: message.clone().filter(|_| effect == PolicyEffect::Forbid),
            }),
            requestable: None,
            obligations: Vec::new(),
            controls: controls.clone(),
            mode: annotated.mode.unwrap_or(PolicyMode::Enforce),
        })
    };
    Some((info(PolicyEffect::Permit), info(PolicyEffect::Forbid), texts.join("\n").into()))
}

/// A rule's text without the comments below it, which belong to the next.
fn without_comments_after(text: &str) -> &str {
    let mut text = text.trim_end();
    while let Some(start) = text.rfind('\n') {
        let last = text.get(start + 1..).unwrap_or("").trim();
        if !last.is_empty() && !last.starts_with('#') {
            break;
        }
        text = text.get(..start).unwrap_or("").trim_end();
    }
    text
}
