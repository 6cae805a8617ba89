//! The listener's certificate: read at the start, and again when it changes.

use std::fs;
use std::time::Duration;

use safeconduct_api::{ClientAuthentication, Tls};
use safeconduct_wire::config::{self, ClientCertificatesWord};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::exit::{CommandError, failed};

/// How often it is looked whether the certificate has changed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What the listener proves itself by, and where that comes from.
pub(crate) struct Certificate {
    files: config::ListenTls,
    read: Pem,
    pub(crate) tls: Tls,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Pem {
    fn read(files: &config::ListenTls) -> Result<Self, CommandError> {
        let read = |file: &std::path::Path| {
            fs::read(file).map_err(|error| failed(&format!("tls: `{}`", file.display()), error))
        };
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)?.into() })
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read or used.
    pub(crate) fn read(files: &config::ListenTls) -> Result<Self, CommandError> {
        let read = Pem::read(files)?;
        let clients = match files.client_certificates {
            ClientCertificatesWord::None => ClientAuthentication::None,
            ClientCertificatesWord::Accepted => ClientAuthentication::Accepted,
            ClientCertificatesWord::Required => ClientAuthentication::Required,
        };
        let tls = Tls::new(&read.certificate, &read.key, clients);
        let tls = tls.map_err(|error| failed("tls", error))?;
        Ok(Self { files: files.clone(), read, tls })
    }

    /// Reads the files again on SIGHUP and when they have changed, until told to stop. Where the
    /// new ones do not fit, those before stay.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = hung_up => {}
                _ = every.tick() => {}
            }
            if let Err(error) = self.look() {
                tracing::error!("the certificate before stays in use: {error}");
            }
        }
    }

    fn look(&mut self) -> Result<(), CommandError> {
        let now = Pem::read(&self.files)?;
        if now != self.read {
            let renewed = self.tls.renew(&now.certificate, &now.key);
            renewed.map_err(|error| failed("tls", error))?;
            self.read = now;
            tracing::info!("the listener has a new certificate");
        }
        Ok(())
    }
}
