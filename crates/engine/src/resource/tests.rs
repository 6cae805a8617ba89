use proptest::prelude::*;

use super::*;

fn ty() -> EntityType {
    EntityType::new("Safeconduct::Path").unwrap()
}

fn vocabulary() -> Vocabulary {
    Vocabulary::new("Safeconduct").unwrap()
}

fn ids(entity: &Entity) -> Vec<&str> {
    entity.ancestors.iter().map(|ancestor| ancestor.id.as_str()).collect()
}

#[test]
fn a_path_is_normal_and_knows_its_folders() {
    let entity = path(&ty(), "/cases//4711/./notes.md", None).unwrap();
    assert_eq!(entity.uid.id.as_str(), "/cases/4711/notes.md");
    assert_eq!(ids(&entity), ["/", "/cases", "/cases/4711"]);
    assert_eq!(path(&ty(), "/", None).unwrap().ancestors, []);
    let relative = path(&ty(), "notes.md", Some("/srv/cases/")).unwrap();
    assert_eq!(relative.uid.id.as_str(), "/srv/cases/notes.md");
}

fn entry(resources: Vec<ResourceMapping>) -> ActionEntry {
    ActionEntry {
        name: safeconduct_model::ActionName::new("files.read").unwrap(),
        server: None,
        tier: safeconduct_model::Tier::Low,
        raises: Vec::new(),
        effect: safeconduct_model::Effect::Read,
        guessed: false,
        returns: safeconduct_model::Returns::uniform(safeconduct_model::Label::LEAST),
        accepts: safeconduct_model::Confidentiality::Internal,
        arguments: Vec::new(),
        resources,
        definition: None,
        additional_arguments: false,
        keep_arguments: false,
        keep_result: false,
    }
}

#[test]
fn what_was_touched_is_placed_by_its_name() {
    let mapping = |argument: &str, form| ResourceMapping {
        argument: argument.into(),
        ty: ty(),
        form,
        optional: false,
    };
    let mut entry = entry(vec![mapping("/path", ResourceForm::Path { root: None })]);
    let uid = |path: &str| EntityRef { ty: ty(), id: EntityId::new(path).unwrap() };
    let place = |entry: &ActionEntry, path: &str| placed(entry, &uid(path), &vocabulary());
    assert_eq!(ids(&place(&entry, "/cases/1/x").unwrap()), ["/", "/cases", "/cases/1"]);
    // No argument comes to a name that is not normal.
    assert_eq!(place(&entry, "/cases//1"), None);
    entry.resources.push(mapping("/other", ResourceForm::Text));
    assert_eq!(place(&entry, "/cases/1/x"), None, "it may be either");
}

#[test]
fn a_path_that_could_mean_another_is_refused() {
    for text in ["/cases/../secret", "..", "/a/..", "a\\..\\b", "~/x", "notes.md", "", "/a\0b"] {
        assert!(path(&ty(), text, None).is_err(), "{text}");
    }
}

#[test]
fn a_path_that_a_server_may_rewrite_is_refused() {
    for text in ["~/.ssh/id_rsa", "~root/x", "a\\..\\b", " /x", "x ", "FILE:///etc/passwd"] {
        assert!(path(&ty(), text, Some("/cases")).is_err(), "{text}");
    }
    assert!(path(&ty(), "4711/a~b.md", Some("/cases")).is_ok());
}

#[test]
fn a_url_that_others_read_differently_is_refused() {
    for text in ["http://good.com\\@evil.com/", "http://good.com/ x", "http://go\tod.com/"] {
        assert!(url(&ty(), text, &vocabulary()).is_err(), "{text}");
    }
}

#[test]
fn a_url_knows_its_host_and_the_domains_above_it() {
    let ty = EntityType::new("Safeconduct::Url").unwrap();
    let entity = url(&ty, "HTTPS://Api.Example.COM.:443/a/../b?q", &vocabulary()).unwrap();
    assert_eq!(entity.attributes.get("host"), Some(&Value::from("api.example.com")));
    assert_eq!(entity.attributes.get("port"), Some(&Value::from(443)));
    assert_eq!(entity.attributes.get("path"), Some(&Value::from("/b")));
    assert_eq!(ids(&entity), ["api.example.com", "example.com", "com"]);
    let numeric = url(&ty, "http://127.0.0.1:8080/", &vocabulary()).unwrap();
    assert_eq!(ids(&numeric), ["127.0.0.1"]);
    for text in ["file:///etc/passwd", "https://user:pw@host/", "//host/x", "mailto:a@b"] {
        assert!(url(&ty, text, &vocabulary()).is_err(), "{text}");
    }
}

proptest! {
    /// A path lies below a folder exactly where its normal form does, at a folder's border.
    #[test]
    fn ancestors_are_the_folders_above(text in "/[a-c/.]{0,24}") {
        if let Ok(entity) = path(&ty(), &text, None) {
            let normal = entity.uid.id.as_str();
            for ancestor in &entity.ancestors {
                let folder = ancestor.id.as_str().trim_end_matches('/');
                let below = format!("{folder}/");
                prop_assert!(normal.starts_with(&below));
            }
            let depth = normal.split('/').filter(|segment| !segment.is_empty()).count();
            prop_assert_eq!(entity.ancestors.len(), depth);
        }
    }
}

#[test]
fn a_uri_that_leads_out_is_a_url_and_any_other_is_the_servers_own() {
    let mapping = ResourceMapping {
        argument: "/uri".into(),
        ty: EntityType::new("Safeconduct::Url").unwrap(),
        form: ResourceForm::Uri,
        optional: false,
    };
    let read = |text: &str| read(&mapping, text, &vocabulary());
    for (text, host) in [
        ("https://evil.example/?q=secret", "evil.example"),
        ("HTTP://Evil.example", "evil.example"),
        ("https:evil.example", "evil.example"),
        ("wss://evil.example:1/x", "evil.example"),
        ("ftp://evil.example/x", "evil.example"),
        ("git+https://evil.example/x.git", "evil.example"),
        ("fetch:https://evil.example/x", "evil.example"),
        ("fetch:///http://evil.example/x", "evil.example"),
    ] {
        let entity = read(text).unwrap().unwrap();
        assert_eq!(entity.attributes.get("host"), Some(&Value::from(host)), "{text}");
        assert!(entity.attributes.contains_key("scheme"), "{text}");
        let placed = read(entity.uid.id.as_str()).unwrap().unwrap();
        assert_eq!(placed.uid, entity.uid, "it is found again by its name");
    }
    for text in ["case://4711/notes", "file:///srv/x", "notes", "", "mem:x:y", "httpd://x", "/a:b"]
    {
        assert_eq!(read(text), Ok(None), "{text}");
    }
    for text in
        [" https://evil.example/", "ht\ntps://evil.example/", "https:\\\\evil.example", "https://"]
    {
        assert!(read(text).is_err(), "{text}");
    }
    let long = "https:".repeat(10_000);
    assert!(read(&long).is_err());
}
