//! The records of a folder, and the proofs that they are in the log.

use safeconduct_ledger::{Checkpoint, Hash, check_inclusion, decode, leaf_hash};
use safeconduct_model::Record;
use serde::{Deserialize, Serialize};

use crate::{Files, FormError};

/// Most records of one folder. More are refused: a smaller campaign is exported, or the ledger.
pub const RECORDS_MAX: usize = 250_000;

/// Most hashes of one proof: the depth of a tree of 2 to the power of 64 leaves.
const HASHES_MAX: usize = 64;

/// The file of the records, each as it is in the log, one a line.
pub(crate) const RECORDS: &str = "records.ndjson";

/// The file of the proofs, in the order of the records.
pub(crate) const PROOFS: &str = "proofs.ndjson";

/// A record with its place and the proof that it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// Its place in the log.
    pub sequence: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// The hashes from the leaf upwards (RFC 6962 section 2.1.1).
    pub proof: Vec<Hash>,
}

/// A line of the proofs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofForm {
    sequence: u64,
    /// In Base64.
    hashes: Vec<String>,
}

/// Adds both files.
pub(crate) fn write(records: &[Proven], files: &mut Files) {
    let (mut leaves, mut proofs) = (Vec::new(), Vec::new());
    for record in records {
        leaves.extend_from_slice(&record.leaf);
        leaves.push(b'\n');
        let hashes = record.proof.iter().map(ToString::to_string).collect();
        let form = ProofForm { sequence: record.sequence, hashes };
        // Texts and numbers are always JSON.
        proofs.extend(serde_json::to_vec(&form).unwrap_or_default());
        proofs.push(b'\n');
    }
    files.insert(RECORDS.to_owned(), leaves);
    files.insert(PROOFS.to_owned(), proofs);
}

/// Reads both files. Nothing is checked yet but their form and order.
///
/// # Errors
/// [`FormError`].
pub(crate) fn read(records: &[u8], proofs: &[u8]) -> Result<Vec<Proven>, FormError> {
    let leaves = lines(RECORDS, records)?;
    let forms = lines(PROOFS, proofs)?;
    if leaves.len() != forms.len() {
        let problem = format!("there are {} records and {} proofs", leaves.len(), forms.len());
        return Err(FormError::new(PROOFS, forms.len(), problem));
    }
    let mut before: Option<u64> = None;
    let mut all = Vec::with_capacity(leaves.len());
    for ((leaf, form), number) in leaves.into_iter().zip(forms).zip(1..) {
        let no = |problem: String| FormError::new(PROOFS, number, problem);
        let form: ProofForm = serde_json::from_slice(form).map_err(|e| no(e.to_string()))?;
        if before.is_some_and(|before| form.sequence <= before) || form.hashes.len() > HASHES_MAX {
            return Err(no("it is out of order, or too long".to_owned()));
        }
        before = Some(form.sequence);
        let hashes = form.hashes.iter().map(|hash| Hash::parse_hash(hash));
        let proof = hashes.collect::<Result<Vec<_>, _>>();
        let proof = proof.map_err(|_| no("a hash is none".to_owned()))?;
        all.push(Proven { sequence: form.sequence, leaf: leaf.to_vec(), proof });
    }
    Ok(all)
}

fn lines<'a>(file: &str, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, FormError> {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    // Whatever stands behind the last line end is a line that was cut.
    if lines.pop().is_none_or(|rest| !rest.is_empty()) || lines.len() > RECORDS_MAX {
        let problem = format!("the last line has no end, or there are more than {RECORDS_MAX}");
        return Err(FormError::new(file, lines.len(), problem));
    }
    Ok(lines)
}

impl Proven {
    /// The record, where its bytes are one and its proof holds.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn checked(&self, checkpoint: &Checkpoint) -> Result<Record, String> {
        let Checkpoint { size, root } = *checkpoint;
        check_inclusion(&self.proof, size, root, self.sequence, leaf_hash(&self.leaf))
            .map_err(|error| format!("record {}: {error}", self.sequence))?;
        self.record()
    }

    /// The record, where its bytes are one.
    ///
    /// # Errors
    /// They are none.
    pub(crate) fn record(&self) -> Result<Record, String> {
        decode(&self.leaf).map_err(|error| format!("record {}: {error}", self.sequence))
    }
}
