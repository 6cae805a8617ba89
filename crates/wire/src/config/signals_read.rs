//! Signals, read.

use std::collections::BTreeMap;
use std::path::Path;

use super::read::join;
use super::signals::{
    DeliveryWord, SignalsConfig, Stream, StreamKeySource, SubjectsForm, TransmitterConfig, Webhook,
};
use super::signals_form::{SignalsForm, StreamForm, TransmitterForm, WebhookForm};
use super::token_service::TokenService;
use super::trust::KeysForm;
use crate::document::{Diagnostic, Document};

/// What is wrong, as pointer within the section, message and help.
struct Problem(String, String, &'static str);

/// The signals of a file.
pub(super) fn signals<T>(
    document: &Document<T>,
    form: SignalsForm,
    token_service: Option<&TokenService>,
    folder: &Path,
    problems: &mut Vec<Diagnostic>,
) -> SignalsConfig {
    let mut found = Vec::new();
    let mut streams = BTreeMap::new();
    let mut issuers = BTreeMap::new();
    for (name, form) in form.streams {
        if let Some(other) = issuers.insert(form.issuer.clone(), name.clone()) {
            let message = format!("`{name}` and `{other}` are streams of one issuer");
            found.push(Problem(format!("/streams/{name}/issuer"), message, "take one of them out"));
        }
        match stream(&name, form, folder) {
            Ok(stream) => drop(streams.insert(name, stream)),
            Err(problem) => found.push(problem),
        }
    }
    let webhooks = form.webhooks.into_iter().map(|(name, form)| {
        let WebhookForm { secret_file, confidence, tolerance_s, may_revoke } = form;
        let secret_file = join(folder, &secret_file);
        (name, Webhook { secret_file, confidence, tolerance_s, may_revoke })
    });
    let webhooks = webhooks.collect();
    let transmitter = form.transmitter.map(|form| transmitter(form, token_service, &mut found));
    problems.extend(found.into_iter().map(|Problem(pointer, message, help)| {
        document.problem(&format!("/signals{pointer}"), message).with_help(help)
    }));
    SignalsConfig { streams, webhooks, transmitter }
}

fn stream(name: &str, form: StreamForm, folder: &Path) -> Result<Stream, Problem> {
    let at = |field: &str| format!("/streams/{name}{field}");
    let keys = match form.keys {
        None => StreamKeySource::Discovery,
        Some(KeysForm { url: Some(url), file: None }) => StreamKeySource::Url(url),
        Some(KeysForm { url: None, file: Some(file) }) => {
            StreamKeySource::File(join(folder, &file))
        }
        Some(_) => {
            let message = format!("the keys of stream `{name}` come from one place");
            return Err(Problem(at("/keys"), message, "write `url:` or `file:`"));
        }
    };
    if form.delivery == DeliveryWord::Push && form.bearer_file.is_none() {
        let message = format!("whoever pushes to stream `{name}` must prove who it is");
        let help = "write `bearer_file:`, the file of the token that it presents";
        return Err(Problem(at(""), message, help));
    }
    if form.delivery == DeliveryWord::Poll && form.poll.url.is_none() && form.manage.is_none() {
        let message = format!("it is not said where stream `{name}` is polled");
        return Err(Problem(at(""), message, "write `poll: { url: … }`, or `manage:`"));
    }
    let needs_base = form.delivery == DeliveryWord::Push;
    if needs_base && form.manage.as_ref().is_some_and(|manage| manage.base_url.is_none()) {
        let message = format!("the transmitter of `{name}` is not told where to post to");
        return Err(Problem(at("/manage"), message, "write `base_url: https://HOST`"));
    }
    if let Some(word) = faulty_template(&form.subjects) {
        let message = format!("`{word}` of stream `{name}` must hold `{{}}` once");
        return Err(Problem(
            at(&format!("/subjects/{word}")),
            message,
            "write, for example, `https://idp.example.com|{}`",
        ));
    }
    Ok(Stream {
        issuer: form.issuer,
        audience: form.audience,
        delivery: form.delivery,
        algorithms: form.algorithms,
        keys,
        fetch: form.fetch,
        bearer_file: form.bearer_file.map(|file| join(folder, &file)),
        token_file: form.token_file.map(|file| join(folder, &file)),
        confidence: form.confidence,
        clock_skew_s: form.clock_skew_s,
        age_max_s: form.age_max_s,
        silent_after_s: form.silent_after_s,
        critical_subject_members: form.critical_subject_members,
        subjects: form.subjects,
        may_revoke: form.may_revoke,
        poll: form.poll,
        manage: form.manage,
    })
}

fn faulty_template(subjects: &SubjectsForm) -> Option<&'static str> {
    let SubjectsForm { email, opaque, account, uri, iss_sub, .. } = subjects;
    let all = [
        ("email", email),
        ("opaque", opaque),
        ("account", account),
        ("uri", uri),
        ("iss_sub", iss_sub),
    ];
    let faulty =
        |text: &Option<String>| text.as_ref().is_some_and(|text| text.matches("{}").count() != 1);
    all.into_iter().find(|(_, text)| faulty(text)).map(|(word, _)| word)
}

