//! What records say: a bounded part of the ledger, the newest records first.

use safeconduct_model::{Record, RecordId, Timestamp};
use safeconduct_review::finding::{RECENT_KINDS, STANDING_KINDS, Witness};

use crate::{PAGE_RECORDS_MAX, ReadError, ReadModel, RecordQuery};

/// Most decisions that one look goes over: the newest. Beyond, what is found by them is a sample.
pub const DECISIONS_LOOKED_AT_MAX: usize = 50_000;

/// Most records of another kind that one look goes over: the newest. Beyond, a thing is as old as
/// what is known of it, and some evidence has no record to name.
pub const RECORDS_LOOKED_AT_MAX: usize = 100_000;

/// What the ledger says.
pub(super) struct Evidence {
    pub(super) witness: Witness,
    pub(super) tracked_since: Timestamp,
    pub(super) decisions: u64,
    pub(super) sampled: Vec<&'static str>,
    /// The newest record by which policies came into force, and the newest of intents.
    pub(super) policies: Option<RecordId>,
    pub(super) intents: Option<RecordId>,
}

impl Evidence {
    /// Reads it; `recent` is from when on something is held against anybody.
    pub(super) fn read(
        read: &dyn ReadModel,
        now: Timestamp,
        recent: Timestamp,
    ) -> Result<Self, ReadError> {
        let first = read.from(0, 1)?.records.into_iter().next();
        let first = first.map(|first| decoded(&first.leaf)).transpose()?;
        let newest = |kind: &str| -> Result<Option<RecordId>, ReadError> {
            let query = RecordQuery { kind: Some(kind.into()), limit: 1, ..RecordQuery::default() };
            let newest = read.query(&query)?.records.into_iter().next();
            Ok(newest.map(|newest| decoded(&newest.leaf)).transpose()?.map(|record| record.id))
        };
        let mut evidence = Self {
            witness: Witness::default(),
            tracked_since: first.map_or(now, |first| first.at),
            decisions: 0,
            sampled: Vec::new(),
            policies: newest("policies_loaded")?,
            intents: newest("intents_loaded")?,
        };
        // Who acts in a task is known before signals about it are looked at.
        for kind in STANDING_KINDS {
            evidence.take(read, kind, None, RECORDS_LOOKED_AT_MAX)?;
        }
        for kind in RECENT_KINDS {
            evidence.take(read, kind, Some(recent), RECORDS_LOOKED_AT_MAX)?;
        }
        let most = DECISIONS_LOOKED_AT_MAX;
        evidence.decisions = evidence.take(read, "decision", Some(recent), most)?;
        Ok(evidence)
    }

    fn take(
        &mut self,
        read: &dyn ReadModel,
        kind: &'static str,
        since: Option<Timestamp>,
        most: usize,
    ) -> Result<u64, ReadError> {
        let (mut before, mut taken) = (None, 0);
        loop {
            let limit = PAGE_RECORDS_MAX.min(most - taken);
            if limit == 0 {
                self.sampled.push(kind);
                return Ok(taken as u64);
            }
            let kind = Some(kind.to_owned());
            let query = RecordQuery { kind, since, before, limit, ..RecordQuery::default() };
            let page = read.query(&query)?.records;
            for record in &page {
                self.witness.take(&decoded(&record.leaf)?);
            }
            taken += page.len();
            before = page.last().map(|last| last.sequence);
            if page.len() < limit {
                return Ok(taken as u64);
            }
        }
    }
}

/// A record of the read model.
pub(super) fn decoded(leaf: &str) -> Result<Record, ReadError> {
    safeconduct_ledger::decode(leaf.as_bytes()).map_err(|error| ReadError(error.to_string().into()))
}
