//! The tasks in the order of their ids: all of them, and those that each identity has to do with.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use safeconduct_model::IdentityId;

use super::{TaskQuery, TaskSlot};

/// How many forgotten tasks a list holds on to at least, before it is worth sorting them out.
const SLACK: usize = 16;

/// Tasks by id. Ids follow time, so a new one nearly always comes last.
#[derive(Default)]
struct List {
    tasks: Vec<Arc<TaskSlot>>,
    /// How many of them are no longer remembered.
    forgotten: usize,
}

impl List {
    fn insert(&mut self, task: &Arc<TaskSlot>) {
        let id = &task.task.id;
        let at = match self.tasks.last() {
            Some(last) if last.task.id > *id => {
                self.tasks.partition_point(|other| other.task.id < *id)
            }
            _ => self.tasks.len(),
        };
        self.tasks.insert(at, Arc::clone(task));
    }

    /// Takes note that one of them is no longer remembered. Says whether any is left.
    fn forget_one(&mut self) -> bool {
        self.forgotten += 1;
        if self.forgotten > SLACK + self.tasks.len() / 8 || self.forgotten == self.tasks.len() {
            self.tasks.retain(|task| !task.is_forgotten());
            self.forgotten = 0;
        }
        !self.tasks.is_empty()
    }

    fn after(&self, id: Option<&str>, most: usize) -> Vec<Arc<TaskSlot>> {
        let from =
            id.map_or(0, |id| self.tasks.partition_point(|task| task.task.id.as_str() <= id));
        let rest = self.tasks.iter().skip(from);
        rest.filter(|task| !task.is_forgotten()).take(most).cloned().collect()
    }
}

/// All lists.
#[derive(Default)]
pub(super) struct Lists {
    all: List,
    concerning: HashMap<IdentityId, List, RandomState>,
}

impl Lists {
    pub(super) fn insert(&mut self, task: &Arc<TaskSlot>) {
        self.all.insert(task);
        for who in task.concerns() {
            if let Some(list) = self.concerning.get_mut(who) {
                list.insert(task);
            } else {
                self.concerning.entry(who.clone()).or_default().insert(task);
            }
        }
    }

    /// Takes note that a task is no longer remembered, which it says of itself already.
    pub(super) fn forget(&mut self, task: &TaskSlot) {
        self.all.forget_one();
        for who in task.concerns() {
            if let Some(list) = self.concerning.get_mut(who)
                && !list.forget_one()
            {
                self.concerning.remove(who);
            }
        }
    }

    /// At most so many tasks after that id, among which are all that the question can be about.
    pub(super) fn after(
        &self,
        query: &TaskQuery<'_>,
        id: Option<&str>,
        most: usize,
    ) -> Vec<Arc<TaskSlot>> {
        let named = [query.agent, query.concerns].into_iter().flatten();
        let lists = named.map(|who| self.concerning.get(who));
        match lists.min_by_key(|list| list.map_or(0, |list| list.tasks.len())) {
            None => self.all.after(id, most),
            Some(None) => Vec::new(),
            Some(Some(list)) => list.after(id, most),
        }
    }

    /// Everything that an identity has to do with.
    pub(super) fn concerning(&self, who: &IdentityId) -> Vec<Arc<TaskSlot>> {
        self.concerning.get(who).map_or_else(Vec::new, |list| list.after(None, usize::MAX))
    }

    /// Everything.
    pub(super) fn all(&self) -> Vec<Arc<TaskSlot>> {
        self.all.after(None, usize::MAX)
    }
}
