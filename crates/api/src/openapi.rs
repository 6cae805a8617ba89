//! The description of this API (OpenAPI 3.1), generated from the handlers.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::oauth::{OauthError, edges};
use crate::problem::ProblemForm;
use crate::{
    access_requests, authzen, authzen_requests, break_glass, campaigns, catalogue, delegations,
    estate, findings, health, identities, imports, intents, inventory, keys, kill, leases, outcome,
    passkeys, policies, proposals, records, remediations, search, sessions, signals, ssf, streams,
    tail, tasks, tokens,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Safeconduct",
        description = "Decisions, what came of them, and the administration of Safeconduct.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        authzen::evaluation,
        authzen::evaluations,
        search::subjects,
        search::resources,
        search::actions,
        authzen::configuration,
        authzen_requests::request,
        authzen_requests::status,
        authzen_requests::cancel,
        access_requests::ask,
        access_requests::list,
        access_requests::show,
        access_requests::wait,
        access_requests::answer,
        access_requests::answer_all,
        access_requests::revoke,
        break_glass::break_glass,
        break_glass::list,
        break_glass::mend,
        break_glass::review,
        break_glass::reviews,
        campaigns::start,
        campaigns::list,
        campaigns::show,
        campaigns::items,
        campaigns::item,
        campaigns::decide,
        campaigns::reassign,
        campaigns::close_stage,
        campaigns::reiterate,
        campaigns::sign_off,
        campaigns::cancel,
        campaigns::withdraw,
        edges::metadata,
        edges::metadata_as_openid,
        edges::keys,
        edges::token,
        edges::introspect,
        edges::revoke,
        outcome::report,
        estate::who,
        inventory::show,
        estate::owns,
        estate::can,
        estate::why,
        estate::did,
        estate::stop,
        proposals::list,
        proposals::folder,
        proposals::show,
        proposals::make,
        proposals::answer,
        remediations::list,
        remediations::show,
        remediations::schedule,
        remediations::step,
        findings::list,
        findings::scan,
        findings::show,
        findings::exempt,
        findings::unexempt,
        identities::whoami,
        identities::list,
        identities::show,
        identities::change,
        imports::run,
        imports::list,
        tokens::list,
        tokens::issue,
        tokens::revoke,
        records::query,
        records::show,
        tail::tail,
        records::checkpoint,
        policies::show,
        policies::reload,
        catalogue::list,
        catalogue::upstreams,
        intents::list,
        intents::show,
        tasks::begin,
        tasks::list,
        tasks::show,
        tasks::end,
        delegations::make,
        delegations::list,
        delegations::end,
        passkeys::list,
        passkeys::remove,
        keys::list,
        keys::drop_key,
        keys::rotate,
        kill::kill,
        kill::lift,
        leases::issue,
        leases::renew,
        leases::list,
        ssf::metadata,
        ssf::create,
        ssf::read,
        ssf::change,
        ssf::replace,
        ssf::delete,
        ssf::status,
        ssf::set_status,
        ssf::add_subject,
        ssf::remove_subject,
        ssf::verify,
        ssf::poll,
        streams::push,
        streams::webhook,
        streams::list,
        streams::status,
        streams::verify,
        signals::put,
        signals::list,
        signals::risk,
        sessions::show,
        sessions::erase,
        health::alive,
        health::ready,
        health::metrics,
    ),
    components(schemas(ProblemForm, OauthError)),
    modifiers(&Bearer),
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("sc_key_[0-9a-f]{72}")
            .description(Some("A token that was issued with `POST /v1/tokens`"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let stream = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token of a stream's `bearer_file`"))
            .build();
        components.add_security_scheme("stream", SecurityScheme::Http(stream));
        let client = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("An OAuth client: its identity, and a token of it as the secret"))
            .build();
        components.add_security_scheme("client", SecurityScheme::Http(client));
        let certificate = SecurityScheme::MutualTls {
            description: Some("A certificate of the client in TLS".to_owned()),
            deprecated: None,
            extensions: None,
        };
        components.add_security_scheme("certificate", certificate);
    }
}

/// The description as JSON, as it is checked in under `openapi/safeconduct.json`.
pub fn document() -> String {
    let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
