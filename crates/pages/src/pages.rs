//! The pages, what they share, and their routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::HeaderMap;
use safeconduct_model::{Digest, Timestamp};
use safeconduct_service::Service;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use url::Url;

use crate::browser::{Browser, Browsers, Lifetime};
use crate::ceremony::Ceremonies;
use crate::failure::Failure;
use crate::form::Form;
use crate::provider::Provider;
use crate::requests::Requests;
use crate::secret::{self, NoRandomness};
use crate::webauthn::Site;
use crate::{answer, entry, glass, guard, keys, show, together};

/// How the pages are reached, and whom they sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where browsers reach this server: `https://safeconduct.example`, without a path. Without
    /// TLS only `localhost`.
    pub base_url: String,
    /// The trust record of the OpenID provider that signs people in.
    pub trust: String,
    /// What the provider calls this server.
    pub client_id: String,
    /// How long a browser stays signed in.
    pub lifetime: Lifetime,
}

/// Why there are no pages: the configuration's fault, or the machine's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PagesError {
    /// Not where pages can be.
    #[error("`{base_url}` cannot be where people sign in: {problem}")]
    BaseUrl {
        /// What was configured.
        base_url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing to make secrets of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The pages.
#[derive(Clone)]
pub struct Pages(Arc<Inner>);

struct Inner {
    service: Arc<Service>,
    provider: Arc<dyn Provider>,
    requests: Arc<dyn Requests>,
    settings: Settings,
    site: Site,
    host: String,
    browsers: Browsers,
    ceremonies: Ceremonies,
    /// What only this process can make: seals of cookies and forms.
    key: [u8; 32],
}

impl Pages {
    /// The pages of that decision point.
    ///
    /// # Errors
    /// [`PagesError`] where the settings do not fit.
    pub fn new(
        service: Arc<Service>,
        provider: Arc<dyn Provider>,
        requests: Arc<dyn Requests>,
        settings: Settings,
    ) -> Result<Self, PagesError> {
        let (site, host) = site(&settings.base_url)?;
        Ok(Self(Arc::new(Inner {
            service,
            provider,
            requests,
            browsers: Browsers::new(settings.lifetime),
            settings,
            site,
            host,
            ceremonies: Ceremonies::default(),
            key: secret::random()?,
        })))
    }

    /// The routes, to be merged with those of other edges. None of them answers anything to GET:
    /// who opens links to look at them changes nothing.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/sign-in", get(entry::page))
            .route("/sign-in/start", get(entry::start))
            .route("/sign-in/callback", get(entry::callback))
            .route("/sign-out", post(entry::sign_out))
            .route("/approve", get(answer::list))
            .route("/approve/{id}", get(answer::page).post(answer::answer))
            .route("/approve/{id}/confirm", post(answer::confirm))
            .route("/approve/{id}/all", get(together::page).post(together::answer))
            .route("/approve/{id}/all/confirm", post(together::confirm))
            .route("/passkeys", get(keys::page))
            .route("/passkeys/new", post(keys::begin))
            .route("/passkeys/confirm", post(keys::confirm))
            .route("/passkeys/remove", post(keys::remove))
            .route("/break-glass", get(glass::page).post(glass::begin))
            .route("/break-glass/confirm", post(glass::confirm))
            .route("/break-glass/mend", post(glass::mend))
            .route("/pages/style.css", get(show::style))
            .route("/pages/passkey.js", get(show::script))
            .layer(DefaultBodyLimit::max(crate::form::FORM_BYTES_MAX))
            .layer(from_fn_with_state(self.clone(), guard::guarded))
            .with_state(self.clone())
    }

    pub(crate) fn service(&self) -> &Service {
        &self.0.service
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        &*self.0.provider
    }

    pub(crate) fn requests(&self) -> &dyn Requests {
        &*self.0.requests
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn site(&self) -> &Site {
        &self.0.site
    }

    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn browsers(&self) -> &Browsers {
        &self.0.browsers
    }

    pub(crate) fn ceremonies(&self) -> &Ceremonies {
        &self.0.ceremonies
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.0.key
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.service.now()
    }

    /// Where the provider sends browsers back to.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}/sign-in/callback", self.0.site.origin)
    }

    /// Who is signed in, where what vouched for them still does.
    pub(crate) fn signed_in(&self, headers: &HeaderMap) -> Option<Browser> {
        let now = self.now();
        let browser = self.browsers().of(guard::cookie(headers, guard::BROWSER)?, now)?;
        if !self.service().stands(&browser.who, now) {
            self.browsers().sign_out(&browser.id);
            return None;
        }
        Some(browser)
    }

    /// The same, or the page that lets them sign in and come back.
    pub(crate) fn someone(&self, headers: &HeaderMap, next: &str) -> Result<Browser, Failure> {
        self.signed_in(headers).ok_or_else(|| Failure::SignIn { next: next.to_owned() })
    }

    /// What a form of that browser to that path carries.
    pub(crate) fn form_token(&self, browser: &Browser, path: &str) -> String {
        secret::text(&secret::keyed(self.key(), &[b"form", &browser.id, path.as_bytes()]))
    }

    /// Whether a form is one of ours, shown to that browser, for that path.
    pub(crate) fn is_ours(
        &self,
        form: &Form,
        browser: &Browser,
        path: &str,
    ) -> Result<(), Failure> {
        let wanted = self.form_token(browser, path);
        let ours = form.text("token").as_bytes().ct_eq(wanted.as_bytes());
        if ours.into() { Ok(()) } else { Err(Failure::foreign()) }
    }

    /// What stands for a person at authenticators; it tells nobody who they are.
    pub(crate) fn user_handle(&self, browser: &Browser) -> Digest {
        let of = [self.0.site.rp.as_bytes(), b"\0", browser.who.identity.as_str().as_bytes()];
        Digest::from_bytes(secret::digest(&of.concat()))
    }
}

