//! `safeconduct server`.

use crate::args::{self, Shared};
use crate::exit::{CommandError, Exit};
use crate::output::say;
use crate::wiring::{gate, runtime, server, telemetry};

/// Serves until it is told to stop.
pub(crate) fn run(shared: &Shared, args: args::Server) -> Result<Exit, CommandError> {
    let project = gate::project(&shared.config)?;
    runtime()?.block_on(async {
        let _telemetry = telemetry::start(project.config.otlp_endpoint.as_deref(), shared.quiet)?;
        for warning in &project.rules.warnings {
            tracing::warn!("{warning}");
        }
        let listen = args.listen.unwrap_or(project.config.listen);
        let running = server::start(project, listen).await?;
        let ending = running.ending()?;
        if let Some(file) = &running.administrator {
            say(&format!("the administrator's token is in {}", file.display()));
        }
        say(&format!("serving on {}", running.url()));
        let socket = running.open_socket(args.idle_exit_s)?;
        say(&format!("wrapped servers join at {}", socket.display()));
        ending.come().await;
        say("stopping");
        running.stop().await;
        Ok(Exit::Ok)
    })
}
