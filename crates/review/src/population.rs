//! The frozen population of a campaign: every right that it is about, counted and hashed.

use std::fmt;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, Tier};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::GrantKind;

/// Most rights of one campaign.
pub const CASES_MAX: usize = 1_000_000;

/// One right under review, as it stood when the campaign began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The right: a digest of where it comes from and what it permits.
    pub grant: Digest,
    /// Who holds it.
    pub holder: IdentityId,
    /// The highest tier of what it permits.
    pub tier: Tier,
    /// Who gave it, where that is known: they do not review it.
    pub given_by: Option<IdentityId>,
    /// What it is; the same value for all who hold it.
    pub what: Arc<Right>,
}

/// What a right is, in words that stay as they were when the campaign began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// What kind of thing gives it.
    pub kind: GrantKind,
    /// Which one, by name: policy, intent and version, record, lease.
    pub name: Arc<str>,
    /// Where that stands, for a statement: `file:line:column`.
    pub at: Option<Arc<str>>,
    /// What it permits, in words: at most [`WORDS_BYTES_MAX`].
    pub words: Arc<str>,
    /// How many actions it is about.
    pub actions: u32,
    /// Who put it in force for all who hold it, where that is known: the author and the approver of
    /// the change of the policies by which it came. They do not review it.
    pub put_by: Vec<IdentityId>,
}

impl Case {
    /// Everyone who gave it, as far as that is known: none of them reviews it.
    pub fn givers(&self) -> impl Iterator<Item = &IdentityId> {
        self.given_by.iter().chain(&self.what.put_by)
    }

    /// Whether that person gave it.
    pub fn is_given_by(&self, who: &IdentityId) -> bool {
        self.givers().any(|giver| giver == who)
    }
}

/// Longest words for a right, in bytes.
pub const WORDS_BYTES_MAX: usize = 512;

/// Where a population was read: a cursor of each source, so that it can be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which source: `policies`, `ledger`, `directory`.
    pub name: Arc<str>,
    /// How far: a digest, a sequence number.
    pub cursor: Arc<str>,
}

/// All rights of a campaign. Nothing is ever added to it or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    cases: Arc<[Case]>,
    sources: Vec<Source>,
    digest: Digest,
}

/// Why a population cannot be frozen. Nothing is reviewed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FreezeError<E> {
    /// A source could not be read to its end.
    #[error("the population is not complete: {0}")]
    Partial(E),
    /// The same right of the same holder came twice: the reader's fault.
    #[error("`{holder}` holds the same right twice")]
    Twice {
        /// Who.
        holder: IdentityId,
    },
    /// Narrow the scope.
    #[error("a campaign is about at most {CASES_MAX} rights: narrow its scope")]
    TooMany,
    /// There is nothing to review: widen the scope.
    #[error("no right is in the scope of the campaign")]
    Nothing,
}

impl Population {
    /// Reads and freezes: all of it, or nothing. The order in which cases come does not matter.
    ///
    /// # Errors
    /// [`FreezeError`]; the first error of a source refuses the whole.
    pub fn freeze<E: fmt::Debug>(
        cases: impl IntoIterator<Item = Result<Case, E>>,
        sources: Vec<Source>,
    ) -> Result<Self, FreezeError<E>> {
        let mut all = Vec::new();
        for case in cases {
            if all.len() == CASES_MAX {
                return Err(FreezeError::TooMany);
            }
            all.push(case.map_err(FreezeError::Partial)?);
        }
        if all.is_empty() {
            return Err(FreezeError::Nothing);
        }
        all.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut hash = Sha256::new();
        let mut before: Option<&Case> = None;
        for case in &all {
            if before.is_some_and(|before| key(before) == key(case)) {
                return Err(FreezeError::Twice { holder: case.holder.clone() });
            }
            feed(&mut hash, case);
            before = Some(case);
        }
        for Source { name, cursor } in &sources {
            text(&mut hash, name);
            text(&mut hash, cursor);
        }
        let digest = Digest::from_bytes(hash.finalize().into());
        Ok(Self { cases: all.into(), sources, digest })
    }

    /// The cases, by holder and right. A case's number is its place here.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Where it was read.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// SHA-256 over every case in order and the sources.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn key(case: &Case) -> (&IdentityId, &[u8; 32]) {
    (&case.holder, case.grant.as_bytes())
}

fn feed(hash: &mut Sha256, case: &Case) {
    hash.update(case.grant.as_bytes());
    text(hash, case.holder.as_str());
    text(hash, case.tier.as_str());
    // No name has a line end: without anybody who put it in force it is what it always was.
    let mut given = case.given_by.as_ref().map_or("", IdentityId::as_str).to_owned();
    for by in &case.what.put_by {
        given.push('\n');
        given.push_str(by.as_str());
    }
    text(hash, &given);
    let what = &case.what;
    text(hash, what.kind.as_str());
    text(hash, &what.name);
    text(hash, what.at.as_deref().unwrap_or(""));
    text(hash, &what.words);
    hash.update(what.actions.to_be_bytes());
}

/// Length first, so that no two lists of texts feed the same bytes.
fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(holder: &str, grant: u8) -> Case {
        Case {
            grant: Digest::from_bytes([grant; 32]),
            holder: IdentityId::new(holder).unwrap(),
            tier: Tier::Moderate,
            given_by: None,
            what: right("p"),
        }
    }

    fn right(name: &str) -> Arc<Right> {
        Arc::new(Right {
            kind: GrantKind::Statement,
            name: name.into(),
            at: Some("a.cedar:1:1".into()),
            words: "files.read on anything".into(),
            actions: 1,
            put_by: Vec::new(),
        })
    }

    fn freeze(cases: &[Case]) -> Result<Population, FreezeError<()>> {
        Population::freeze(cases.iter().cloned().map(Ok), Vec::new())
    }

    #[test]
    fn order_does_not_matter_and_every_member_does() {
        let (a, b) = (case("a", 1), case("b", 2));
        let one = freeze(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(one, freeze(&[b.clone(), a.clone()]).unwrap());
        let higher = Case { tier: Tier::High, ..a.clone() };
        let given = Case { given_by: Some(IdentityId::new("g").unwrap()), ..a.clone() };
        let said = Case { what: right("q"), ..a.clone() };
        let g = || IdentityId::new("g").unwrap();
        let put_by = |put_by| Arc::new(Right { put_by, ..Right::clone(&a.what) });
        let put = Case { what: put_by(vec![g()]), ..a.clone() };
        let both = Case { what: put_by(vec![g(), g()]), ..a.clone() };
        let one_of_both = Case { what: put_by(vec![g()]), ..given.clone() };
        let digests = [&given, &put, &both, &one_of_both, &a]
            .map(|case| freeze(std::slice::from_ref(case)).unwrap().digest().to_string());
        assert_eq!(std::collections::BTreeSet::from(digests).len(), 5);
        for other in [higher, given, said, put, case("a", 3), case("c", 1)] {
            assert_ne!(one.digest(), freeze(&[other, b.clone()]).unwrap().digest());
        }
    }

    #[test]
    fn a_population_is_complete_or_refused() {
        let broken = [Ok(case("a", 1)), Err("the policies could not be read")];
        let refused = Population::freeze(broken, Vec::new());
        assert_eq!(refused, Err(FreezeError::Partial("the policies could not be read")));
        assert_eq!(freeze(&[]), Err(FreezeError::Nothing));
        let twice = freeze(&[case("a", 1), case("b", 1), case("a", 1)]);
        assert_eq!(twice, Err(FreezeError::Twice { holder: IdentityId::new("a").unwrap() }));
    }
}
