//! New handles of tasks.

use safeconduct_credential::TaskHandle;
use zeroize::Zeroizing;

use crate::NoRandomness;

/// A new handle, of the operating system's randomness.
pub(crate) fn generate() -> Result<TaskHandle, NoRandomness> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|_| NoRandomness)?;
    Ok(TaskHandle::of(&random))
}
