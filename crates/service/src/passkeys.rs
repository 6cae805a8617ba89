//! Use-cases: a person registers a passkey, proves with it that they meant something, and takes
//! it away. That a signature is right is seen before, by whoever asked for it; here is what only
//! the records can say: whose key it is, that it is known, and that it counts on.

use safeconduct_model::{
    Assurance, Authentication, Body, IdentityId, PASSKEYS_MAX, Passkey, PasskeyId, PasskeyUse,
};
use thiserror::Error;

use crate::access::assurance;
use crate::{ChangeError, Service};

/// Most passkeys in all. More are refused.
pub const PASSKEYS_IN_ALL_MAX: usize = 100_000;

/// Why a passkey is not registered, not taken away, or proves nothing.
#[derive(Debug, Error)]
pub enum PasskeyError {
    /// The caller's fault: nobody of that name may act.
    #[error("`{0}` is not registered, or may not act")]
    NotActive(IdentityId),
    /// The caller's fault: whoever has a passkey registers another by using it.
    #[error("`{0}` has a passkey already: use it to register another")]
    NeedsPasskey(IdentityId),
    /// The caller's fault: nobody takes their own last passkey away, and so no stolen session
    /// makes room for a passkey of its own.
    #[error(
        "this is the last passkey of `{0}`: register another first, or have an administrator \
         remove it"
    )]
    Last(IdentityId),
    /// The caller's fault: the authenticator has given this id before.
    #[error("this passkey is registered already")]
    Taken,
    /// The caller's fault.
    #[error("there are {0} passkeys already: remove one first")]
    TooMany(usize),
    /// The caller's fault: it was never registered, was removed, or is another person's.
    #[error("this passkey is not registered for `{0}`")]
    Unknown(IdentityId),
    /// Two devices have the same key: an attack, or a broken authenticator.
    #[error("this passkey counted {found} after {known}: a copy of it may be in use; remove it")]
    Copied {
        /// What it had counted when it was last seen.
        known: u32,
        /// What it says now.
        found: u32,
    },
    /// It could not be recorded.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Service {
    /// Registers a passkey for its identity. Loud: whoever can do this can answer for them. The
    /// first takes that they signed in; every other takes one that they have, used just now
    /// ([`crate::PASSKEY_FRESH_MS`]), so that a stolen session is no way to a passkey.
    ///
    /// # Errors
    /// [`PasskeyError`] says what does not fit.
    pub async fn register_passkey(
        &self,
        passkey: Passkey,
        by: &Authentication,
    ) -> Result<(), PasskeyError> {
        let (id, identity) = (passkey.id.clone(), passkey.identity.clone());
        let proved = by.identity == identity && assurance(by, self.now()) == Assurance::High;
        let by = &by.identity;
        self.change_of_passkeys(|world| {
            if !world.is_active(&passkey.identity) {
                return Err(PasskeyError::NotActive(passkey.identity));
            }
            if world.passkey(&passkey.id).is_some() {
                return Err(PasskeyError::Taken);
            }
            if world.passkeys.len() >= PASSKEYS_IN_ALL_MAX
                || world.passkeys_of(&passkey.identity).count() >= PASSKEYS_MAX
            {
                return Err(PasskeyError::TooMany(PASSKEYS_MAX));
            }
            // Those for elsewhere prove nothing here.
            let here = world.passkeys_of(&passkey.identity).any(|known| known.rp == passkey.rp);
            if here && !proved {
                return Err(PasskeyError::NeedsPasskey(passkey.identity));
            }
            world.with_passkey(passkey.clone());
            Ok(Body::PasskeyRegistered { passkey: Box::new(passkey), by: by.clone() })
        })
        .await?;
        tracing::warn!(passkey = id.as_str(), %identity, %by, "a passkey was registered");
        Ok(())
    }

    /// Takes a passkey of an identity away: nothing is proved by it any more. Their last one is
    /// for somebody else to take away.
    ///
    /// # Errors
    /// [`PasskeyError`] says what does not fit.
    pub async fn remove_passkey(
        &self,
        id: &PasskeyId,
        identity: &IdentityId,
        by: &IdentityId,
    ) -> Result<(), PasskeyError> {
        self.change_of_passkeys(|world| {
            let known = world.passkey(id).filter(|passkey| passkey.identity == *identity);
            let known = known.ok_or_else(|| PasskeyError::Unknown(identity.clone()))?;
            let here = world.passkeys_of(identity).filter(|other| other.rp == known.rp).count();
            if by == identity && here < 2 {
                return Err(PasskeyError::Last(identity.clone()));
            }
            std::sync::Arc::make_mut(&mut world.passkeys).remove(id);
            let (passkey, identity, by) = (id.clone(), identity.clone(), by.clone());
            Ok(Body::PasskeyRemoved { passkey, identity, by })
        })
        .await?;
        tracing::warn!(passkey = id.as_str(), %identity, %by, "a passkey was removed");
        Ok(())
    }

    /// Records a proof whose signature was checked. Only once this is recorded has it proved
    /// anything.
    ///
    /// # Errors
    /// [`PasskeyError`] says why it proves nothing.
    pub async fn passkey_used(&self, used: PasskeyUse) -> Result<(), PasskeyError> {
        let (id, who) = (used.passkey.clone(), used.identity.clone());
        let found = used.counter;
        let proved = self.change_of_passkeys(|world| {
            if !world.is_active(&used.identity) {
                return Err(PasskeyError::NotActive(used.identity));
            }
            let passkey = world
                .passkey(&used.passkey)
                .filter(|passkey| passkey.identity == used.identity)
                .ok_or_else(|| PasskeyError::Unknown(used.identity.clone()))?;
            let known = passkey.counter;
            // Level 3, section 6.1.1: one that does not count says 0 for ever.
            if (known, used.counter) != (0, 0) && used.counter <= known {
                return Err(PasskeyError::Copied { known, found: used.counter });
            }
            world.passkey_used(&used);
            Ok(Body::PasskeyUsed(Box::new(used)))
        });
        let proved = proved.await;
        if let Err(PasskeyError::Copied { known, .. }) = &proved {
            tracing::warn!(passkey = id.as_str(), identity = %who, known, found, "a copied passkey");
        }
        proved
    }

    async fn change_of_passkeys(
        &self,
        change: impl FnOnce(&mut crate::World) -> Result<Body, PasskeyError>,
    ) -> Result<(), PasskeyError> {
        let mut refused = None;
        self.change(|world| match change(world) {
            Ok(body) => Ok(vec![body]),
            Err(why) => {
                refused = Some(why);
                Ok(Vec::new())
            }
        })
        .await?;
        refused.map_or(Ok(()), Err)
    }
}
