//! `safeconduct trace`: what was wanted, who undertook it and for whom, what was decided and why,
//! what was asked and answered, what credentials there were, what came of it and how it ended: one
//! tree, each line with its record.

mod gather;
mod select;
mod shown;

use safeconduct_ledger::{CheckpointVerifier, ProofError};
use safeconduct_store::{ProveError, Prover, VERIFIER_KEY};
use safeconduct_wire::json::from_serde;

use self::select::{Selected, Subject};
use crate::args::{self, Shared};
use crate::client::Client;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print};
use crate::story::Placed;
use crate::wiring::{project, runtime};

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Trace) -> Result<Exit, CommandError> {
    let args::Trace { id, proof, key, source } = args;
    let subject = Subject::parse(&id);
    let selected = if source.is_local() {
        select::select(&gather::Files { shared, source: &source }, &subject)?
    } else {
        let (records, more) = runtime()?.block_on(async {
            let client = Client::new(shared, &source.remote)?;
            gather::candidates(&client, &subject).await
        })?;
        let Selected { records, cut } = select::select(&records, &subject)?;
        Selected { records, cut: cut || more }
    };
    if selected.records.is_empty() {
        return Err(CommandError::Failed(format!(
            "no record tells of `{id}`: name a task, a session as IDENTITY/SCOPE, or a record"
        )));
    }
    let proofs = if proof { Some(Proofs::of(shared, key, &selected.records)?) } else { None };
    match shared.output {
        Format::Json | Format::Yaml => {
            let document = shown::document(&subject, &selected, proofs.as_ref());
            print(&output::document(shared.output, &document)?)?;
        }
        _ => print(&shown::text(&subject, &selected, proofs.as_ref()))?,
    }
    Ok(if proofs.is_none_or(|proofs| proofs.hold()) { Exit::Ok } else { Exit::Failure })
}

/// What was proved of each record, in their order.
struct Proofs {
    size: u64,
    root: String,
    each: Vec<Proved>,
}

/// What was proved of one record.
enum Proved {
    /// It is in the tree that was signed; the hashes show it.
    Yes(Vec<String>),
    /// It is newer than the checkpoint.
    Unsigned,
    /// It is not there, and why that is said.
    No(String),
}

impl Proofs {
    fn of(
        shared: &Shared,
        key: Option<std::path::PathBuf>,
        records: &[Placed],
    ) -> Result<Self, CommandError> {
        let config = project::read_config(&shared.config)?;
        let key = key.unwrap_or_else(|| config.keys.join(VERIFIER_KEY));
        let named = key.display().to_string();
        let text = std::fs::read_to_string(&key).map_err(|error| failed(&named, error))?;
        let verifier =
            CheckpointVerifier::parse(text.trim()).map_err(|error| failed(&named, error))?;
        let data = config.data.display().to_string();
        let prover = Prover::open(&config.data, &verifier).map_err(|error| failed(&data, error))?;
        let each = records.iter().map(|placed| proved(&prover, placed)).collect();
        let checkpoint = prover.checkpoint();
        Ok(Self { size: checkpoint.size, root: checkpoint.root.to_string(), each })
    }

    /// Whether nothing was found that is not in the tree although it should be.
    fn hold(&self) -> bool {
        !self.each.iter().any(|one| matches!(one, Proved::No(_)))
    }
}

fn proved(prover: &Prover, placed: &Placed) -> Proved {
    let leaf = safeconduct_ledger::canonical(&from_serde(&placed.record));
    match prover.prove(placed.sequence, &leaf) {
        Ok(hashes) => Proved::Yes(hashes.iter().map(ToString::to_string).collect()),
        Err(ProveError::Proof(ProofError::OutOfRange { .. })) => Proved::Unsigned,
        Err(error) => Proved::No(error.to_string()),
    }
}
