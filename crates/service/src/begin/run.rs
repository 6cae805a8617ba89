//! Runs of schedules: a scheduled job has a standing right to undertake an intent, with what its
//! operator wrote of it. Each run is a task of its own, which the job begins and acts in.

use safeconduct_model::{
    Authentication, Digest, IdentityId, Intent, Overlap, Schedule, ScheduleName, TaskState, TraceId,
};

use super::{BeginError, Narrowed, OnBehalf, Undertaking};
use crate::{Ending, Service, World};

/// The next run of a schedule, wanted by whoever it is for.
#[derive(Debug, Clone)]
pub struct Run {
    /// The schedule.
    pub of: ScheduleName,
    /// Who begins it, who must be the one whose schedule it is.
    pub by: Authentication,
    /// SHA-256 of the handle by which they will name it.
    pub handle: Digest,
    /// The enforcement point that asks.
    pub pep: IdentityId,
    /// What the caller correlates by.
    pub trace: Option<TraceId>,
}

impl Service {
    /// What the next run of a schedule undertakes: nothing of it is the caller's to say.
    ///
    /// # Errors
    /// [`BeginError::UnknownSchedule`] where there is none of that name, or it is another's.
    pub fn run(&self, run: Run) -> Result<Undertaking, BeginError> {
        let world = self.world();
        let (intent, schedule) = own(&world, &run.of, &run.by)?;
        let user = schedule.on_behalf_of.clone();
        Ok(Undertaking {
            agent: schedule.identity.clone(),
            intent: intent.name.clone(),
            version: Some(intent.version),
            parameters: schedule.parameters.clone(),
            prompt: schedule.prompt.clone(),
            on_behalf_of: user.map(OnBehalf::Delegated),
            narrowed: Narrowed::default(),
            handle: Some(run.handle),
            conversation: None,
            run_of: Some(run.of),
            by: run.by,
            pep: run.pep,
            trace: run.trace,
        })
    }

    /// Holds a run against its schedule, as that now is.
    pub(super) fn check_run(
        &self,
        undertaking: &Undertaking,
        world: &World,
    ) -> Result<(), BeginError> {
        let Some(name) = &undertaking.run_of else { return Ok(()) };
        let (intent, schedule) = own(world, name, &undertaking.by)?;
        let asked_for = match &undertaking.on_behalf_of {
            Some(OnBehalf::Delegated(user)) => Some(user),
            None => None,
            Some(OnBehalf::Proved(_)) => return Err(BeginError::Contended),
        };
        let same = undertaking.agent == schedule.identity
            && undertaking.intent == intent.name
            && undertaking.version == Some(intent.version)
            && undertaking.parameters == schedule.parameters
            && undertaking.prompt == schedule.prompt
            && undertaking.narrowed == Narrowed::default()
            && asked_for == schedule.on_behalf_of.as_ref();
        // It was rewritten since it was looked up.
        if !same {
            return Err(BeginError::Contended);
        }
        match schedule.overlap {
            Overlap::Refuse => {
                self.end_overdue_runs(name);
                self.has_room(name, schedule)
            }
            Overlap::Replace => Ok(()),
        }
    }

    /// Ends the runs whose time is over. Takes their sessions, and so never where changes are kept
    /// out.
    pub(super) fn end_overdue_runs(&self, name: &ScheduleName) {
        for run in self.tasks.runs(name) {
            self.end_if_overdue(&run);
        }
    }

    /// Whether one more run may begin, beside those that have not ended.
    pub(super) fn has_room(
        &self,
        name: &ScheduleName,
        schedule: &Schedule,
    ) -> Result<(), BeginError> {
        let runs = self.tasks.runs(name);
        match runs.len() < schedule.at_once as usize {
            true => Ok(()),
            false => Err(BeginError::Running { schedule: name.clone(), runs: runs.len() }),
        }
    }

    /// Ends the oldest runs, where the next one takes their place.
    pub(super) async fn replace_runs(&self, undertaking: &Undertaking) -> Result<(), BeginError> {
        let Some(name) = &undertaking.run_of else { return Ok(()) };
        let world = self.world();
        let (_, schedule) = own(&world, name, &undertaking.by)?;
        if schedule.overlap != Overlap::Replace {
            return Ok(());
        }
        let runs = self.tasks.runs(name);
        let too_many = (runs.len() + 1).saturating_sub(schedule.at_once as usize);
        for run in runs.iter().take(too_many) {
            let by = Some(undertaking.by.identity.clone());
            let ending = Ending { state: TaskState::Revoked, by, reason: "replaced".into() };
            if let Err(error) = self.end_task(run, ending).await {
                return Err(BeginError::Record(error.to_string().into()));
            }
        }
        Ok(())
    }
}

/// The schedule of that name, where it is the caller's and they act in no task.
fn own<'w>(
    world: &'w World,
    name: &ScheduleName,
    by: &Authentication,
) -> Result<(&'w Intent, &'w Schedule), BeginError> {
    let found = world.intents.schedule(name);
    let own = found.filter(|(_, schedule)| schedule.identity == by.identity && by.task.is_none());
    own.ok_or_else(|| BeginError::UnknownSchedule(name.clone()))
}
