use proptest::prelude::*;

use super::*;
use crate::json;

const HAS: Attributes = Attributes {
    single: &["userName", "displayName", "active"],
    lists: &["members"],
    fixed: &["id"],
};

fn of(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

fn after(resource: &str, operations: &str) -> Result<Value, ScimError> {
    let body = format!(r#"{{"schemas":["{PATCH}"],"Operations":{operations}}}"#);
    patched(of(resource), &patch(&of(&body))?, HAS)
}

#[test]
fn filters_that_find_one_are_read() {
    let terms = filter(r#"userName eq "a\"b c""#).unwrap();
    assert_eq!(terms, [Term { attribute: "username".into(), value: "a\"b c".into() }]);
    let both = filter(&format!(r#"{USER}:externalId EQ "1" and active eq True"#)).unwrap();
    assert_eq!(both.len(), 2);
    assert_eq!((&*both[0].attribute, &*both[1].value), ("externalid", "true"));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName co \"a\"",
        "userName eq a",
        "userName eq \"a",
        "userName eq \"a\"b",
        "userName eq \"a\" or active eq true",
        "(userName eq \"a\")",
        "not userName eq \"a\"",
        "1 eq \"a\"",
        "userName eq 1",
    ] {
        assert!(matches!(filter(text), Err(ScimError::Filter(_))), "{text}");
    }
    assert!(filter(&"a eq \"b\" and ".repeat(400)).is_err());
}

#[test]
fn patches_of_directories_are_read_as_they_mean_them() {
    let user = r#"{"id":"1","userName":"ada","active":true}"#;
    for operations in [
        r#"[{"op":"replace","path":"active","value":false}]"#,
        r#"[{"op":"Replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false}]"#,
        r#"[{"op":"replace","value":{"active":false}}]"#,
        r#"[{"OP":"ADD","Value":{"Active":false}}]"#,
    ] {
        let user = after(user, operations).unwrap();
        assert_eq!(user.member("active"), Some(&Value::Bool(false)), "{operations}");
    }
    let unknown = r#"[{"op":"add","path":"emails[value eq \"x\"].type","value":"work"}]"#;
    assert_eq!(after(user, unknown), Ok(of(user)), "more than is kept here");
    let removed = after(user, r#"[{"op":"remove","path":"userName"}]"#).unwrap();
    assert_eq!(removed.member("userName"), None);
    for (operations, kind) in [
        (r#"[{"op":"replace","path":"id","value":"2"}]"#, "mutability"),
        (r#"[{"op":"remove"}]"#, "noTarget"),
        (r#"[{"op":"move","path":"active"}]"#, "invalidSyntax"),
        (r#"[{"op":"replace","path":"active"}]"#, "invalidSyntax"),
        (r#"[{"op":"replace","path":"a[","value":1}]"#, "invalidPath"),
        (r#"[{"op":"replace","path":"userName.x","value":1}]"#, "invalidPath"),
        (r#"[{"op":"add","value":"x"}]"#, "invalidSyntax"),
        ("[]", "invalidSyntax"),
    ] {
        assert_eq!(after(user, operations).unwrap_err().kind(), kind, "{operations}");
    }
    assert_eq!(patch(&of("{}")).unwrap_err().kind(), "invalidSyntax");
}

#[test]
fn members_come_and_go() {
    let group = r#"{"members":[{"value":"a"},{"value":"b"}]}"#;
    let values = |group: Value| -> Vec<String> {
        let members = group.member("members").and_then(Value::as_array).unwrap_or_default();
        members.iter().map(|m| m.member("value").unwrap().as_str().unwrap().to_owned()).collect()
    };
    for (operations, left) in [
        (r#"[{"op":"add","path":"members","value":[{"value":"b"},{"value":"c"}]}]"#, "a b c"),
        (r#"[{"op":"add","path":"members","value":{"value":"c"}}]"#, "a b c"),
        (r#"[{"op":"add","path":"members","value":[{"value":"c"},{"value":"c"}]}]"#, "a b c"),
        (r#"[{"op":"remove","path":"members[value eq \"a\"]"}]"#, "b"),
        (r#"[{"op":"remove","path":"members","value":[{"value":"b"}]}]"#, "a"),
        (r#"[{"op":"remove","path":"members"}]"#, ""),
        (r#"[{"op":"replace","path":"members","value":[{"value":"z"}]}]"#, "z"),
    ] {
        assert_eq!(values(after(group, operations).unwrap()).join(" "), left, "{operations}");
    }
    let none = r#"[{"op":"replace","path":"members[value eq \"x\"]","value":{"value":"y"}}]"#;
    assert_eq!(after(group, none).unwrap_err().kind(), "noTarget");
}

#[test]
fn only_what_is_wanted_is_shown() {
    let user = of(r#"{"schemas":[],"id":"1","userName":"ada","active":true}"#);
    let names =
        |value: Value| value.as_object().unwrap().keys().map(|k| k.to_string()).collect::<Vec<_>>();
    assert_eq!(
        names(selected(user.clone(), Some("username, x.y"), None)),
        ["id", "schemas", "userName"]
    );
    assert_eq!(
        names(selected(user.clone(), None, Some("ACTIVE,id"))),
        ["id", "schemas", "userName"]
    );
    assert_eq!(selected(user.clone(), None, None), user);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", path in "[a-z.\\[\\]\" =]{0,30}") {
        let _ = filter(&text);
        let _ = filter(&path);
        let body = Value::object([
            ("schemas", Value::Array(vec![Value::from(PATCH)])),
            ("Operations", Value::Array(vec![Value::object([
                ("op", Value::from("replace")), ("path", Value::from(path.as_str())),
                ("value", Value::from(text.as_str())),
            ])])),
        ]);
        if let Ok(operations) = patch(&body) {
            let _ = patched(of(r#"{"id":"1"}"#), &operations, HAS);
        }
    }
}
