//! A question with all that came before it: nothing, or the steps of a test.

use std::path::Path;
use std::sync::LazyLock;

use safeconduct_engine::{Explained, Outcome, TaskFacts};
use safeconduct_model::{Decision, NameError, Reason, Timestamp};
use safeconduct_service::{RehearsedApprovals, RehearsedSessions, RehearsedTasks};
use safeconduct_session::flow::Origins;
use safeconduct_wire::suite::{Sessions, Step, Suite, Test};

use super::course::Course;
use super::ground::{Ground, Posed};
use super::{question, test, world};
use crate::args::{Question, Shared};
use crate::exit::{CommandError, failed};
use crate::wiring::project::Project;

/// Most moments of a session that are kept to look back at: the latest.
const MOMENTS_MAX: usize = 512;

/// The sessions right after something happened in one.
pub(super) struct Moment {
    /// What happened, in words; nothing at the beginning.
    pub(super) what: Option<String>,
    pub(super) at: Timestamp,
    pub(super) sessions: RehearsedSessions,
}

/// A question, and how the sessions came to be as they are.
pub(super) struct Scene<'g> {
    ground: &'g Ground,
    pub(super) posed: Posed,
    tasks: RehearsedTasks,
    approvals: RehearsedApprovals,
    in_task: Option<String>,
    /// At least one; the last one is where the question is asked.
    pub(super) moments: Vec<Moment>,
    /// Whether moments before the first of these are forgotten.
    pub(super) forgotten: bool,
}

/// The ground of the question: the project's, or that of the test that it is a step of.
///
/// # Errors
/// The project or the test's world is invalid.
pub(super) fn ground(shared: &Shared, question: &Question) -> Result<Ground, CommandError> {
    let suite = question.test.as_deref().map(test::read).transpose()?;
    match suite.as_ref().and_then(|suite| suite.world.as_ref().zip(Some(suite))) {
        Some((own, suite)) => world::ground(suite, own),
        None => Ground::of(&Project::load(&shared.config)?),
    }
}

impl<'g> Scene<'g> {
    /// The scene of a question.
    ///
    /// # Errors
    /// A flag cannot be read, or there is no such step.
    pub(super) fn of(ground: &'g Ground, question: &Question) -> Result<Self, CommandError> {
        match &question.test {
            None => Ok(Self::alone(ground, question::pose(ground, question)?)),
            Some(file) => {
                let suite = test::read(file)?;
                Self::at_step(ground, &chosen(file, &suite, question)?)
                    .map_err(|error| failed(&file.display().to_string(), error))
            }
        }
    }

    fn alone(ground: &'g Ground, posed: Posed) -> Self {
        let beginning =
            Moment { what: None, at: posed.at(), sessions: RehearsedSessions::default() };
        let (tasks, in_task) = (RehearsedTasks::default(), None);
        let (approvals, moments) = (RehearsedApprovals::default(), vec![beginning]);
        Self { ground, posed, tasks, approvals, in_task, moments, forgotten: false }
    }

    fn at_step(ground: &'g Ground, chosen: &Chosen<'_>) -> Result<Self, NameError> {
        let Chosen { test, before, step } = *chosen;
        let mut course = Course::begin(ground, test, &mut Vec::new());
        let mut moments = Vec::new();
        let mut forgotten = false;
        for (step, number) in before.iter().zip(1_usize..) {
            let posed = course.pose(step, number)?;
            let beginning = moments.is_empty() || test.sessions == Sessions::Apart;
            if beginning {
                moments = vec![Moment::of(None, &posed, &course)];
            }
            let outcome = course.decide(step, &posed);
            course.decided(&posed, &outcome);
            // What the test itself finds fault with.
            let _ = course.answered(step, &posed);
            let word = match outcome.decision {
                Decision::Permit => "was permitted",
                Decision::Deny => "was denied",
            };
            let what = |word: &str| Some(format!("step {number} ({}) {word}", step.action));
            moments.push(Moment::of(what(word), &posed, &course));
            if course.happened(step, &posed, &outcome) {
                moments.push(Moment::of(what(step.outcome.as_str()), &posed, &course));
            }
            if moments.len() > MOMENTS_MAX {
                moments.drain(..MOMENTS_MAX / 2);
                forgotten = true;
            }
        }
        let posed = course.pose(step, before.len() + 1)?;
        if moments.is_empty() || test.sessions == Sessions::Apart {
            moments = vec![Moment::of(None, &posed, &course)];
        }
        let (tasks, approvals, in_task) = (course.tasks, course.approvals, step.in_task.clone());
        Ok(Self { ground, posed, tasks, approvals, in_task, moments, forgotten })
    }

    /// Decides the question.
    pub(super) fn decide(&self) -> Outcome {
        self.ground.decide(&self.posed, self.sessions(), self.task(), &self.approvals)
    }

    /// What each policy says to it.
    ///
    /// # Errors
    /// What stands in the way before any policy is asked.
    pub(super) fn explain(&self) -> Result<Vec<Explained>, Vec<Reason>> {
        self.ground.explain(&self.posed, self.sessions(), self.task(), self.posed.at())
    }

    /// What each would have said at another time, after no more than that had happened.
    ///
    /// # Errors
    /// What stands in the way before any policy is asked.
    pub(super) fn explain_then(
        &self,
        moment: &Moment,
        at: Timestamp,
    ) -> Result<Vec<Explained>, Vec<Reason>> {
        self.ground.explain(&self.posed, &moment.sessions, self.task(), at)
    }

    /// Where its arguments came from; `None` where nothing was read.
    pub(super) fn origins(&self) -> Option<Origins> {
        self.ground.origins(&self.posed, self.sessions(), self.task())
    }

    fn sessions(&self) -> &RehearsedSessions {
        static NOTHING: LazyLock<RehearsedSessions> = LazyLock::new(RehearsedSessions::default);
        self.moments.last().map_or(&*NOTHING, |moment| &moment.sessions)
    }

    fn task(&self) -> Option<TaskFacts<'_>> {
        self.in_task.as_deref().and_then(|name| self.tasks.facts(name, &self.ground.identities))
    }
}

impl Moment {
    fn of(what: Option<String>, posed: &Posed, course: &Course<'_>) -> Self {
        Self { what, at: posed.at(), sessions: course.sessions.clone() }
    }
}

/// A step of a test, and the steps before it.
struct Chosen<'t> {
    test: &'t Test,
    before: &'t [Step],
    step: &'t Step,
}

/// The step that a question names.
fn chosen<'t>(
    file: &Path,
    suite: &'t Suite,
    question: &Question,
) -> Result<Chosen<'t>, CommandError> {
    let nothing = |what: String| CommandError::Failed(format!("{}: {what}", file.display()));
    let text = question.filter.as_deref().unwrap_or_default();
    let test = suite.tests.iter().find(|test| test.name.contains(text));
    let test = test.ok_or_else(|| nothing(format!("no test has `{text}` in its name")))?;
    let number = question.step.unwrap_or(test.steps.len());
    let chosen = number.checked_sub(1).and_then(|index| {
        Some(Chosen { test, before: test.steps.get(..index)?, step: test.steps.get(index)? })
    });
    chosen.ok_or_else(|| {
        nothing(format!("`{}` has {} steps, and no step {number}", test.name, test.steps.len()))
    })
}
