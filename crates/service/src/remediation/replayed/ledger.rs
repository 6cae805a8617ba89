//! The records that a replay of one right goes over.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use safeconduct_model::{Body, Decided, Identity, IdentityId, Mode, Record, RecordId, Timestamp};
use safeconduct_review::Remediation;

use super::{VERIFY_DECISIONS_MAX, VERIFY_LOOKED_AT_MAX, Wanted, came_of_it, is_late};
use crate::remediation::RemediateError;
use crate::{
    Attached, LaidBeside, Ledger, PAGE_RECORDS_MAX, ReadModel, ReadRecord, RecordQuery, Service,
};

/// Most changes of identities that are gone back over: of those who changed before, nothing is
/// known.
const IDENTITY_CHANGES_MAX: usize = 100_000;

/// A record of the ledger: of those that are asked for, a permit that came of the right.
pub(super) struct Permit {
    pub(super) sequence: u64,
    pub(super) record: Record,
}

impl Permit {
    pub(super) const fn id(&self) -> &RecordId {
        &self.record.id
    }

    /// Whether a Deny in its place would have been carried out.
    pub(super) fn is_enforced(&self) -> bool {
        self.decided().is_some_and(|decided| decided.mode == Mode::Enforce)
    }

    pub(super) fn decided(&self) -> Option<&Decided> {
        match &self.record.body {
            Body::Decided(decided) => Some(decided),
            _ => None,
        }
    }
}

/// Those that were found.
pub(super) struct Found {
    /// The oldest first.
    pub(super) permits: Vec<Permit>,
    /// Whether there are more, which are older.
    pub(super) more: bool,
}

/// The newest permits that came of a right within a window.
pub(super) fn permits(
    service: &Service,
    one: &Remediation,
    wanted: &Wanted,
    (since, until): (Timestamp, Timestamp),
    read: &dyn ReadModel,
) -> Result<Found, RemediateError> {
    let begun = service.now();
    let (mut permits, mut more) = (Vec::<Permit>::new(), false);
    for query in &wanted.queries {
        let (mut before, mut looked_at) = (None, 0);
        loop {
            let page = RecordQuery {
                since: Some(since),
                until: Some(until),
                before,
                limit: PAGE_RECORDS_MAX,
                ..query.clone()
            };
            let page = read.query(&page)?.records;
            looked_at += page.len();
            let last = page.last().map(|read| read.sequence);
            let found = page.into_iter().filter_map(decoded).filter(|permit| {
                let within = since <= permit.record.at && permit.record.at < until;
                let decided = permit.decided();
                within && decided.is_some_and(|decided| came_of_it(one, &wanted.names, decided))
            });
            permits.extend(found);
            if last.is_none() {
                break;
            }
            if permits.len() > VERIFY_DECISIONS_MAX
                || looked_at >= VERIFY_LOOKED_AT_MAX
                || is_late(service, begun)
            {
                more = true;
                break;
            }
            before = last;
        }
    }
    permits.sort_by_key(|permit| std::cmp::Reverse(permit.sequence));
    permits.dedup_by_key(|permit| permit.sequence);
    more |= permits.len() > VERIFY_DECISIONS_MAX;
    permits.truncate(VERIFY_DECISIONS_MAX);
    permits.reverse();
    Ok(Found { permits, more })
}

fn decoded(read: ReadRecord) -> Option<Permit> {
    let record = safeconduct_ledger::decode(read.leaf.as_bytes()).ok()?;
    Some(Permit { sequence: read.sequence, record })
}

/// Identities as they changed: where, and to what; the oldest first.
pub(super) fn identities(
    who: &BTreeSet<IdentityId>,
    read: &dyn ReadModel,
) -> Result<Vec<(u64, Identity)>, RemediateError> {
    let mut all = Vec::new();
    let mut looked_at = 0;
    let mut each = |at: u64, record: Record| {
        if let Body::IdentityChanged { identity, .. } = record.body
            && who.contains(&identity.id)
        {
            all.push((at, identity));
        }
    };
    of_kind("identity_changed", read, |permit| {
        looked_at += 1;
        each(permit.sequence, permit.record);
        looked_at < IDENTITY_CHANGES_MAX
    })?;
    all.reverse();
    Ok(all)
}

/// The records of a kind, the newest first, for as long as they are wanted.
pub(super) fn of_kind(
    kind: &str,
    read: &dyn ReadModel,
    mut each: impl FnMut(Permit) -> bool,
) -> Result<(), RemediateError> {
    let mut before = None;
    loop {
        let query = RecordQuery {
            kind: Some(kind.to_owned()),
            before,
            limit: PAGE_RECORDS_MAX,
            ..RecordQuery::default()
        };
        let page = read.query(&query)?.records;
        before = page.last().map(|read| read.sequence);
        if before.is_none() || !page.into_iter().filter_map(decoded).all(&mut each) {
            return Ok(());
        }
    }
}

/// What lies beside a record of our own ledger.
struct Lying {
    ledger: Arc<dyn Ledger>,
    sequence: u64,
}

impl LaidBeside for Lying {
    fn read(&self) -> io::Result<Vec<u8>> {
        let read = self.ledger.attachment(self.sequence).map_err(io::Error::other)?;
        read.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) fn beside(service: &Service, sequence: u64) -> Attached {
    Attached::Here(Arc::new(Lying { ledger: Arc::clone(&service.ledger), sequence }))
}
