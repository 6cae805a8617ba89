//! Signed-in browsers: a random cookie each, of which only the digest is kept, in memory. A
//! restart signs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use safeconduct_model::{Authentication, IdentityId, Timestamp};

use crate::secret::{self, NoRandomness};

/// Most browsers that are signed in at once.
pub const BROWSERS_MAX: usize = 10_000;

/// Most browsers of one person; the one that was used longest ago is signed out for the next.
pub const BROWSERS_OF_ONE_MAX: usize = 8;

/// For how long after a person has signed in they may do what only someone may who is surely
/// there: register and remove passkeys. In milliseconds.
pub const FRESH_MS: i64 = 5 * 60_000;

/// How far the provider's clock may be ahead of ours, in milliseconds.
const AHEAD_MS: i64 = 30_000;

/// How long a browser stays signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Unused, in milliseconds.
    pub idle_ms: i64,
    /// At all, in milliseconds.
    pub longest_ms: i64,
}

/// A signed-in browser.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    /// What recognises its cookie; never the cookie.
    pub(crate) id: [u8; 32],
    /// Who signed in, and how sure the provider made us.
    pub(crate) who: Authentication,
    /// When they signed in at the provider, where it said so.
    pub(crate) proved_at: Option<Timestamp>,
    since: Timestamp,
    used_at: Timestamp,
}

impl Browser {
    /// Whether they have signed in so lately that they are surely there.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        // A time to come proves nothing, save for what the provider's clock may be ahead.
        let proved = |at: Timestamp| at.ms_since(now) <= AHEAD_MS && now.ms_since(at) <= FRESH_MS;
        self.proved_at.is_some_and(proved)
    }
}

/// All of them.
pub(crate) struct Browsers {
    lifetime: Lifetime,
    known: Mutex<HashMap<[u8; 32], Browser>>,
}

impl Browsers {
    pub(crate) fn new(lifetime: Lifetime) -> Self {
        Self { lifetime, known: Mutex::default() }
    }

    /// Signs a browser in: the value of its cookie; `None` where no more fit.
    pub(crate) fn sign_in(
        &self,
        who: Authentication,
        proved_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<String>, NoRandomness> {
        let cookie = secret::random()?;
        let id = secret::digest(&cookie);
        let mut known = self.lock();
        self.make_room(&mut known, &who.identity, now);
        if known.len() >= BROWSERS_MAX {
            return Ok(None);
        }
        known.insert(id, Browser { id, who, proved_at, since: now, used_at: now });
        Ok(Some(secret::text(&cookie)))
    }

    /// The browser of a cookie, used now.
    pub(crate) fn of(&self, cookie: &str, now: Timestamp) -> Option<Browser> {
        let id = secret::digest(&secret::read(cookie)?);
        let mut known = self.lock();
        if !self.lasts(known.get(&id)?, now) {
            known.remove(&id);
            return None;
        }
        let browser = known.get_mut(&id)?;
        browser.used_at = now;
        Some(browser.clone())
    }

    /// Signs a browser out.
    pub(crate) fn sign_out(&self, id: &[u8; 32]) {
        self.lock().remove(id);
    }

    fn lasts(&self, browser: &Browser, now: Timestamp) -> bool {
        let since = |at: Timestamp| now.as_millis().saturating_sub(at.as_millis());
        since(browser.used_at) < self.lifetime.idle_ms
            && since(browser.since) < self.lifetime.longest_ms
    }

    fn make_room(
        &self,
        known: &mut HashMap<[u8; 32], Browser>,
        identity: &IdentityId,
        now: Timestamp,
    ) {
        if known.len() >= BROWSERS_MAX {
            known.retain(|_, browser| self.lasts(browser, now));
        }
        let own = || known.values().filter(|browser| browser.who.identity == *identity);
        if own().count() >= BROWSERS_OF_ONE_MAX
            && let Some(oldest) = own().min_by_key(|browser| browser.used_at).map(|one| one.id)
        {
            known.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Browser>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_model::{Assurance, Method, TokenId};

    use super::*;

    fn who(name: &str) -> Authentication {
        Authentication {
            identity: IdentityId::new(name).unwrap(),
            token: TokenId::new("trust:people").unwrap(),
            method: Method::Oidc,
            assurance: Assurance::Substantial,
            at: Timestamp::from_millis(0),
            expires_at: None,
            task: None,
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn browsers() -> Browsers {
        Browsers::new(Lifetime { idle_ms: 100, longest_ms: 1000 })
    }

    #[test]
    fn a_browser_stays_signed_in_while_it_is_used_and_not_for_ever() {
        let browsers = browsers();
        let cookie = browsers.sign_in(who("ada"), None, at(0)).unwrap().unwrap();
        for ms in (0..1000).step_by(99) {
            assert_eq!(browsers.of(&cookie, at(ms)).unwrap().who.identity.as_str(), "ada");
        }
        assert!(browsers.of(&cookie, at(1000)).is_none());
        let cookie = browsers.sign_in(who("ada"), None, at(0)).unwrap().unwrap();
        assert!(browsers.of(&cookie, at(100)).is_none());
        assert!(browsers.of(&cookie, at(1)).is_none(), "it came back");
    }

    #[test]
    fn nothing_but_the_cookie_is_the_cookie() {
        let browsers = browsers();
        let cookie = browsers.sign_in(who("ada"), None, at(0)).unwrap().unwrap();
        let id = browsers.of(&cookie, at(1)).unwrap().id;
        for other in ["", "x", &secret::text(&id), &format!("{cookie}A"), cookie.get(1..).unwrap()]
        {
            assert!(browsers.of(other, at(1)).is_none(), "{other}");
        }
        browsers.sign_out(&id);
        assert!(browsers.of(&cookie, at(1)).is_none());
    }

    #[test]
    fn the_browser_that_was_used_longest_ago_makes_room() {
        let browsers = browsers();
        let sign_in = |ms| browsers.sign_in(who("ada"), None, at(ms)).unwrap().unwrap();
        let cookies: Vec<_> = (0..BROWSERS_OF_ONE_MAX as i64).map(sign_in).collect();
        browsers.of(&cookies[0], at(50));
        let other = browsers.sign_in(who("bob"), None, at(51)).unwrap().unwrap();
        let next = sign_in(52);
        let here = |cookie: &String| browsers.of(cookie, at(60)).is_some();
        assert!(here(&cookies[0]) && !here(&cookies[1]) && here(&other) && here(&next));
    }

    #[test]
    fn only_what_the_provider_says_makes_it_fresh() {
        let browsers = browsers();
        let proved = |proved_at| {
            let cookie = browsers.sign_in(who("ada"), proved_at, at(FRESH_MS)).unwrap().unwrap();
            browsers.of(&cookie, at(FRESH_MS)).unwrap()
        };
        assert!(!proved(None).is_fresh(at(FRESH_MS)));
        assert!(proved(Some(at(0))).is_fresh(at(FRESH_MS)));
        assert!(!proved(Some(at(0))).is_fresh(at(FRESH_MS + 1)));
        assert!(proved(Some(at(AHEAD_MS))).is_fresh(at(0)));
        for far in [AHEAD_MS + 1, i64::MAX, i64::MIN] {
            assert!(!proved(Some(at(far))).is_fresh(at(0)), "{far}");
        }
    }
}
