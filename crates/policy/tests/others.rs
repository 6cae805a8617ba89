//! What others read and write: one Cedar in the tree, and foreign bytes.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safeconduct_policy::{SourceFile, Sources, baseline, format, load};

    use crate::world::sources;

    const PLAIN: &str = r#"
        @id("a") @message("no")
        @requestable("approvers=resource.owner; quorum=1; ttl=15m")
        forbid (
            principal in Safeconduct::Group::"clerks",
            action in [Safeconduct::Action::"files.pay"],
            resource is Safeconduct::Path in Safeconduct::Path::"/cases"
        )
        when { context.input.amount.greaterThan(decimal("10.0")) }
        unless { context has approval };
    "#;

    #[test]
    fn dogwood_reads_plain_policies_as_they_are() {
        use dogwood_language::{ParsedPolicySet, ServiceSchema};

        let mut texts: Vec<String> = baseline().iter().map(|f| f.text.to_string()).collect();
        texts.push(PLAIN.to_owned());
        load(&sources(PLAIN)).unwrap();
        for text in texts {
            let parsed = ParsedPolicySet::parse(&text, &ServiceSchema::defaults()).unwrap();
            assert_eq!(parsed.policy_count(), text.matches("@id(").count(), "{text}");
            assert!(parsed.policies().all(|policy| !policy.uses_temporal()));
        }
    }

    #[test]
    fn there_is_one_cedar() {
        let lock = include_str!("../../../Cargo.lock");
        for name in ["cedar-policy", "cedar-policy-core", "cedar-policy-formatter"] {
            assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_layout_is_stable_and_keeps_comments() {
        let text = "// why\npermit(principal,action,resource)when{context.session.steps<3};";
        let name = "a.cedar".into();
        let once = safeconduct_policy::format(&name, text).unwrap();
        assert!(once.starts_with("// why\npermit (principal, action, resource)\n"), "{once}");
        assert_eq!(safeconduct_policy::format(&name, &once).unwrap(), once);
        let error = safeconduct_policy::format(&name, "permit (").unwrap_err();
        assert_eq!(error.diagnostics[0].line, 1);
    }

    /// Pieces that parsers stumble over.
    fn foreign() -> impl Strategy<Value = String> {
        let pieces = [
            "permit",
            "forbid",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            "principal",
            "action",
            "resource",
            "when",
            "unless",
            ";",
            ",",
            "==",
            "in",
            "is",
            "has",
            "like",
            "\"",
            "\\",
            "//",
            "\n",
            "?principal",
            "@id(\"",
            "@",
            "::",
            ".",
            "!",
            "-",
            "+",
            "*",
            "&&",
            "||",
            "<",
            ">",
            "if",
            "then",
            "else",
            "context",
            "9223372036854775808",
            "é",
            "\u{0}",
            "\u{202e}",
            "entity",
            "namespace",
            "type",
            "Set",
            "tags",
            "enum",
            "appliesTo",
            "decimal(\"1.0\")",
        ];
        prop_oneof![
            any::<String>(),
            prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60)
                .prop_map(|pieces| pieces.join(" ")),
            (prop::sample::select(pieces.to_vec()), 1_usize..20_000)
                .prop_map(|(piece, count)| piece.repeat(count)),
            (prop::sample::select(pieces.to_vec()), 1_usize..20_000).prop_map(|(piece, count)| {
                let chain = format!("{piece} ").repeat(count);
                format!("permit (principal, action, resource) when {{ {chain} true }};")
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn foreign_bytes_never_crash(policies in foreign(), schema in foreign()) {
            let sources = Sources {
                policies: vec![SourceFile::new("p.cedar", policies.as_str())],
                schemas: vec![SourceFile::new("s.cedarschema", schema.as_str())],
                ..Sources::default()
            };
            let _ = load(&sources);
            let _ = load(&Sources { schemas: Vec::new(), ..sources });
            let _ = format(&"p.cedar".into(), &policies);
        }
    }
}