/// Where the pages are: their site, and the name that requests call them by.
fn site(base_url: &str) -> Result<(Site, String), PagesError> {
    let problem =
        |problem| PagesError::BaseUrl { base_url: base_url.chars().take(200).collect(), problem };
    let url = Url::parse(base_url).map_err(|_| problem("it is no URL"))?;
    let Some(url::Host::Domain(domain)) = url.host() else {
        return Err(problem(
            "passkeys need a name, not a number: `http://localhost:PORT` in trials",
        ));
    };
    let domain = domain.to_owned();
    match url.scheme() {
        "https" => {}
        "http" if domain == "localhost" => {}
        _ => return Err(problem("it must be `https`, or `http` on `localhost`")),
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(problem("it must be nothing but scheme, host and port"));
    }
    let host = match url.port() {
        Some(port) => format!("{domain}:{port}"),
        None => domain.clone(),
    };
    let origin = format!("{}://{host}", url.scheme());
    Ok((Site { rp: domain.into(), origin: origin.into() }, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_under_a_name_and_over_tls() {
        for (base_url, rp, host) in [
            ("https://safeconduct.example", "safeconduct.example", "safeconduct.example"),
            (
                "https://Safeconduct.example:8443/",
                "safeconduct.example",
                "safeconduct.example:8443",
            ),
            ("http://localhost:8080", "localhost", "localhost:8080"),
        ] {
            let (site, named) = site(base_url).unwrap();
            assert_eq!((&*site.rp, named.as_str()), (rp, host), "{base_url}");
        }
        for base_url in [
            "http://safeconduct.example",
            "http://127.0.0.1:8080",
            "https://safeconduct.example/pages",
            "https://a@safeconduct.example",
            "https://safeconduct.example?x",
            "safeconduct.example",
            "",
        ] {
            assert!(site(base_url).is_err(), "{base_url}");
        }
    }
}
