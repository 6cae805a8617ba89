//! The records of passkeys, there and back.

use safeconduct_model::{Body, Passkey, PasskeyUse};

use super::decode::{digest, name, parse, shared, time};
use super::encode::Object;
use super::form;
use super::{DecodeError, EncodeError};

pub(super) fn write_passkey(passkey: &Passkey, o: &mut Object<'_>) -> Result<(), EncodeError> {
    o.text("aaguid", &passkey.aaguid);
    o.number("counter", u64::from(passkey.counter));
    o.text("id", passkey.id.as_str());
    o.text("identity", passkey.identity.as_str());
    o.text("key", &passkey.key);
    o.text("name", &passkey.name);
    o.time("registered_at", passkey.registered_at)?;
    o.text("rp", &passkey.rp);
    o.truth("synced", passkey.synced);
    Ok(())
}

pub(super) fn write_use(used: &PasskeyUse, o: &mut Object<'_>) {
    o.digest("about", "sha256:", used.about.as_bytes());
    o.text("authenticator_data", &used.authenticator_data);
    o.text("client_data", &used.client_data);
    o.number("counter", u64::from(used.counter));
    o.text("identity", used.identity.as_str());
    o.digest("nonce", "sha256:", used.nonce.as_bytes());
    o.text("passkey", used.passkey.as_str());
    o.text("signature", &used.signature);
}

/// The body of a kind that this module knows.
pub(super) fn body(kind: &str, json: &[u8]) -> Result<Option<Body>, DecodeError> {
    Ok(Some(match kind {
        "passkey_registered" => {
            let form: form::PasskeyRegistered<'_> = parse(json)?;
            let passkey = Box::new(passkey(&form.passkey)?);
            Body::PasskeyRegistered { passkey, by: name("by", &form.by)? }
        }
        "passkey_removed" => {
            let form: form::PasskeyRemoved<'_> = parse(json)?;
            Body::PasskeyRemoved {
                passkey: name("passkey", &form.passkey)?,
                identity: name("identity", &form.identity)?,
                by: name("by", &form.by)?,
            }
        }
        "passkey_used" => {
            let form: form::PasskeyUsed<'_> = parse(json)?;
            Body::PasskeyUsed(Box::new(PasskeyUse {
                passkey: name("passkey", &form.passkey)?,
                identity: name("identity", &form.identity)?,
                about: digest("about", &form.about)?,
                nonce: digest("nonce", &form.nonce)?,
                client_data: shared(&form.client_data),
                authenticator_data: shared(&form.authenticator_data),
                signature: shared(&form.signature),
                counter: form.counter,
            }))
        }
        _ => return Ok(None),
    }))
}

fn passkey(form: &form::Passkey<'_>) -> Result<Passkey, DecodeError> {
    Ok(Passkey {
        id: name("id", &form.id)?,
        identity: name("identity", &form.identity)?,
        name: shared(&form.name),
        rp: shared(&form.rp),
        key: shared(&form.key),
        aaguid: shared(&form.aaguid),
        registered_at: time("registered_at", &form.registered_at)?,
        counter: form.counter,
        synced: form.synced,
    })
}
