//! Groups of like requests that grow: whoever was told of the first one hears that there are more,
//! and not of each of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use safeconduct_model::{AccessEvent, ActionName, Body, IdentityId, Record, TaskId, Timestamp};

/// How long nobody is told that a group grows after they were told of it, in milliseconds: ten
/// minutes.
const QUIET_MS: i64 = 600_000;

/// Most groups that are remembered. Of more, people are told once too often.
const GROUPS_MAX: usize = 10_000;

/// Like requests: whose, for what, in which task.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    asked_by: IdentityId,
    action: ActionName,
    task: Option<TaskId>,
}

/// When people were last told of each group.
#[derive(Default)]
pub(crate) struct Groups(Mutex<BTreeMap<Group, Timestamp>>);

impl Groups {
    /// Whether the record says that a group has grown, and people were not told of it for a while.
    pub(crate) fn grew(&self, record: &Record) -> bool {
        let Body::AccessRequestChanged(change) = &record.body else { return false };
        let AccessEvent::Requested(asked) = &change.event else { return false };
        let of = &asked.binding;
        let group = Group {
            asked_by: asked.asked_by.clone(),
            action: of.action.clone(),
            task: of.task.clone(),
        };
        let quiet = |told: &Timestamp| record.at.ms_since(*told) < QUIET_MS;
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let joined = asked.asked.is_empty();
        if joined && told.get(&group).is_some_and(quiet) {
            return false;
        }
        if told.len() >= GROUPS_MAX {
            told.retain(|_, told| quiet(told));
        }
        if told.len() < GROUPS_MAX {
            told.insert(group, record.at);
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use safeconduct_model::{
        AccessChange, AccessRequested, Assurance, Binding, Deputies, EntityRef, KeyedDigest,
        RecordId, Standing,
    };

    use super::*;

    fn asked(action: &str, people: &[&str], ms: i64) -> Record {
        let id = |text: &str| IdentityId::new(text).unwrap();
        let request = RecordId::new("req_1").unwrap();
        let requested = AccessRequested {
            binding: Binding {
                principal: EntityRef::new("Safeconduct::Agent", "agent").unwrap(),
                actors: vec![id("agent")],
                on_behalf_of: None,
                task: Some(TaskId::new("task_1").unwrap()),
                intent: None,
                action: ActionName::new(action).unwrap(),
                resources: BTreeSet::new(),
                arguments: KeyedDigest::from_bytes([0; 32]),
            },
            asked_by: id("agent"),
            interested: BTreeSet::new(),
            approvers: "group:leads".into(),
            quorum: 1,
            ttl_s: 900,
            assurance: Assurance::Low,
            deputies: Deputies::Allowed,
            standing: Standing::Allowed,
            likeness: KeyedDigest::from_bytes([0; 32]),
            answer_by: Timestamp::from_millis(ms + 1),
            ends_at: None,
            asked: people.iter().copied().map(id).collect(),
        };
        let event = AccessEvent::Requested(Box::new(requested));
        Record {
            id: request.clone(),
            at: Timestamp::from_millis(ms),
            trace: None,
            parent: None,
            body: Body::AccessRequestChanged(Box::new(AccessChange {
                request,
                sequence: 0,
                event,
            })),
        }
    }

    #[test]
    fn a_group_that_grows_is_told_of_again_after_a_while_and_not_each_time() {
        let groups = Groups::default();
        assert!(!groups.grew(&asked("crm.mail", &["ada"], 0)), "that is a notice of its own");
        assert!(!groups.grew(&asked("crm.mail", &[], 1)), "they were told just now");
        assert!(!groups.grew(&asked("crm.mail", &[], QUIET_MS - 1)));
        assert!(groups.grew(&asked("crm.mail", &[], QUIET_MS)));
        assert!(!groups.grew(&asked("crm.mail", &[], QUIET_MS + 1)));
        assert!(groups.grew(&asked("crm.pay", &[], QUIET_MS + 1)), "another group");
    }
}
