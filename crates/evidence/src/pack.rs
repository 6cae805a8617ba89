//! Making a folder.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::manifest::{MANIFEST, Manifest};
use crate::view::{FoldError, Review};
use crate::{Files, Proven, Replayed, oscal, page, records, replays, sheet};

/// The version of the folder. Another one is made by another way, and so verified by another.
pub(crate) const FORMAT: u32 = 1;

/// The signed checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The key that verifies it, as the exporter has it: a copy from elsewhere is worth more.
pub(crate) const KEY: &str = "ledger.pub";

/// What the folder is about.
pub(crate) const ABOUT: &str = "review.json";

/// What a folder is made of.
#[derive(Debug, Clone)]
pub struct Material {
    /// The campaign.
    pub campaign: String,
    /// The records that tell of it, in their order; at most [`crate::RECORDS_MAX`].
    pub records: Vec<Proven>,
    /// What lies beside those of them that are steps of reviews, by their places.
    pub beside: BTreeMap<u64, Vec<u8>>,
    /// The checkpoint that the proofs lead to, as it was signed.
    pub checkpoint: Vec<u8>,
    /// The key that verifies it.
    pub key: String,
    /// What decisions would have been under the changes of the policies: one replay of each that
    /// was put in force. Without it the folder says nothing of that.
    pub replays: Option<Vec<Replayed>>,
}

/// Why no folder is made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PackError {
    /// A record is none, or too many: the ledger is at fault.
    #[error("{0}")]
    Record(String),
    /// The replays are not of what the records tell: whoever computed them is at fault.
    #[error("{0}")]
    Replays(String),
    /// The records do not make the campaign.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// Makes the folder of that material.
///
/// # Errors
/// [`PackError`].
pub fn pack(material: &Material) -> Result<Files, PackError> {
    let Material { campaign, records, beside, checkpoint, key, replays } = material;
    if records.len() > crate::RECORDS_MAX {
        let limit = crate::RECORDS_MAX;
        let problem =
            format!("{} records tell of it, and a folder has at most {limit}", records.len());
        return Err(PackError::Record(problem));
    }
    let read = records.iter().map(|proven| Ok((proven.sequence, proven.record()?)));
    let read = read.collect::<Result<Vec<_>, String>>().map_err(PackError::Record)?;
    let mut review = Review::of(&read, beside, campaign)?;
    let mut files = Files::new();
    if let Some(replays) = replays {
        let bytes = replays::written(replays);
        review.replays = Some(replays::read(&bytes, &review).map_err(PackError::Replays)?);
        files.insert(replays::REPLAYS.to_owned(), bytes);
    }
    records::write(records, &mut files);
    files.insert(CHECKPOINT.to_owned(), checkpoint.clone());
    files.insert(KEY.to_owned(), format!("{}\n", key.trim()).into_bytes());
    for (sequence, bytes) in beside {
        files.insert(format!("beside/{sequence}"), bytes.clone());
    }
    let derived = derived(&review, &files);
    files.extend(derived);
    let manifest = Manifest::of(&files).to_text().into_bytes();
    files.insert(MANIFEST.to_owned(), manifest);
    Ok(files)
}

/// What is made of the records for people and programs. `sources` are the files that it is made of.
pub(crate) fn derived(review: &Review, sources: &Files) -> Files {
    let mut files = Files::from([
        (ABOUT.to_owned(), about(review)),
        ("index.html".to_owned(), page::page(review)),
        ("cases.csv".to_owned(), sheet::cases(review)),
        ("decisions.csv".to_owned(), sheet::decisions(review)),
        ("steps.csv".to_owned(), sheet::steps(review)),
        ("others.csv".to_owned(), sheet::others(review)),
        ("assessment-results.json".to_owned(), oscal::document(review, sources)),
    ]);
    let replays = review.replays.as_deref().map(sheet::replays);
    files.extend(replays.map(|table| (replays::TABLE.to_owned(), table)));
    files
}

fn about(review: &Review) -> Vec<u8> {
    let of = |effect: &str| review.cases.iter().filter(|case| case.effect == effect).count();
    let about = serde_json::json!({
        "format": FORMAT,
        "campaign": review.id,
        "name": review.name,
        "state": review.state,
        "population": review.population.to_string(),
        "cases": review.cases.len(),
        "effects": {
            "keep": of("keep"),
            "reduce": of("reduce"),
            "suspend": of("suspend"),
            "revoke": of("revoke"),
        },
        "digest": review.digest.to_string(),
        "signed": review.signed.as_ref().map(|signed| serde_json::json!({
            "by": signed.by,
            "at": signed.at.to_string(),
            "over": signed.over.to_string(),
            "record": signed.record,
        })),
        "records": review.steps.len() + review.others.len(),
    });
    let mut text = serde_json::to_vec_pretty(&about).unwrap_or_default();
    text.push(b'\n');
    text
}
