//! What lies beside the record of a step, since it is too large for the record itself: a
//! population, and who reviews which case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use safeconduct_model::{Digest, IdentityId, Tier};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Assigned, Case, FreezeError, GrantKind, Population, REVIEWERS_MAX, Right, Source};

/// Why bytes are not what they should be: whoever wrote them is at fault, or the disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BesideError {
    /// They are not the JSON that they should be.
    #[error("what lies beside the record does not fit: {0}")]
    Form(String),
    /// They are a population that could not have been frozen.
    #[error(transparent)]
    Population(#[from] FreezeError<String>),
}

#[derive(Serialize, Deserialize)]
struct CasesForm<'a> {
    #[serde(borrow)]
    rights: Vec<RightForm<'a>>,
    #[serde(borrow)]
    cases: Vec<CaseForm<'a>>,
}

/// Kind, name, place, words, number of actions, who put it in force: without anybody, the list is
/// left out, as it was before it was known.
#[derive(Serialize, Deserialize)]
struct RightForm<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Option<Cow<'a, str>>,
    #[serde(borrow)] Cow<'a, str>,
    u32,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")] Vec<Cow<'a, str>>,
);

/// Digest, holder, tier, who gave it, which of the rights.
#[derive(Serialize, Deserialize)]
struct CaseForm<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Option<Cow<'a, str>>,
    usize,
);

impl Population {
    /// The cases as bytes: JSON, with what holders share said once.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut places: HashMap<*const Right, usize> = HashMap::new();
        let mut rights = Vec::new();
        let cases = self.cases().iter().map(|case| {
            let place = *places.entry(Arc::as_ptr(&case.what)).or_insert_with(|| {
                let what = &case.what;
                rights.push(RightForm(
                    Cow::Borrowed(what.kind.as_str()),
                    Cow::Borrowed(&*what.name),
                    what.at.as_deref().map(Cow::Borrowed),
                    Cow::Borrowed(&*what.words),
                    what.actions,
                    what.put_by.iter().map(|by| Cow::Borrowed(by.as_str())).collect(),
                ));
                rights.len() - 1
            });
            CaseForm(
                Cow::Owned(case.grant.to_string()),
                Cow::Borrowed(case.holder.as_str()),
                Cow::Borrowed(case.tier.as_str()),
                case.given_by.as_ref().map(|by| Cow::Borrowed(by.as_str())),
                place,
            )
        });
        let cases = cases.collect();
        // Texts and numbers are always JSON.
        serde_json::to_vec(&CasesForm { rights, cases }).unwrap_or_default()
    }

    /// The population of those bytes, read from those sources.
    ///
    /// # Errors
    /// [`BesideError`] says what does not fit. Whether it is the one that was frozen shows its
    /// digest.
    pub fn from_bytes(bytes: &[u8], sources: Vec<Source>) -> Result<Self, BesideError> {
        let form: CasesForm<'_> = read(bytes)?;
        let unfit = |what: &str| BesideError::Form(format!("there is {what}"));
        let rights =
            form.rights.into_iter().map(|RightForm(kind, name, at, words, actions, by)| {
                let kind =
                    GrantKind::parse(&kind).ok_or_else(|| unfit("an unknown kind of source"))?;
                let (name, at) = (Arc::from(name), at.map(Arc::from));
                let put_by = by.iter().map(|by| IdentityId::new(&**by)).collect::<Result<_, _>>();
                let put_by = put_by.map_err(|error| BesideError::Form(error.to_string()))?;
                Ok(Arc::new(Right { kind, name, at, words: words.into(), actions, put_by }))
            });
        let rights = rights.collect::<Result<Vec<_>, BesideError>>()?;
        let mut before: Option<IdentityId> = None;
        let cases = form.cases.into_iter().map(|CaseForm(grant, holder, tier, given_by, place)| {
            let known = before.take().filter(|before| before.as_str() == holder);
            let holder = match known {
                Some(known) => known,
                None => IdentityId::new(&*holder).map_err(|error| error.to_string())?,
            };
            before = Some(holder.clone());
            let given_by = given_by.map(|by| IdentityId::new(&*by)).transpose();
            Ok(Case {
                grant: Digest::parse(&grant).ok_or("there is an unknown digest")?,
                holder,
                tier: Tier::parse(&tier).ok_or("there is an unknown tier")?,
                given_by: given_by.map_err(|error| error.to_string())?,
                what: rights.get(place).cloned().ok_or("a case names no right")?,
            })
        });
        Ok(Self::freeze(cases, sources)?)
    }
}

#[derive(Serialize, Deserialize)]
struct AssignedForm<'a> {
    #[serde(borrow)]
    people: Vec<Cow<'a, str>>,
    /// Lists of people, by their place.
    lists: Vec<Vec<usize>>,
    /// The first case, how many, and which list.
    runs: Vec<(u32, u32, usize)>,
}

/// Who reviews which case, as bytes: JSON, with cases in a row that have the same reviewers said
/// once.
pub fn assigned_to_bytes(assigned: &Assigned) -> Vec<u8> {
    let mut form = AssignedForm { people: Vec::new(), lists: Vec::new(), runs: Vec::new() };
    let mut people: HashMap<&IdentityId, usize> = HashMap::new();
    let mut lists: HashMap<&[IdentityId], usize> = HashMap::new();
    for (number, reviewers) in assigned {
        let list = match lists.get(&**reviewers) {
            Some(list) => *list,
            None => {
                let places = reviewers.iter().map(|who| {
                    *people.entry(who).or_insert_with(|| {
                        form.people.push(Cow::Borrowed(who.as_str()));
                        form.people.len() - 1
                    })
                });
                let places = places.collect();
                form.lists.push(places);
                lists.insert(reviewers, form.lists.len() - 1);
                form.lists.len() - 1
            }
        };
        match form.runs.last_mut() {
            Some((first, count, of)) if *of == list && *first + *count == *number => *count += 1,
            _ => form.runs.push((*number, 1, list)),
        }
    }
    serde_json::to_vec(&form).unwrap_or_default()
}