fn transmitter(
    form: TransmitterForm,
    token_service: Option<&TokenService>,
    found: &mut Vec<Problem>,
) -> TransmitterConfig {
    let of_service = token_service.map(|service| service.issuer.clone());
    if of_service.is_none() {
        let message = "the keys of the token service sign what we transmit, and there is none";
        found.push(Problem("/transmitter".into(), message.into(), "write `token_service:`"));
    }
    let issuer = form.issuer.or(of_service).unwrap_or_default();
    TransmitterConfig {
        issuer: issuer.trim_end_matches('/').to_owned(),
        receivers: form.receivers.into_iter().map(|(id, receiver)| (id.0, receiver)).collect(),
        reach: form.fetch,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{StreamKeySource, parse};

    fn read(signals: &str) -> Result<super::SignalsConfig, Vec<String>> {
        let text = format!("version: 1\nsignals: {signals}\n");
        let read = parse("safeconduct.yaml", &text, Path::new("/etc"));
        read.map(|config| config.signals)
            .map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    const PUSHED: &str = "issuer: 'https://idp.example', audience: us, algorithms: [ES256], \
                          bearer_file: idp.token";

    #[test]
    fn streams_and_webhooks_are_read() {
        let signals = read(&format!(
            "{{ streams: {{ idp: {{ {PUSHED}, silent_after_s: 60, \
             subjects: {{ email: 'https://idp.example|{{}}' }} }} }}, \
             webhooks: {{ siem: {{ secret_file: siem.key }} }} }}"
        ))
        .unwrap();
        let idp = &signals.streams["idp"];
        assert_eq!((idp.age_max_s, idp.confidence, idp.clock_skew_s), (86_400, 100, 10));
        assert_eq!(idp.keys, StreamKeySource::Discovery);
        assert_eq!(idp.bearer_file.as_deref(), Some(Path::new("/etc/idp.token")));
        let siem = &signals.webhooks["siem"];
        assert_eq!((siem.tolerance_s, siem.may_revoke), (300, false));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let unauthenticated = PUSHED.replace(", bearer_file: idp.token", "");
        for bad in [
            unauthenticated.as_str(),
            &format!("{PUSHED}, keys: {{}}"),
            &format!("{PUSHED}, delivery: poll"),
            &format!("{PUSHED}, manage: {{}}"),
            &format!("{PUSHED}, subjects: {{ email: 'ada' }}"),
            &format!("{PUSHED}, clock_skew_s: 31"),
            &PUSHED.replace("[ES256]", "[]"),
            &PUSHED.replace("ES256", "HS256"),
        ] {
            assert!(read(&format!("{{ streams: {{ idp: {{ {bad} }} }} }}")).is_err(), "{bad}");
        }
        let twice = format!("{{ streams: {{ a: {{ {PUSHED} }}, b: {{ {PUSHED} }} }} }}");
        assert!(read(&twice).is_err());
        let keyless = "{ transmitter: { receivers: { siem: { audience: 'https://siem' } } } }";
        assert!(read(keyless).is_err());
    }
}
