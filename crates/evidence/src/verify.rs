//! Verifying a folder, with nothing but the folder and a key.

use std::collections::BTreeMap;

use safeconduct_ledger::{Checkpoint, CheckpointVerifier};
use serde::Deserialize;

use crate::manifest::{MANIFEST, Manifest};
use crate::pack::{ABOUT, CHECKPOINT, FORMAT, KEY, derived};
use crate::view::Review;
use crate::{Files, records, replays};

/// Most problems that are told. There may be more.
pub const PROBLEMS_MAX: usize = 100;

/// Where the key came from that the checkpoint was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFrom {
    /// From whoever verifies.
    Given,
    /// From the folder itself: that shows that the folder is whole, not whose it is.
    Folder,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What is wrong; nothing where everything holds. At most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// How many records were proved.
    pub records: usize,
    /// What was signed, where that holds.
    pub checkpoint: Option<Checkpoint>,
    /// Where the key came from.
    pub key: KeyFrom,
    /// The campaign, where its records fold.
    pub review: Option<Review>,
}

impl Verified {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.problems.is_empty() && self.review.is_some() && self.checkpoint.is_some()
    }
}

/// What of the description is needed to read the rest.
#[derive(Deserialize)]
struct About {
    format: u32,
    campaign: String,
}

/// Holds a folder against a key of the ledger; against the one in the folder where none is given.
pub fn verify(files: &Files, key: Option<&CheckpointVerifier>) -> Verified {
    let from = if key.is_some() { KeyFrom::Given } else { KeyFrom::Folder };
    let mut verified =
        Verified { problems: Vec::new(), records: 0, checkpoint: None, key: from, review: None };
    if let Err(problem) = all(files, key, &mut verified) {
        verified.problems.push(problem);
    }
    verified.problems.truncate(PROBLEMS_MAX);
    verified
}

fn all(
    files: &Files,
    key: Option<&CheckpointVerifier>,
    verified: &mut Verified,
) -> Result<(), String> {
    let file = |name: &str| files.get(name).ok_or_else(|| format!("`{name}` is missing"));
    let manifest = Manifest::parse(file(MANIFEST)?).map_err(|error| error.to_string())?;
    verified.problems.extend(manifest.problems(files));
    let about: About = serde_json::from_slice(file(ABOUT)?)
        .map_err(|error| format!("`{ABOUT}` is not what it must be: {error}"))?;
    if about.format != FORMAT {
        let format = about.format;
        return Err(format!("this is a folder of version {format}; this program knows {FORMAT}"));
    }
    let checkpoint = checkpoint(file(CHECKPOINT)?, file(KEY)?, key)?;
    let proven = records::read(file(records::RECORDS)?, file(records::PROOFS)?);
    let proven = proven.map_err(|error| error.to_string())?;
    let mut read = Vec::with_capacity(proven.len());
    for one in &proven {
        match one.checked(&checkpoint) {
            Ok(record) => read.push((one.sequence, record)),
            Err(problem) if verified.problems.len() < PROBLEMS_MAX => {
                verified.problems.push(problem);
            }
            Err(_) => {}
        }
    }
    verified.records = read.len();
    verified.checkpoint = Some(checkpoint);
    if read.len() != proven.len() {
        return Ok(());
    }
    let beside = beside(files)?;
    let review = Review::of(&read, &beside, &about.campaign);
    let mut review = review.map_err(|error| error.to_string())?;
    // Folders of before have none.
    let told = files.get(replays::REPLAYS).map(|bytes| replays::read(bytes, &review));
    review.replays = told.transpose()?;
    for (name, bytes) in derived(&review, &sources(files)) {
        if files.get(&name) != Some(&bytes) {
            verified.problems.push(format!("`{name}` is not what the records say"));
        }
    }
    verified.review = Some(review);
    Ok(())
}

fn checkpoint(
    note: &[u8],
    own: &[u8],
    key: Option<&CheckpointVerifier>,
) -> Result<Checkpoint, String> {
    let own = String::from_utf8_lossy(own);
    let own = CheckpointVerifier::parse(&own).map_err(|error| format!("`{KEY}`: {error}"))?;
    let checkpoint = own.verify(note).map_err(|error| format!("`{CHECKPOINT}`: {error}"))?;
    match key {
        Some(key) => key
            .verify(note)
            .map_err(|error| format!("`{CHECKPOINT}`, by the key that was given: {error}")),
        None => Ok(checkpoint),
    }
}

/// What lies beside records, by their places.
fn beside(files: &Files) -> Result<BTreeMap<u64, Vec<u8>>, String> {
    let mut beside = BTreeMap::new();
    for (name, bytes) in files {
        let Some(place) = name.strip_prefix("beside/") else { continue };
        let sequence = place.parse::<u64>().ok().filter(|number| number.to_string() == place);
        let sequence = sequence.ok_or_else(|| format!("`{name}` names no record"))?;
        beside.insert(sequence, bytes.clone());
    }
    Ok(beside)
}

/// The files that the others are made of.
fn sources(files: &Files) -> Files {
    let source = |name: &str| {
        [CHECKPOINT, KEY, records::RECORDS, records::PROOFS, replays::REPLAYS].contains(&name)
            || name.starts_with("beside/")
    };
    let found = files.iter().filter(|(name, _)| source(name));
    found.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}
