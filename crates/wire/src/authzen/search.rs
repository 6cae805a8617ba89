//! Searches: who, what, and which action (section 8): `POST /access/v1/search/subject`,
//! `/resource` and `/action`.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{ActionName, Entity, EntityId, EntityRef, EntityType, Value};
use serde_json::json;

use super::AuthzenError;
use super::question::{Call, call, entity, object, part};
use crate::field::{FieldError, FieldProblem, Fields};
use crate::json;

/// Most results of a page; a larger limit is taken for this one.
pub const SEARCH_LIMIT_MAX: usize = 1000;

/// How many results a page has where nothing is said.
pub const SEARCH_LIMIT_DEFAULT: usize = 100;

/// Longest page token, in bytes.
pub const PAGE_TOKEN_BYTES_MAX: usize = 20 * 1024;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchFor {
    /// Who may do that to that (section 8.4).
    Subjects,
    /// What somebody may do that to (section 8.5).
    Resources,
    /// What somebody may do to that (section 8.6).
    Actions,
}

/// A search. What is searched for has a type and no id.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What is searched for.
    pub wanted: SearchFor,
    /// Who wants to act; without an id where subjects are searched for.
    pub subject: Partial,
    /// What they want to do; nothing where actions are searched for.
    pub action: Option<(ActionName, Value)>,
    /// What they want to do it to; without an id where resources are searched for.
    pub resource: Partial,
    /// What else the enforcement point says: an object.
    pub context: Option<Value>,
    /// Which page, and how long it may be.
    pub page: PageAsked,
}

/// An entity that may lack its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// Its type.
    pub ty: EntityType,
    /// Its id, where it is not searched for.
    pub id: Option<EntityId>,
    /// What the enforcement point says of it.
    pub properties: BTreeMap<Arc<str>, Value>,
}

impl Partial {
    /// The entity of that id.
    pub fn of(&self, id: EntityId) -> Entity {
        Entity {
            uid: EntityRef { ty: self.ty.clone(), id },
            attributes: self.properties.clone(),
            ancestors: Vec::new(),
        }
    }
}

/// Which page of a search (section 8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAsked {
    /// Where it starts: `next_token` of the page before.
    pub token: Option<String>,
    /// At most so many results.
    pub limit: usize,
}

impl Search {
    /// Reads the body of a search.
    ///
    /// # Errors
    /// [`AuthzenError`] where it is not strict JSON, or names the first field that is missing or
    /// ill-typed.
    pub fn parse(wanted: SearchFor, body: &[u8]) -> Result<Self, AuthzenError> {
        Ok(Self::from_value(wanted, json::parse(body)?)?)
    }

    fn from_value(wanted: SearchFor, value: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::of(value, "")?;
        let subject = side(&mut fields, "subject", wanted == SearchFor::Subjects)?;
        let resource = side(&mut fields, "resource", wanted == SearchFor::Resources)?;
        let action: Option<Call> = match wanted {
            // Whatever is there is not looked at: an action is what is searched for.
            SearchFor::Actions => {
                fields.take("action");
                None
            }
            SearchFor::Subjects | SearchFor::Resources => {
                let named = part(&mut fields, "action", call)?;
                Some(named.ok_or_else(|| fields.missing("action"))?)
            }
        };
        let context = part(&mut fields, "context", object)?;
        let page = part(&mut fields, "page", page)?;
        let page = page.unwrap_or(PageAsked { token: None, limit: SEARCH_LIMIT_DEFAULT });
        Ok(Self { wanted, subject, action, resource, context, page })
    }

    /// Text that is equal for the pages of one search, and for no other.
    pub fn key(&self) -> String {
        let text = json::to_text;
        let side = |partial: &Partial| {
            let id = partial.id.as_ref().map(ToString::to_string);
            json!([partial.ty.as_str(), id, text(&Value::Object(partial.properties.clone()))])
        };
        let action = self.action.as_ref().map(|(name, input)| json!([name.as_str(), text(input)]));
        let context = self.context.as_ref().map(json::to_text);
        let wanted = self.wanted as u8;
        json!([wanted, side(&self.subject), action, side(&self.resource), context]).to_string()
    }
}

/// One side of a search: with its id, or, where that is searched for, without.
fn side(fields: &mut Fields, name: &str, searched: bool) -> Result<Partial, FieldError> {
    let read = |value: Value| -> Result<Partial, FieldError> {
        if !searched {
            let Entity { uid, attributes, .. } = entity(value)?;
            return Ok(Partial { ty: uid.ty, id: Some(uid.id), properties: attributes });
        }
        let mut fields = Fields::of(value, "")?;
        let ty = fields.name("type", EntityType::new)?;
        // An id that is there all the same is not looked at.
        fields.take("id");
        let properties = fields.object("properties")?.unwrap_or_default();
        Ok(Partial { ty, id: None, properties })
    };
    let Some(value) = fields.take(name) else { return Err(fields.missing(name)) };
    read(value).map_err(|error| fields.error_in(name, error))
}

