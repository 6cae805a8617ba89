//! Since when statements are in force: a fold over the sets that were, in their order.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use safeconduct_model::{Digest, PolicyId, Timestamp};

use crate::policies::Policies;
use crate::standing::ScopedStatement;

/// Most times that are remembered at which one statement came to say something else: the first and
/// the newest.
pub const SAID_ANEW_MAX: usize = 64;

/// Since when a statement is in force without a break: the same id that says the same
/// ([`ScopedStatement::digest`]), in whatever file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// Since then, surely.
    pub since: Timestamp,
    /// Since then, perhaps: earlier where it is not known what the sets before held.
    pub perhaps: Timestamp,
}

/// The ages of the statements of the set that is in force.
#[derive(Debug, Clone, Default)]
pub struct Ages {
    set: Option<Digest>,
    statements: HashMap<PolicyId, Of, FixedState>,
    /// Since when there are sets of which nobody knows what they hold.
    unknown_since: Option<Timestamp>,
}

/// What is known of a statement that is in force.
#[derive(Debug, Clone)]
struct Of {
    says: Digest,
    age: Age,
    /// When one of that id came, and when it came to say something else; the oldest first.
    anew: Vec<Age>,
}

impl Of {
    /// The statement as it is from then on.
    fn saying(before: Option<Self>, says: Digest, fresh: Age) -> Self {
        let mut anew = match before {
            Some(same) if same.says == says => return same,
            Some(other) => other.anew,
            None => Vec::new(),
        };
        if anew.len() >= SAID_ANEW_MAX {
            anew.remove(1);
        }
        anew.push(fresh);
        Self { says, age: fresh, anew }
    }
}

impl Ages {
    /// The digest of the set that came in force last.
    pub const fn set(&self) -> Option<Digest> {
        self.set
    }

    /// From then on that set is in force; `policies` where it is known what it holds.
    pub fn in_force(&mut self, at: Timestamp, set: Digest, policies: Option<&Policies>) {
        if self.set == Some(set) && self.unknown_since.is_none() {
            return;
        }
        self.set = Some(set);
        let Some(policies) = policies else {
            self.unknown_since.get_or_insert(at);
            return;
        };
        let fresh = Age { since: at, perhaps: self.unknown_since.take().unwrap_or(at) };
        let mut before = std::mem::take(&mut self.statements);
        for statement in policies.statements() {
            let (id, says) = (statement.info().reference.id.clone(), statement.digest());
            let of = Of::saying(before.remove(&id), says, fresh);
            self.statements.insert(id, of);
        }
    }

    /// Whether it is known what the set holds that came in force last.
    pub const fn is_known(&self) -> bool {
        self.set.is_some() && self.unknown_since.is_none()
    }

    /// Since when that statement is in force; `None` where it is not one of the set.
    pub fn of(&self, statement: &ScopedStatement) -> Option<Age> {
        self.said(&statement.info().reference.id, statement.digest())
    }

    /// The same of the one of that id that says that.
    pub fn said(&self, id: &PolicyId, says: Digest) -> Option<Age> {
        self.known(id, says).map(|of| of.age)
    }

    /// When a statement of that id that says that now came in force, and when it came to say
    /// something else, the oldest first: one that was away in between came anew. At most
    /// [`SAID_ANEW_MAX`]; none where it is not in force, or that is not known.
    pub fn said_anew(&self, id: &PolicyId, says: Digest) -> &[Age] {
        self.known(id, says).map_or(&[], |of| &of.anew)
    }

    fn known(&self, id: &PolicyId, says: Digest) -> Option<&Of> {
        // Of a set that nobody knows it is not known either whether it held this one.
        self.is_known().then(|| self.statements.get(id)).flatten().filter(|of| of.says == says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, Sources, load};

    fn set(text: &str) -> Policies {
        let policies = vec![SourceFile::new("p.cedar", text)];
        load(&Sources { policies, ..Sources::default() }).unwrap().policies
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn age(ages: &Ages, policies: &Policies, id: &str) -> Option<(i64, i64)> {
        let statement = policies.statement(&PolicyId::new(id).unwrap()).unwrap();
        let age = ages.of(&statement)?;
        Some((age.since.as_millis() / 60_000, age.perhaps.as_millis() / 60_000))
    }

    const A: &str = "@id(\"a\") permit (principal, action, resource);";
    const B: &str = "@id(\"b\") forbid (principal, action, resource);";

    #[test]
    fn a_statement_is_as_old_as_what_it_says() {
        let (one, two) = (set(A), set(&format!("// moved\n{B}\n{A}")));
        let mut ages = Ages::default();
        for (minute, set) in [(1, &one), (2, &one), (3, &two), (4, &one), (5, &two)] {
            ages.in_force(at(minute), set.digest(), Some(set));
        }
        assert_eq!(age(&ages, &two, "a"), Some((1, 1)));
        assert_eq!(age(&ages, &two, "b"), Some((5, 5)), "it was away in between");
        let other = set("@id(\"a\") permit (principal, action, resource) when { false };");
        ages.in_force(at(6), other.digest(), Some(&other));
        assert_eq!(age(&ages, &other, "a"), Some((6, 6)), "it says something else");
        assert_eq!(age(&ages, &two, "a"), None, "what is not in force has no age");
        let anew = |ages: &Ages, policies: &Policies, id: &str| {
            let statement = policies.statement(&PolicyId::new(id).unwrap()).unwrap();
            let anew = ages.said_anew(&statement.info().reference.id, statement.digest());
            anew.iter().map(|age| age.since.as_millis() / 60_000).collect::<Vec<_>>()
        };
        assert_eq!(anew(&ages, &other, "a"), [1, 6]);
        ages.in_force(at(7), two.digest(), Some(&two));
        assert_eq!((anew(&ages, &two, "a"), anew(&ages, &two, "b")), (vec![1, 6, 7], vec![7]));
        for minute in 8..200 {
            let set = if minute % 2 == 0 { &other } else { &two };
            ages.in_force(at(minute), set.digest(), Some(set));
        }
        let all = anew(&ages, &two, "a");
        assert_eq!((all.len(), all[0], all[63]), (SAID_ANEW_MAX, 1, 199));
    }

    #[test]
    fn what_nobody_knows_makes_a_statement_perhaps_older_never_surely() {
        let (one, two) = (set(A), set(&format!("{A}{B}")));
        let unknown = Digest::from_bytes([7; 32]);
        let mut ages = Ages::default();
        ages.in_force(at(1), unknown, None);
        assert_eq!(age(&ages, &one, "a"), None);
        ages.in_force(at(2), one.digest(), Some(&one));
        assert_eq!(age(&ages, &one, "a"), Some((2, 1)));
        ages.in_force(at(3), unknown, None);
        ages.in_force(at(4), unknown, None);
        ages.in_force(at(5), two.digest(), Some(&two));
        assert_eq!(age(&ages, &two, "a"), Some((2, 1)));
        assert_eq!(age(&ages, &two, "b"), Some((5, 3)));
    }
}
