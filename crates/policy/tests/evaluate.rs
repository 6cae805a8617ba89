//! What policies say to questions.
mod world;

use safeconduct_model::Decision;
use world::{ask, loaded, sources};

#[test]
fn a_permit_in_scope_applies_and_nothing_else_does() {
    let policies = loaded(&sources(
        r#"
        @id("mine") permit (
            principal in Safeconduct::Group::"clerks",
            action == Safeconduct::Action::"files.read_text_file",
            resource in Safeconduct::Path::"/cases/4711"
        );
        @id("others") permit (principal, action, resource in Safeconduct::Path::"/cases/1");
        "#,
    ));
    let answer = ask(
        &policies,
        "files.read_text_file",
        r#"{"path":"/cases/4711/notes.md"}"#,
    );
    let answer = answer.unwrap();
    assert_eq!(answer.enforced.decision(), Decision::Permit);
    assert_eq!(answer.enforced.permits[0].id.as_str(), "mine");
    assert_eq!(answer.considered, 1);
    let answer = ask(&policies, "files.pay", r#"{"amount":1}"#).unwrap();
    assert_eq!(answer.enforced.decision(), Decision::Deny);
}

#[test]
fn arguments_of_every_kind_are_typed() {
    let policies = loaded(&sources(
        r#"
        @id("typed") permit (principal, action == Safeconduct::Action::"files.pay", resource)
        when {
            context.input.amount.lessThan(decimal("10.5"))
            && context.input has mode
            && context.input.mode == Safeconduct::files_pay::Input::mode::"fast"
            && context.input has at && context.input.at < datetime("2024-10-16")
            && context.input has tags && context.input.tags.contains("x")
            && context.input has to && context.input.to.name == "Ann"
            && context.input has note && context.input.note has typeChoice0
            && context.input.note.typeChoice0 == "hi"
            && context.input has "user-id" && context.input["user-id"] == "u"
            && context.input has labels && context.input.labels.hasTag("k")
            && context.input.labels.getTag("k") == "v"
            && context.time.now > datetime("2024-01-01")
            && context.session.steps == 3 && context.identity.method == "api_key"
            && context.action.name like "files.*"
        };
        "#,
    ));
    let input = r#"{"amount":10.25,"mode":"fast","at":"2024-10-15T11:35:00+05:30","tags":["x","y"],
        "to":{"name":"Ann"},"note":"hi","user-id":"u","labels":{"k":"v"},"any":[1,{"a":null}]}"#;
    let answer = ask(&policies, "files.pay", input).unwrap();
    assert_eq!(answer.enforced.decision(), Decision::Permit, "{answer:#?}");
}
