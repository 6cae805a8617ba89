//! An intent's envelope without what was never used under it.

use std::collections::BTreeSet;

use safeconduct_model::ActionName;

/// An envelope that names less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarrowedEnvelope {
    /// The intent's file as it would be.
    pub text: String,
    /// The actions that are gone.
    pub without: BTreeSet<String>,
}

/// Takes the actions out of an intent's envelope that were never used under it; every other byte
/// of the file stays. `None` where all were used, where none was (then the intent itself is what
/// nobody uses), or where the envelope is not laid out as a block of `- action: NAME`.
pub fn narrow_envelope(text: &str, used: &BTreeSet<ActionName>) -> Option<NarrowedEnvelope> {
    let mut after = String::with_capacity(text.len());
    let mut without = BTreeSet::new();
    let (mut inside, mut kept, mut dropping) = (None, 0_usize, false);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let indent = line.len() - line.trim_start().len();
        let is_blank = content.trim_start().is_empty() || content.trim_start().starts_with('#');
        match inside {
            None if content == "envelope:" => inside = Some(None),
            // The block ends where something begins that is no further in.
            Some(_) if !is_blank && indent == 0 && !content.starts_with('-') => {
                (inside, dropping) = (None, false);
            }
            Some(mut items) if !is_blank => {
                let at = *items.get_or_insert(indent);
                inside = Some(Some(at));
                if indent == at {
                    let name = action(content.trim_start())?;
                    let is_used = used.iter().any(|action| action.as_str() == name);
                    dropping = !is_used;
                    match is_used {
                        true => kept += 1,
                        false => {
                            without.insert(name.to_owned());
                        }
                    }
                }
            }
            _ => {}
        }
        // A comment or an empty line after an item that goes belongs to what comes next.
        if !dropping || is_blank {
            after.push_str(line);
        }
    }
    (kept > 0 && !without.is_empty()).then_some(NarrowedEnvelope { text: after, without })
}

/// The action of the first line of an item.
fn action(item: &str) -> Option<&str> {
    let name = item.strip_prefix('-')?.trim_start().strip_prefix("action:")?.trim();
    let name = name.split(" #").next().unwrap_or(name).trim_end();
    let bare = |quote: char| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(bare('"').or_else(|| bare('\'')).unwrap_or(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTENT: &str = "intent: a\nenvelope:\n  # reading\n  - action: crm.read\n    resources:\n      \
                          - { type: Case }\n  - action: \"crm.write\" # rarely\n    arguments:\n      /x: \
                          { equals: 1 }\n  # sending\n  - action: mail.send\nbudget: { calls: 3 }\n";

    fn used(names: &[&str]) -> BTreeSet<ActionName> {
        names.iter().map(|name| ActionName::new(*name).unwrap()).collect()
    }

    #[test]
    fn what_was_not_used_goes_and_nothing_else() {
        let narrowed = narrow_envelope(INTENT, &used(&["crm.read", "mail.send"])).unwrap();
        let without =
            "  - action: \"crm.write\" # rarely\n    arguments:\n      /x: { equals: 1 }\n";
        assert_eq!(narrowed.text, INTENT.replace(without, ""));
        assert_eq!(narrowed.without, BTreeSet::from(["crm.write".to_owned()]));
    }

    #[test]
    fn an_envelope_is_never_emptied_and_never_guessed() {
        assert_eq!(narrow_envelope(INTENT, &used(&[])), None);
        assert_eq!(narrow_envelope(INTENT, &used(&["crm.read", "crm.write", "mail.send"])), None);
        let flow = "envelope: [{ action: a }, { action: b }]\n";
        assert_eq!(narrow_envelope(flow, &used(&["a"])), None);
        let other = "envelope:\n  - resources: []\n    action: a\n  - action: b\n";
        assert_eq!(narrow_envelope(other, &used(&["b"])), None);
    }
}
