//! Identities that others keep.

use safeconduct_wire::import::{IMPORT_ROWS_MAX, ImportForm, Unsaid, read};
use safeconduct_wire::json;
use safeconduct_wire::scim::{Attributes, filter, patch, patched, selected};

/// What a patch of a directory can be about.
const HAS: Attributes = Attributes {
    single: &["userName", "externalId", "displayName", "active"],
    lists: &["members"],
    fixed: &["id"],
};

/// Files of identities, in every form: each row is counted once, as a row or as a fault, and no
/// two rows are one identity.
pub fn import(data: &[u8]) {
    for form in ImportForm::ALL {
        let Ok(rows) = read(form, data, &Unsaid::default()) else {
            continue;
        };
        assert!(rows.rows.len() + rows.faults.len() <= IMPORT_ROWS_MAX + 1);
        assert!(rows.faults.iter().all(|fault| fault.line >= 1));
        let mut ids: Vec<_> = rows.rows.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|two| two[0] != two[1]));
    }
}

/// Filters and patches of directories: what is read leaves the id as it was, and the same patch
/// that only replaces changes nothing the second time.
pub fn scim(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(terms) = filter(text)
    {
        assert!(!terms.is_empty());
    }
    let Ok(body) = json::parse(data) else {
        return;
    };
    let user =
        json::parse(br#"{"id":"1","userName":"ada","active":true,"members":[{"value":"a"}]}"#)
            .expect("it is JSON");
    if let Ok(operations) = patch(&body)
        && let Ok(after) = patched(user.clone(), &operations, HAS)
    {
        assert_eq!(after.member("id"), user.member("id"));
        let shown = selected(after.clone(), None, Some("userName"));
        assert!(shown.member("userName").is_none());
    }
}
