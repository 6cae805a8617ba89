//! What an identity is once what a file or a directory says of it counts.

use std::collections::BTreeSet;

use safeconduct_model::{
    Identity, IdentityId, IdentityKind, IdentityStatus, ImportSource, Imported, Role,
};
use safeconduct_wire::import::Said;
use thiserror::Error;

/// Whose identities somebody may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those without a role in the administration of Safeconduct.
    Plain,
    /// Those with one too.
    Privileged,
}

impl Reach {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Privileged => "privileged",
        }
    }

    /// The reach of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Plain, Self::Privileged].into_iter().find(|reach| reach.as_str() == word)
    }
}

/// Why what is said cannot count. The file or the directory is at fault, or who sent it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MergeError {
    /// It is of another kind.
    #[error("is registered as {}, and an import makes no other kind of it", .0.as_str())]
    Kind(IdentityKind),
    /// Its status was set here.
    #[error("is {} here, and an import does not make it active", .0.as_str())]
    NotActive(IdentityStatus),
    /// Only findings quarantine.
    #[error("an import quarantines nobody: write `suspended`")]
    Quarantine,
    /// Without people who answer for it, it cannot be active.
    #[error("is no user, and cannot be active without `owner` and `fallback_owner`")]
    NoOwner,
    /// It has a role, or would get one.
    #[error("has a role or would get one, which takes the right `identities.change_privileged`")]
    Privileged,
}

impl MergeError {
    /// The field that is at fault.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Kind(_) => "kind",
            Self::NotActive(_) | Self::Quarantine => "status",
            Self::NoOwner => "owner",
            Self::Privileged => "roles",
        }
    }
}

/// The identity that comes of what is said, and of what was known before. What is not said stays
/// as it was.
///
/// # Errors
/// [`MergeError`].
pub fn merged(
    id: &IdentityId,
    known: Option<&Identity>,
    said: &Said,
    from: ImportSource,
    reach: Reach,
) -> Result<Identity, MergeError> {
    let kind = said.kind.or(known.map(|known| known.kind)).unwrap_or(IdentityKind::Workload);
    let mut identity = known.cloned().unwrap_or_else(|| nobody(id.clone(), kind));
    if identity.kind != kind {
        return Err(MergeError::Kind(identity.kind));
    }
    let roles = said.roles.as_ref().is_some_and(|roles| *roles != identity.roles);
    identity.owner = said.owner.clone().or(identity.owner);
    identity.fallback_owner = said.fallback_owner.clone().or(identity.fallback_owner);
    identity.sponsor = said.sponsor.clone().or(identity.sponsor);
    identity.environment = said.environment.clone().or(identity.environment);
    if let Some(groups) = &said.groups {
        identity.groups.clone_from(groups);
    }
    if let Some(roles) = &said.roles {
        identity.roles.clone_from(roles);
    }
    let mut imported =
        identity.imported.take().map_or_else(|| Imported::of(from), |imported| *imported);
    // Who stopped it stands there until they let it go on.
    let stopped = known.is_some_and(|known| known.status != IdentityStatus::Active);
    let other = stopped && imported.suspended && imported.from != from;
    if !other {
        imported.from = from;
    }
    imported.external_id = said.external_id.clone().or(imported.external_id);
    imported.display_name = said.display_name.clone().or(imported.display_name);
    let unowned = known.is_some_and(|known| !is_owned(known));
    let owned = is_owned(&identity);
    let stop = match (imported.suspended, other) {
        (false, _) => Stop::Here,
        (true, false) => Stop::There,
        (true, true) => Stop::Elsewhere,
    };
    (identity.status, imported.suspended) =
        status(known.map(|known| (known.status, stop)), said.status, unowned, owned)?;
    identity.imported = Some(Box::new(imported));
    // INVARIANT: as when an identity is registered by itself: no right to register turns into a
    // right to administer.
    let held = known.is_some_and(|known| !known.roles.is_empty());
    let touched = known != Some(&identity) && (held || !identity.roles.is_empty());
    match reach {
        Reach::Plain if touched || roles => Err(MergeError::Privileged),
        _ => Ok(identity),
    }
}

/// Who suspended what is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Somebody here.
    Here,
    /// Where the import comes from.
    There,
    /// Another place that identities come from.
    Elsewhere,
}

/// Whether it may act, and whether that is so because of where it came from. What nobody answers
/// for is suspended until somebody does.
fn status(
    known: Option<(IdentityStatus, Stop)>,
    said: Option<IdentityStatus>,
    was_unowned: bool,
    owned: bool,
) -> Result<(IdentityStatus, bool), MergeError> {
    use IdentityStatus::{Active, Quarantined, Retired, Suspended};
    match (known, said) {
        (_, Some(Quarantined)) => Err(MergeError::Quarantine),
        (_, Some(Active)) if !owned => Err(MergeError::NoOwner),
        (None, said) => {
            let status = said.unwrap_or(if owned { Active } else { Suspended });
            Ok((status, status == Suspended))
        }
        (Some((Active, _)), said) => {
            let status = said.unwrap_or(Active);
            Ok((status, status == Suspended))
        }
        // Suspended from there: from there it is active again.
        (Some((Suspended, Stop::There)), Some(Active)) => Ok((Active, false)),
        (Some((Suspended, Stop::There)), None) if was_unowned && owned => Ok((Active, false)),
        (Some((status, _)), Some(Active)) => Err(MergeError::NotActive(status)),
        (Some((status, stop)), None) => Ok((status, stop != Stop::Here)),
        // Once it may act again here, it may not there.
        (Some((Quarantined, _)), Some(Suspended)) => Ok((Quarantined, true)),
        // Two have stopped it, and neither lets it go on alone: that is for somebody here.
        (Some((status, stop)), Some(Suspended)) => Ok((status, stop == Stop::There)),
        (Some(_), Some(Retired)) => Ok((Retired, false)),
    }
}

