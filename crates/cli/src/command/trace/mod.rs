//! `safeconduct trace`: what was wanted, who undertook it and for whom, what was decided and why,
//! what was asked and answered, what credentials there were, what came of it and how it ended: one
//! tree, each line with its record.

mod gather;
mod permitted;
mod select;
mod shown;

use safeconduct_ledger::{CheckpointVerifier, ProofError};
use safeconduct_store::{ProveError, Prover, VERIFIER_KEY};
use safeconduct_wire::json::from_serde;

use self::select::{Selected, Subject};
use crate::args::{self, Shared};
use crate::client::Client;
use crate::command::records::moment;
use crate::exit::{CommandError, Exit, failed};
use crate::output::{self, Format, print};
use crate::story::Placed;
use crate::wiring::{project, runtime};

/// Runs the command.
pub(crate) fn run(shared: &Shared, args: args::Trace) -> Result<Exit, CommandError> {
    let args::Trace { id, proof, key, as_of, source } = args;
    let subject = Subject::parse(&id);
    let as_of = as_of.as_deref().map(moment).transpose()?;
    let selected = if source.is_local() || as_of.is_some() {
        let files = gather::Files { shared, source: &source, until: as_of };
        select::select(&files, &subject)?
    } else {
        let (records, more) = runtime()?.block_on(async {
            let client = Client::new(shared, &source.remote)?;
            gather::candidates(&client, &subject).await
        })?;
        let Selected { records, cut } = select::select(&records, &subject)?;
        Selected { records, cut: cut || more }
    };
    if selected.records.is_empty() {
        let then = as_of.map(|at| format!(" at {at}")).unwrap_or_default();
        return Err(CommandError::Failed(format!(
            "no record tells of `{id}`{then}: name a task, a session as IDENTITY/SCOPE, or a record"
        )));
    }
    // An export or a server elsewhere is of another ledger than the folder, for all that is known.
    let folder = source.offline || as_of.is_some() || source.remote.url.is_none();
    let proofs = match source.export.is_none() && folder {
        true => Proofs::of(shared, key, &selected.records).map_err(|error| error.to_string()),
        false => Err("the data folder that the records are in is not at hand".to_owned()),
    };
    if let (true, Err(why)) = (proof, &proofs) {
        return Err(CommandError::Failed(why.clone()));
    }
    let permitted = as_of.map(|at| permitted::Permitted::of(shared, at, &selected.records));
    let permitted = permitted.transpose()?;
    let told = shown::Told { subject: &subject, selected: &selected, proofs: &proofs };
    match shared.output {
        Format::Json | Format::Yaml => {
            let document = shown::document(&told, permitted.as_ref());
            print(&output::document(shared.output, &document)?)?;
        }
        _ => {
            print(&shown::text(&told))?;
            if let Some(permitted) = &permitted {
                print(&permitted.text())?;
            }
        }
    }
    Ok(if proofs.is_ok_and(|proofs| !proofs.hold()) { Exit::Failure } else { Exit::Ok })
}

/// What was proved of each record, in their order.
struct Proofs {
    size: u64,
    root: String,
    /// The checkpoint as it was signed.
    note: String,
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
        let (size, root) = (checkpoint.size, checkpoint.root.to_string());
        let note = String::from_utf8_lossy(prover.note()).into_owned();
        Ok(Self { size, root, note, each })
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
