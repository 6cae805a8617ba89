//! How long it takes until a role in PostgreSQL is proved gone after its task has ended.

use std::process::Command;

use safeconduct_tests::leases::{gone_ms, project};
use safeconduct_tests::postgres::Cluster;
use safeconduct_tests::server::Server;

use crate::report;
use crate::rounds::{median, quantile};
use crate::section::{Failure, Section, Target};

const ROUNDS: usize = 200;

/// Measures, or says why not.
pub(crate) fn measure() -> Result<Section, Failure> {
    let mut section = Section::new("Leases in PostgreSQL");
    let safeconduct = report::folder().join("../target/release/safeconduct");
    if !safeconduct.exists() {
        section.line("Left out: `safeconduct` is not there (`make build`).");
        return Ok(section);
    }
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => {
            section.line(format!("Left out: {why}."));
            return Ok(section);
        }
    };
    let project = project(&cluster);
    let server = Server::try_start(&project, Command::new(safeconduct))?;
    let took = gone_ms(&cluster, &server, ROUNDS);
    server.stop();
    section.targets();
    section.target("lease_gone_ms_p50", median(&took), Target::AtMost(100.0));
    section.number("lease_gone_ms_p99", quantile(&took, 0.99));
    section.line("");
    section.line(format!(
        "From the answer to `POST /v1/tasks/{{id}}/end` until the server has proved that the role \
         leased for the task is gone: sessions ended, privileges cleared, role dropped, a login \
         refused, the role not listed. PostgreSQL runs on the same machine with its own defaults; \
         one task at a time, {ROUNDS} of them; p99 {:.1} ms.",
        quantile(&took, 0.99),
    ));
    Ok(section)
}
