//! Finds the policies whose scope can match, by hash.
//!
//! Each policy stands in one place: under the constraint of its principal or its resource,
//! whichever fewer policies share, and there under each action that it names. A question looks
//! in the places that its principal, its resource and their ancestors and types open. Every
//! policy whose scope matches is found, since a scope that matches opens its place; some that do
//! not match are found too, and [`super::Scope::matches`] leaves them out.

use foldhash::quality::FixedState;
use hashbrown::HashMap;

use super::scope::{Actions, Asked, Constraint, Named, Scope, Side};
use crate::schema::TypeId;

/// The side of the scope that a policy stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Principal,
    Resource,
}

/// A place: the constraint that a policy stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Named(Role, Named),
    Type(Role, TypeId),
    Anywhere,
}

/// The policies of one place, by the action that they name.
#[derive(Debug, Default)]
struct Shelf {
    any: Vec<u32>,
    by_action: HashMap<Named, Vec<u32>, FixedState>,
}

/// All policies, by place.
#[derive(Debug, Default)]
pub(crate) struct Index {
    shelves: HashMap<Place, Shelf, FixedState>,
}

impl Index {
    /// Indexes scopes under their position, by principal only: to find what could match for some
    /// resource.
    pub(crate) fn by_principal<'s>(scopes: impl Iterator<Item = &'s Scope>) -> Self {
        let mut index = Self::default();
        for (position, scope) in (0_u32..).zip(scopes) {
            let [principal, _] = places(scope);
            index.shelve(principal, &scope.actions, position);
        }
        index
    }

    /// Indexes scopes under their position.
    pub(crate) fn of<'s>(scopes: impl Iterator<Item = &'s Scope> + Clone) -> Self {
        let mut shared: HashMap<Place, usize, FixedState> = HashMap::default();
        for scope in scopes.clone() {
            for place in places(scope) {
                *shared.entry(place).or_default() += 1;
            }
        }
        let mut index = Self::default();
        for (position, scope) in (0_u32..).zip(scopes) {
            let [principal, resource] = places(scope);
            let crowd = |place: Place| match place {
                Place::Anywhere => usize::MAX,
                place => shared.get(&place).copied().unwrap_or(0),
            };
            let place = if crowd(resource) < crowd(principal) { resource } else { principal };
            index.shelve(place, &scope.actions, position);
        }
        index
    }

    fn shelve(&mut self, place: Place, actions: &Actions, position: u32) {
        let shelf = self.shelves.entry(place).or_default();
        match actions {
            Actions::Any => shelf.any.push(position),
            Actions::Eq(action) => shelf.by_action.entry(*action).or_default().push(position),
            Actions::In(list) => {
                for action in list {
                    shelf.by_action.entry(*action).or_default().push(position);
                }
            }
        }
    }

    /// Every policy whose scope can match, each once, in their order.
    pub(crate) fn candidates(&self, asked: &Asked<'_>, found: &mut Vec<u32>) {
        self.side(Role::Principal, &asked.principal, asked.action, found);
        self.side(Role::Resource, &asked.resource, asked.action, found);
        self.shelf(Place::Anywhere, asked.action, found);
        found.sort_unstable();
        found.dedup();
    }

    /// Every policy whose scope can match for some resource; of an index [`Self::by_principal`].
    pub(crate) fn candidates_for_principal(
        &self,
        principal: &Side,
        action: &Side,
        found: &mut Vec<u32>,
    ) {
        self.side(Role::Principal, principal, action, found);
        self.shelf(Place::Anywhere, action, found);
    }

    /// Every policy whose scope can match for some action and some resource, each once, in their
    /// order; of an index [`Self::by_principal`].
    pub(crate) fn all_for_principal(&self, principal: &Side, found: &mut Vec<u32>) {
        let named = principal.within.iter().map(|named| Place::Named(Role::Principal, *named));
        let ty = principal.ty.map(|ty| Place::Type(Role::Principal, ty));
        for place in named.chain(ty).chain([Place::Anywhere]) {
            let Some(shelf) = self.shelves.get(&place) else { continue };
            found.extend_from_slice(&shelf.any);
            found.extend(shelf.by_action.values().flatten());
        }
        found.sort_unstable();
        found.dedup();
    }

    fn side(&self, role: Role, side: &Side, action: &Side, found: &mut Vec<u32>) {
        for named in &side.within {
            self.shelf(Place::Named(role, *named), action, found);
        }
        if let Some(ty) = side.ty {
            self.shelf(Place::Type(role, ty), action, found);
        }
    }

    fn shelf(&self, place: Place, action: &Side, found: &mut Vec<u32>) {
        let Some(shelf) = self.shelves.get(&place) else {
            return;
        };
        found.extend_from_slice(&shelf.any);
        if shelf.by_action.is_empty() {
            return;
        }
        for named in &action.within {
            if let Some(policies) = shelf.by_action.get(named) {
                found.extend_from_slice(policies);
            }
        }
    }
}

/// Where a scope could stand: by its principal, by its resource.
fn places(scope: &Scope) -> [Place; 2] {
    let place = |role, constraint| match constraint {
        Constraint::Any => Place::Anywhere,
        Constraint::Eq(named) | Constraint::In(named) | Constraint::IsIn(_, named) => {
            Place::Named(role, named)
        }
        Constraint::Is(ty) => Place::Type(role, ty),
    };
    [place(Role::Principal, scope.principal), place(Role::Resource, scope.resource)]
}
