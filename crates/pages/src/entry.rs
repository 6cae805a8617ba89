//! Signing in and out.

use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use safeconduct_model::{Authentication, IdentityKind, Method, Timestamp};
use safeconduct_service::{AuthenticateError, Holds};

use crate::failure::{Failure, sentence};
use crate::form::Form;
use crate::guard::{self, BEGUN, BROWSER};
use crate::pages::Pages;
use crate::provider::Grant;
use crate::show;
use crate::sign_in::{Begun, Demand, SIGN_IN_MS, SignInError, path_of_ours};

/// `GET /sign-in`: who is not signed in is asked to.
pub(crate) async fn page(
    State(pages): State<Pages>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let next = path_of_ours(query.text("next")).to_owned();
    match pages.signed_in(&headers) {
        Some(_) => guard::see(&next),
        None => show::failure(&pages, None, Failure::SignIn { next }),
    }
}

/// `GET /sign-in/start`: to the provider. Anyone can send a browser here, and nothing comes of it
/// but a page of the provider.
pub(crate) async fn start(State(pages): State<Pages>, RawQuery(query): RawQuery) -> Response {
    let started = async {
        let query = Form::parse(query.unwrap_or_default().as_bytes())?;
        let demand = if query.has("anew") { Demand::Anew } else { Demand::Known };
        let begun = Begun::new(pages.now(), demand, query.text("next"))?;
        let endpoints = pages.provider().endpoints().await.map_err(|error| {
            tracing::warn!(%error, "the OpenID provider cannot be asked");
            unreachable_provider()
        })?;
        let client_id = &pages.settings().client_id;
        let address = begun.address(pages.key(), &endpoints, client_id, &pages.redirect_uri());
        let address = address.ok_or_else(unreachable_provider)?;
        let mut response = guard::see(&address);
        let lasts = Some(SIGN_IN_MS / 1000);
        guard::set_cookie(&mut response, BEGUN, &begun.cookie(pages.key()), lasts);
        Ok(response)
    };
    started.await.unwrap_or_else(|failure| show::failure(&pages, None, failure))
}

/// `GET /sign-in/callback`: back from the provider.
pub(crate) async fn callback(
    State(pages): State<Pages>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = match signed_in(&pages, query.as_deref(), &headers).await {
        Ok(response) => response,
        Err(failure) => show::failure(&pages, None, failure),
    };
    // One answer for one sign-in, whatever came of it.
    guard::set_cookie(&mut response, BEGUN, "", Some(0));
    response
}

async fn signed_in(
    pages: &Pages,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let answer = Form::parse(query.unwrap_or_default().as_bytes())?;
    let begun = guard::cookie(headers, BEGUN)
        .and_then(|cookie| Begun::of(cookie, pages.key(), pages.now()))
        .ok_or_else(|| refused(&SignInError::NotBegun))?;
    let (who, proved_at) = proved(pages, &begun, &answer).await?;
    if let Some(before) = pages.signed_in(headers) {
        pages.browsers().sign_out(&before.id);
    }
    tracing::info!(identity = %who.identity, "a person signed in");
    let cookie = pages.browsers().sign_in(who, proved_at, pages.now())?;
    let mut response = guard::see(begun.next());
    guard::set_cookie(&mut response, BROWSER, &cookie.ok_or_else(Failure::busy)?, None);
    Ok(response)
}

/// Redeems the code, and checks whom the ID token makes: by the rules of the trust record, like
/// every token, and by what belongs to this sign-in alone.
async fn proved(
    pages: &Pages,
    begun: &Begun,
    answer: &Form,
) -> Result<(Authentication, Option<Timestamp>), Failure> {
    let gone = |error: crate::provider::ProviderError| {
        tracing::warn!(%error, "the OpenID provider gives no ID token");
        unreachable_provider()
    };
    let endpoints = pages.provider().endpoints().await.map_err(gone)?;
    let code = begun.code(pages.key(), &endpoints, answer).map_err(|error| refused(&error))?;
    let (verifier, redirect_uri) = (begun.verifier(pages.key()), pages.redirect_uri());
    let grant = Grant { code, verifier: &verifier, redirect_uri: &redirect_uri };
    let id_token = pages.provider().redeem(grant).await.map_err(gone)?;
    let who = pages.service().authenticate_bearer(&id_token, Holds::default()).await;
    let who = who.map_err(|error| match error {
        AuthenticateError::NotRegistered(_) | AuthenticateError::NotActive => Failure::says(
            StatusCode::FORBIDDEN,
            "You are signed in at your provider, and not known here, or stopped. Ask who runs \
             Safeconduct to register you.",
        ),
        error => {
            tracing::warn!(%error, "an ID token proves nobody");
            refused(&SignInError::Unreadable)
        }
    })?;
    let trust = format!("trust:{}", pages.settings().trust);
    let world = pages.service().world();
    let kind = world.identity(&who.identity).map(|identity| identity.kind);
    // Tokens of any other kind are no sign-in, whoever they prove.
    let person = who.method == Method::Oidc && who.token.as_str() == trust;
    if !person || kind != Some(IdentityKind::User) {
        let text = "Only people sign in here, at the provider that is meant for them.";
        return Err(Failure::says(StatusCode::FORBIDDEN, text));
    }
    let proved_at = begun.proved_at(pages.key(), &pages.settings().client_id, &id_token);
    let proved_at = proved_at.map_err(|error| refused(&error))?;
    // How long a browser stays signed in is ours to say; the token was for this moment.
    Ok((Authentication { expires_at: None, ..who }, proved_at))
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(State(pages): State<Pages>, request: Request) -> Response {
    let headers = request.headers().clone();
    let signed_out = async {
        let browser = pages.someone(&headers, "/approve")?;
        let form = Form::read(request.into_body()).await?;
        pages.is_ours(&form, &browser, "/sign-out")?;
        pages.ceremonies().end(&browser.id, pages.now());
        pages.browsers().sign_out(&browser.id);
        let mut response = guard::see("/sign-in");
        guard::set_cookie(&mut response, BROWSER, "", Some(0));
        Ok(response)
    };
    signed_out.await.unwrap_or_else(|failure| show::failure(&pages, None, failure))
}

fn refused(error: &SignInError) -> Failure {
    tracing::info!(%error, "a sign-in failed");
    let text = format!("{}. Nobody is signed in; begin again.", sentence(&error.to_string()));
    Failure::says(StatusCode::FORBIDDEN, text)
}

fn unreachable_provider() -> Failure {
    let text = "Your OpenID provider cannot be reached from here, or gives no answer that can be \
                used. Try again in a minute; if it stays so, tell who runs Safeconduct.";
    Failure::says(StatusCode::BAD_GATEWAY, text)
}