fn is_owned(identity: &Identity) -> bool {
    identity.kind == IdentityKind::User
        || (identity.owner.is_some() && identity.fallback_owner.is_some())
}

/// An identity of which nothing is known yet.
pub fn nobody(id: IdentityId, kind: IdentityKind) -> Identity {
    Identity {
        id,
        kind,
        status: IdentityStatus::Active,
        owner: None,
        fallback_owner: None,
        sponsor: None,
        environment: None,
        groups: BTreeSet::new(),
        pep: None,
        roles: BTreeSet::<Role>::new(),
        imported: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> IdentityId {
        IdentityId::new(text).unwrap()
    }

    fn of(known: Option<&Identity>, said: &Said) -> Result<Identity, MergeError> {
        merged(&id("bot"), known, said, ImportSource::Csv, Reach::Plain)
    }

    fn owned(status: Option<IdentityStatus>) -> Said {
        let (owner, fallback_owner) = (Some(id("ada")), Some(id("bob")));
        Said { kind: Some(IdentityKind::Agent), owner, fallback_owner, status, ..Said::default() }
    }

    #[test]
    fn whom_nobody_answers_for_is_suspended_until_somebody_does() {
        let agent = Said { kind: Some(IdentityKind::Agent), ..Said::default() };
        let lonely = of(None, &agent).unwrap();
        assert_eq!(lonely.status, IdentityStatus::Suspended);
        assert_eq!(of(Some(&lonely), &agent).as_ref(), Ok(&lonely), "again is no change");
        let found = of(Some(&lonely), &owned(None)).unwrap();
        assert_eq!(found.status, IdentityStatus::Active);
        let wanted = Said { status: Some(IdentityStatus::Active), ..agent };
        assert_eq!(of(None, &wanted), Err(MergeError::NoOwner));
    }

    #[test]
    fn what_was_stopped_here_is_not_started_from_there() {
        let known = of(None, &owned(None)).unwrap();
        for status in
            [IdentityStatus::Suspended, IdentityStatus::Quarantined, IdentityStatus::Retired]
        {
            let stopped = Identity { status, ..known.clone() };
            let active = owned(Some(IdentityStatus::Active));
            assert_eq!(of(Some(&stopped), &active), Err(MergeError::NotActive(status)));
            assert_eq!(of(Some(&stopped), &owned(None)).unwrap().status, status);
        }
        let there = of(Some(&known), &owned(Some(IdentityStatus::Suspended))).unwrap();
        assert_eq!(there.status, IdentityStatus::Suspended);
        let back = of(Some(&there), &owned(Some(IdentityStatus::Active))).unwrap();
        assert_eq!(back.status, IdentityStatus::Active);
        let scim = Some(Box::new(Imported { suspended: true, ..Imported::of(ImportSource::Scim) }));
        let (active, off) = (owned(Some(IdentityStatus::Active)), IdentityStatus::Suspended);
        let elsewhere = Identity { status: off, imported: scim, ..known.clone() };
        assert_eq!(of(Some(&elsewhere), &active), Err(MergeError::NotActive(off)));
        let seen = of(Some(&elsewhere), &owned(None)).unwrap();
        assert_eq!(seen, elsewhere, "nor does a file that says nothing of it take it over");
        let both = of(Some(&elsewhere), &owned(Some(off))).unwrap();
        for from in [ImportSource::Csv, ImportSource::Scim] {
            let lifted = merged(&id("bot"), Some(&both), &active, from, Reach::Plain);
            assert_eq!(lifted, Err(MergeError::NotActive(off)), "two stopped it");
        }
        let quarantined = owned(Some(IdentityStatus::Quarantined));
        assert_eq!(of(None, &quarantined), Err(MergeError::Quarantine));
    }

    #[test]
    fn nothing_said_takes_nothing_away() {
        let mut known = of(None, &owned(None)).unwrap();
        known.groups = BTreeSet::from(["clerks".to_owned()]);
        known.sponsor = Some(id("eve"));
        known.pep = Some(safeconduct_model::PepRegistration::default());
        let again = of(Some(&known), &Said::default()).unwrap();
        assert_eq!(again, known);
        let user = Said { kind: Some(IdentityKind::User), ..Said::default() };
        assert_eq!(of(Some(&known), &user), Err(MergeError::Kind(IdentityKind::Agent)));
    }

    #[test]
    fn roles_take_a_right_of_their_own() {
        let roles = Some(BTreeSet::from([Role::Auditor]));
        let said = Said { roles: roles.clone(), ..owned(None) };
        assert_eq!(of(None, &said), Err(MergeError::Privileged));
        let reach = Reach::Privileged;
        let auditor = merged(&id("bot"), None, &said, ImportSource::Csv, reach).unwrap();
        assert_eq!(Some(&auditor.roles), roles.as_ref());
        assert_eq!(of(Some(&auditor), &Said::default()).as_ref(), Ok(&auditor), "nothing changes");
        let moved = Said { environment: Some("test".into()), ..Said::default() };
        assert_eq!(of(Some(&auditor), &moved), Err(MergeError::Privileged));
        let none = Said { roles: Some(BTreeSet::new()), ..Said::default() };
        assert_eq!(of(Some(&auditor), &none), Err(MergeError::Privileged));
    }
}
