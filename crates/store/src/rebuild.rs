//! Building what is derived again from the segments.

use std::io;
use std::sync::Arc;

use crate::keys;
use crate::open;
use crate::options::StoreOptions;
use crate::read_model;
use crate::segment::RealDisk;
use crate::store::{OpenError, Store};
use crate::tlog;

impl Store {
    /// Throws the read model and the published tiles away and builds them again from the segments.
    /// The checkpoint that was published before is compared with the ledger first; where they do not
    /// agree, nothing is thrown away. The data folder must not be in use. Returns how many records there are. Blocks until it is done.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn rebuild(options: StoreOptions) -> Result<u64, OpenError> {
        let lock = open::take_folder(&options.data)?;
        let data = options.data.clone();
        let io = |source| OpenError::Io { path: data.clone(), source };
        let key = keys::signing_key(&options.keys, &options.origin)?;
        open::recover(&data, &RealDisk, &key)?;
        read_model::remove(&data).map_err(io)?;
        tlog::remove_tiles(&data).map_err(io)?;
        let store = Self::open_locked(options, Arc::new(RealDisk), lock)?;
        let (records, followed) = (store.records(), store.read_model.followed.clone());
        // Closing waits until everything is derived, or cannot be.
        store.close();
        let reached = *followed.borrow();
        if reached.applied == records && reached.published == Some(records) {
            Ok(records)
        } else {
            Err(io(io::Error::other("not everything could be derived; the log says why")))
        }
    }
}
