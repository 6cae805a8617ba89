//! JSON Pointer patterns, followed along while a document is walked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Patterns with what they say, as a tree of tokens.
pub(crate) struct Patterns<'p, T> {
    nodes: Vec<Node<'p, T>>,
}

struct Node<'p, T> {
    members: BTreeMap<Cow<'p, str>, usize>,
    any: Option<usize>,
    says: Option<T>,
}

impl<'p, T: Copy> Patterns<'p, T> {
    /// Of a default and pointers. Where two of the same length speak for one place, or one
    /// pointer comes twice, `worse` chooses.
    pub(crate) fn new(
        default: T,
        pointers: impl Iterator<Item = (&'p str, T)>,
        mut worse: impl FnMut(T, T) -> T,
    ) -> Self {
        let root = Node { members: BTreeMap::new(), any: None, says: Some(default) };
        let mut nodes = Vec::with_capacity(1 + pointers.size_hint().0);
        nodes.push(root);
        let mut patterns = Self { nodes };
        for (pointer, says) in pointers {
            let end = match pointer.strip_prefix('/') {
                Some(tokens) => tokens.split('/').fold(0, |at, token| patterns.descend(at, token)),
                None => 0,
            };
            if let Some(node) = patterns.nodes.get_mut(end) {
                // At the root the pattern replaces the default.
                let known = if end == 0 { None } else { node.says };
                node.says = Some(known.map_or(says, |known| worse(known, says)));
            }
        }
        patterns
    }

    fn descend(&mut self, at: usize, token: &'p str) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let next = match token {
            "*" => *node.any.get_or_insert(new),
            _ => *node.members.entry(unescaped(token)).or_insert(new),
        };
        if next == new {
            self.nodes.push(Node { members: BTreeMap::new(), any: None, says: None });
        }
        next
    }

    /// What is said of the root where nothing else is.
    fn default(&self) -> Option<T> {
        self.nodes.first().and_then(|root| root.says)
    }
}

/// The name that a token of a pointer stands for (RFC 6901, section 4).
fn unescaped(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => token.replace("~1", "/").replace("~0", "~").into(),
        false => token.into(),
    }
}

/// Where a walk stands in its document, and what the patterns say of that place.
pub(crate) struct Walk<'p, T> {
    patterns: &'p Patterns<'p, T>,
    /// The containers around this place.
    around: Vec<Around<T>>,
    /// Nodes of the patterns that have been reached, for each container behind one another.
    reached: Vec<usize>,
    here: Around<T>,
}

#[derive(Clone, Copy)]
struct Around<T> {
    says: T,
    from: usize,
    to: usize,
    elements: usize,
}

/// How many nodes at most are made room for before any is reached.
const REACHED_USUAL: usize = 15;

impl<'p, T: Copy> Walk<'p, T> {
    /// At the root.
    pub(crate) fn new(patterns: &'p Patterns<'p, T>, none: T) -> Self {
        let says = patterns.default().unwrap_or(none);
        let here = Around { says, from: 0, to: 1, elements: 0 };
        let mut reached = Vec::with_capacity(1 + patterns.nodes.len().min(REACHED_USUAL));
        reached.push(0);
        Self { patterns, around: Vec::new(), reached, here }
    }

    /// What is said of this place.
    pub(crate) fn says(&self) -> T {
        self.here.says
    }

    /// Into the container at this place.
    pub(crate) fn open(&mut self) {
        self.around.push(Around { elements: 0, ..self.here });
    }

    /// Out of it.
    pub(crate) fn close(&mut self) {
        if let Some(container) = self.around.pop() {
            self.here = container;
        }
    }

    /// Whether the same is said of every place: then none needs to be known.
    const fn is_uniform(&self) -> bool {
        self.patterns.nodes.len() <= 1
    }

    /// To the member of that name.
    #[inline]
    pub(crate) fn member(&mut self, name: &str, worse: impl FnMut(T, T) -> T) {
        if self.is_uniform() {
            return;
        }
        if let Some(container) = self.around.last().copied() {
            self.step(container, name, worse);
        }
    }

    /// To the next element.
    #[inline]
    pub(crate) fn element(&mut self, worse: impl FnMut(T, T) -> T) {
        if self.is_uniform() {
            return;
        }
        let Some(container) = self.around.last_mut() else { return };
        let index = container.elements;
        container.elements += 1;
        let container = *container;
        if container.from == container.to {
            return self.step(container, "", worse);
        }
        let mut digits = [0_u8; 20];
        let mut rest = digits.as_mut_slice();
        // Twenty digits hold every index.
        let _ = write!(rest, "{index}");
        let left = rest.len();
        let written = digits.get(..digits.len() - left).unwrap_or_default();
        self.step(container, std::str::from_utf8(written).unwrap_or_default(), worse);
    }

    fn step(&mut self, container: Around<T>, token: &str, mut worse: impl FnMut(T, T) -> T) {
        self.reached.truncate(container.to);
        let mut said: Option<T> = None;
        for at in container.from..container.to {
            let Some(node) = self.reached.get(at).and_then(|node| self.patterns.nodes.get(*node))
            else {
                continue;
            };
            for next in node.members.get(token).into_iter().chain(&node.any) {
                self.reached.push(*next);
                if let Some(says) = self.patterns.nodes.get(*next).and_then(|node| node.says) {
                    said = Some(said.map_or(says, |known| worse(known, says)));
                }
            }
        }
        let says = said.unwrap_or(container.says);
        self.here = Around { says, from: container.to, to: self.reached.len(), elements: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_speaks() {
        let said = [("/a", 1), ("/a/*/b", 2), ("/a/0", 3), ("/*/1", 4), ("/a/1", 5), ("/x~1y", 6)];
        let patterns = Patterns::new(0, said.into_iter(), Ord::max);
        let mut walk = Walk::new(&patterns, 0);
        walk.open();
        walk.member("a", Ord::max);
        assert_eq!(walk.says(), 1);
        walk.open();
        walk.element(Ord::max);
        assert_eq!(walk.says(), 3);
        walk.open();
        walk.member("b", Ord::max);
        assert_eq!(walk.says(), 2);
        walk.member("c", Ord::max);
        assert_eq!(walk.says(), 3);
        walk.close();
        walk.element(Ord::max);
        assert_eq!(walk.says(), 5, "the worse of two of one length");
        walk.element(Ord::max);
        assert_eq!(walk.says(), 1);
        walk.close();
        walk.member("x/y", Ord::max);
        assert_eq!(walk.says(), 6);
        walk.member("z", Ord::max);
        assert_eq!(walk.says(), 0);
    }
}