fn page(value: Value) -> Result<PageAsked, FieldError> {
    let mut fields = Fields::of(value, "")?;
    let token = match fields.take("token") {
        None => None,
        Some(Value::String(token)) if token.is_empty() => None,
        Some(Value::String(token)) if token.len() <= PAGE_TOKEN_BYTES_MAX => {
            Some((*token).to_owned())
        }
        Some(_) => {
            let problem = FieldProblem::Other("is no token of a page".into());
            return Err(FieldError::new("/token", problem));
        }
    };
    let limit = match fields.take("limit") {
        None => SEARCH_LIMIT_DEFAULT,
        Some(Value::Integer(limit)) if limit >= 1 => {
            usize::try_from(limit).unwrap_or(SEARCH_LIMIT_MAX).min(SEARCH_LIMIT_MAX)
        }
        Some(_) => {
            let problem = FieldProblem::Other("must be a whole number from 1".into());
            return Err(FieldError::new("/limit", problem));
        }
    };
    Ok(PageAsked { token, limit })
}

/// What a search found: a page of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Entities by type and id, or the names of actions where those were searched for.
    pub results: Vec<FoundOne>,
    /// The token of the next page; empty at the end.
    pub next: String,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundOne {
    /// A subject or a resource; its type as it was asked for.
    Entity(EntityRef),
    /// An action.
    Action(ActionName),
}

impl Found {
    /// The answer's body (section 8.3).
    pub fn write(&self) -> Vec<u8> {
        let one = |found: &FoundOne| match found {
            FoundOne::Entity(uid) => json!({ "type": uid.ty.as_str(), "id": uid.id.as_str() }),
            FoundOne::Action(name) => json!({ "name": name.as_str() }),
        };
        let results: Vec<_> = self.results.iter().map(one).collect();
        let page = json!({ "next_token": self.next, "count": results.len() });
        serde_json::to_vec(&json!({ "page": page, "results": results })).unwrap_or_default()
    }
}

/// The token of the page that comes after a candidate, for one search: the search's digest, and
/// the candidate in hexadecimal digits.
pub fn page_token(digest: &[u8; 32], after: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{}{}", hex(digest), hex(after.as_bytes()))
}

/// The candidate after which a page starts; `None` where the token is of another search.
pub fn page_after(token: &str, digest: &[u8; 32]) -> Option<String> {
    let rest = token.strip_prefix(&page_token(digest, ""))?;
    let digits = rest.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let after = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    // One candidate has one token: half a byte, a sign or a capital makes it another text.
    (page_token(digest, &after) == token).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(wanted: SearchFor, text: &str) -> Result<Search, String> {
        Search::parse(wanted, text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_searched_for_needs_no_id() {
        let body = r#"{"subject":{"type":"user","id":"ignored"},"action":{"name":"read"},
            "resource":{"type":"record","id":"1"},"page":{"limit":2}}"#;
        let search = parse(SearchFor::Subjects, body).unwrap();
        assert_eq!((search.subject.id, search.page.limit), (None, 2));
        assert!(parse(SearchFor::Resources, body).unwrap().subject.id.is_some());
        assert!(parse(SearchFor::Actions, body).unwrap().action.is_none());
        let without = r#"{"subject":{"type":"user"},"resource":{"type":"record","id":"1"}}"#;
        let missing = parse(SearchFor::Subjects, without).unwrap_err();
        assert_eq!(missing, "`/action` is missing");
        let missing = parse(SearchFor::Actions, without).unwrap_err();
        assert_eq!(missing, "`/subject/id` is missing");
        for (page, problem) in [
            (r#"{"limit":0}"#, "`/page/limit` must be a whole number from 1"),
            (r#"{"token":3}"#, "`/page/token` is no token of a page"),
            ("3", "`/page` is an integer, but must be an object"),
        ] {
            let body = body.replace(r#"{"limit":2}"#, page);
            assert_eq!(parse(SearchFor::Subjects, &body).unwrap_err(), problem);
        }
    }

    #[test]
    fn a_token_is_of_one_search() {
        let token = page_token(&[1; 32], "récord 1");
        assert_eq!(page_after(&token, &[1; 32]).as_deref(), Some("récord 1"));
        assert_eq!(page_after(&token, &[2; 32]), None);
        assert_eq!(page_after("", &[1; 32]), None);
        assert_eq!(page_after(&format!("{token}0"), &[1; 32]), None);
        let one = r#"{"subject":{"type":"user"},"action":{"name":"read"},
            "resource":{"type":"record","id":"1"}}"#;
        let key = |text: &str| parse(SearchFor::Subjects, text).unwrap().key();
        assert_eq!(key(one), key(&one.replace("}}", "},\"page\":{\"limit\":7}}")));
        assert_ne!(key(one), key(&one.replace("\"1\"", "\"2\"")));
        assert_ne!(key(one), key(&one.replace("read", "write")));
    }

    #[test]
    fn a_page_is_written_with_its_next() {
        let found = Found {
            results: vec![FoundOne::Entity(EntityRef::new("record", "1").unwrap())],
            next: String::new(),
        };
        let text = String::from_utf8(found.write()).unwrap();
        assert_eq!(
            text,
            r#"{"page":{"next_token":"","count":1},"results":[{"type":"record","id":"1"}]}"#
        );
    }
}