/// Who reviews which case, of those bytes; at most so many cases.
///
/// # Errors
/// [`BesideError`] says what does not fit.
pub fn assigned_of_bytes(bytes: &[u8], cases: usize) -> Result<Assigned, BesideError> {
    let form: AssignedForm<'_> = read(bytes)?;
    let unfit = |what: &str| BesideError::Form(what.to_owned());
    let people = form.people.iter().map(|who| IdentityId::new(&**who));
    let people =
        people.collect::<Result<Vec<_>, _>>().map_err(|error| unfit(&error.to_string()))?;
    let list = |places: &Vec<usize>| {
        let named = places.iter().map(|place| people.get(*place).cloned());
        let named: Option<Box<[IdentityId]>> = named.collect();
        named.filter(|named| named.len() <= REVIEWERS_MAX)
    };
    let lists: Option<Vec<_>> = form.lists.iter().map(list).collect();
    let lists = lists.ok_or_else(|| unfit("a list of reviewers names nobody"))?;
    let mut assigned = Assigned::new();
    for (first, count, of) in form.runs {
        let end = first.checked_add(count).filter(|end| *end as usize <= cases);
        let end = end.ok_or_else(|| unfit("a run of cases is beyond the last case"))?;
        let reviewers = lists.get(of).ok_or_else(|| unfit("a run of cases names no list"))?;
        assigned.extend((first..end).map(|number| (number, reviewers.clone())));
    }
    Ok(assigned)
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BesideError> {
    serde_json::from_slice(bytes).map_err(|error| BesideError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn id(text: &str) -> IdentityId {
        IdentityId::new(text).unwrap()
    }

    #[test]
    fn a_population_is_read_back_with_its_digest() {
        let right = |name: &str, at: Option<&str>| {
            let kind = GrantKind::Statement;
            let words = "a \"quoted\" word on anything\n".into();
            let (at, put_by) = (at.map(Into::into), at.map(|_| id("bob")).into_iter().collect());
            Arc::new(Right { kind, name: name.into(), at, words, actions: 2, put_by })
        };
        let (one, other) = (right("p", Some("a.cedar:1:1")), right("q", None));
        let case = |n: u8, holder: &str, what: &Arc<Right>| Case {
            grant: Digest::from_bytes([n; 32]),
            holder: id(holder),
            tier: Tier::High,
            given_by: (n == 1).then(|| id("ada")),
            what: Arc::clone(what),
        };
        let cases = [case(1, "a", &one), case(2, "a", &other), case(3, "b", &one)];
        let sources = vec![Source { name: "policies".into(), cursor: "sha256:0".into() }];
        let cases = cases.into_iter().map(Ok::<_, String>);
        let frozen = Population::freeze(cases, sources.clone()).unwrap();
        let bytes = frozen.to_bytes();
        assert_eq!(Population::from_bytes(&bytes, sources).unwrap(), frozen);
        let elsewhere = Population::from_bytes(&bytes, Vec::new()).unwrap();
        assert_ne!(elsewhere.digest(), frozen.digest());
        assert!(Population::from_bytes(b"{}", Vec::new()).is_err());
    }

    /// A population that was frozen before it was known who puts statements in force.
    #[test]
    fn a_population_of_before_is_read() {
        let digest = Digest::from_bytes([1; 32]);
        let old = format!(
            r#"{{"rights":[["statement","p",null,"words",1]],"cases":[["{digest}","a","low",null,0]]}}"#
        );
        let read = Population::from_bytes(old.as_bytes(), Vec::new()).unwrap();
        assert_eq!(read.cases()[0].givers().count(), 0);
        assert_eq!(String::from_utf8(read.to_bytes()).unwrap(), old);
        let known = "sha256:dc971157369cebf146d111bdcd12a9b8483084bde2e9d10a072f1917e6b4dbef";
        assert_eq!(read.digest().to_string(), known, "what was signed stays");
    }

    proptest! {
        #[test]
        fn who_reviews_what_is_read_back(
            all in prop::collection::btree_map(0..200_u32, prop::collection::btree_set(0..20_u8, 1..4), 0..100)
        ) {
            let people = |set: std::collections::BTreeSet<u8>| {
                set.iter().map(|n| id(&format!("p{n}"))).collect::<Box<[_]>>()
            };
            let all: BTreeMap<u32, Box<[IdentityId]>> =
                all.into_iter().map(|(number, set)| (number, people(set))).collect();
            prop_assert_eq!(assigned_of_bytes(&assigned_to_bytes(&all), 200).unwrap(), all);
        }
    }

    #[test]
    fn a_run_beyond_the_last_case_is_refused() {
        let assigned = Assigned::from([(7, vec![id("ada")].into())]);
        let bytes = assigned_to_bytes(&assigned);
        assert!(assigned_of_bytes(&bytes, 7).is_err());
        assert_eq!(assigned_of_bytes(&bytes, 8).unwrap(), assigned);
    }
}
