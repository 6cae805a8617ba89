//! The records of a ledger in memory, found as a read model finds them.

use std::sync::Arc;

use safeconduct_ledger::decode;
use safeconduct_model::{Body, EntityId, EntityType, Record, RecordId};
use safeconduct_service::memory::MemoryLedger;
use safeconduct_service::{
    Grown, Page, ReadError, ReadModel, ReadRecord, RecordQuery, SeenAs, UseQuery, UsesPage,
};

/// A read model that has always read everything.
pub(crate) struct MemoryRead(pub(crate) Arc<MemoryLedger>);

impl MemoryRead {
    /// The newest first.
    fn page(&self, fits: impl Fn(u64, &Record) -> bool, limit: usize) -> Page {
        let all = (0..).zip(self.0.entries());
        let read = |(sequence, entry): (u64, safeconduct_service::Entry)| {
            let record = decode(&entry.leaf).unwrap();
            let leaf = String::from_utf8(entry.leaf).unwrap().into();
            fits(sequence, &record).then_some(ReadRecord { sequence, leaf })
        };
        let mut records: Vec<_> = all.filter_map(read).collect();
        records.reverse();
        records.truncate(limit);
        Page { records, read_up_to: self.read_up_to() }
    }
}

fn fits(query: &RecordQuery, sequence: u64, record: &Record) -> bool {
    let decided = match &record.body {
        Body::Decided(decided) => Some(decided),
        _ => None,
    };
    let of_decision = |fits: &dyn Fn(&safeconduct_model::Decided) -> bool| {
        decided.is_some_and(|decided| fits(decided))
    };
    query.kind.as_deref().is_none_or(|kind| record.body.kind() == kind)
        && query.since.is_none_or(|since| record.at >= since)
        && query.until.is_none_or(|until| record.at < until)
        && query.before.is_none_or(|before| sequence < before)
        && query.decision.is_none_or(|wanted| of_decision(&|one| one.decision == wanted))
        && query.action.as_ref().is_none_or(|wanted| of_decision(&|one| one.action == *wanted))
        && query
            .identity
            .as_ref()
            .is_none_or(|wanted| of_decision(&|one| one.session.identity == *wanted))
        && query.policy.as_ref().is_none_or(|wanted| {
            of_decision(&|one| {
                let mut policies = one.reasons.iter().filter_map(|reason| reason.policy.as_ref());
                policies.any(|policy| policy.id == *wanted)
            })
        })
}

impl ReadModel for MemoryRead {
    fn query(&self, query: &RecordQuery) -> Result<Page, ReadError> {
        Ok(self.page(|sequence, record| fits(query, sequence, record), query.limit))
    }

    fn record(&self, id: &RecordId) -> Result<Page, ReadError> {
        Ok(self.page(|_, record| record.id == *id, 1))
    }

    fn from(&self, sequence: u64, limit: usize) -> Result<Page, ReadError> {
        let mut page = self.page(|at, _| at >= sequence, usize::MAX);
        page.records.reverse();
        page.records.truncate(limit);
        Ok(page)
    }

    fn uses(&self, _: &UseQuery) -> Result<UsesPage, ReadError> {
        Ok(UsesPage::default())
    }

    fn entities(
        &self,
        _: SeenAs,
        _: &EntityType,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<EntityId>, ReadError> {
        Ok(Vec::new())
    }

    fn read_up_to(&self) -> u64 {
        self.0.entries().len() as u64
    }

    fn grown_beyond(&self, _: u64) -> Grown<'_> {
        Grown(Box::pin(std::future::pending()))
    }

    fn checkpoint(&self) -> Result<Option<String>, ReadError> {
        Ok(None)
    }
}
