use std::sync::Arc;

use safeconduct_directory::api_key::mint;
use safeconduct_directory::{
    ApiKeyError, ApiKeys, Directory, Presented, Proof, ProofMethod, Refused,
};
use safeconduct_model::{Assurance, Digest, IdentityId, Token, TokenId};

use crate::now;

struct One(Token);

impl ApiKeys for One {
    fn find(&self, digest: &Digest) -> Option<Token> {
        (self.0.digest == *digest).then(|| self.0.clone())
    }
}

async fn present(key: &str, change: impl FnOnce(&mut Token)) -> Result<Proof, Refused> {
    let mut known = Token {
        id: TokenId::new("tok_1").unwrap(),
        identity: IdentityId::new("case-agent").unwrap(),
        digest: mint(&[7; 32]).1,
        issued_at: now().plus_ms(-1000),
        expires_at: now().plus_ms(1000),
        revoked: false,
    };
    change(&mut known);
    let directory = Directory::new([], Arc::new(One(known))).unwrap();
    directory.prove(Presented::ApiKey { key }, now()).await
}

#[tokio::test]
async fn a_key_proves_weakly() {
    let proof = present(&mint(&[7; 32]).0, |_| {}).await.unwrap();
    assert_eq!((proof.method, proof.assurance), (ProofMethod::ApiKey, Assurance::Low));
    assert_eq!(proof.identity.as_str(), "case-agent");
    assert_eq!(proof.expires_at, now().plus_ms(1000));
    assert!(!proof.may_speak_for_users);
}

#[tokio::test]
async fn unknown_expired_and_revoked_keys_are_told_alike() {
    let (key, _) = mint(&[7; 32]);
    assert_eq!(present(&mint(&[8; 32]).0, |_| {}).await.unwrap_err(), Refused::ApiKey);
    assert_eq!(present(&key, |known| known.expires_at = now()).await.unwrap_err(), Refused::ApiKey);
    assert_eq!(present(&key, |known| known.revoked = true).await.unwrap_err(), Refused::ApiKey);
    let refused = present(&key[..70], |_| {}).await.unwrap_err();
    assert_eq!(refused, Refused::NoApiKey(ApiKeyError::Form));
    assert!(!refused.to_string().contains(&key[10..40]));
}
