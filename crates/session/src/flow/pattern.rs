//! JSON Pointer patterns, followed along while a document is walked.

use std::borrow::Cow;
use std::io::Write as _;

use smallvec::SmallVec;

use super::walk::DEPTH_USUAL;

/// Patterns with what they say, as a tree of tokens.
pub(crate) struct Patterns<'p, T> {
    nodes: SmallVec<[Node<'p, T>; NODES_USUAL]>,
}

/// How many nodes most patterns have together.
const NODES_USUAL: usize = 4;

struct Node<'p, T> {
    /// By name.
    members: SmallVec<[(Cow<'p, str>, usize); 1]>,
    any: Option<usize>,
    says: Option<T>,
}

impl<'p, T> Node<'p, T> {
    /// The node of a member, `new` where it has none yet.
    fn member(&mut self, name: Cow<'p, str>, new: usize) -> usize {
        match self.place(&name) {
            Ok(at) => self.members.get(at).map_or(new, |(_, node)| *node),
            Err(at) => {
                self.members.insert(at, (name, new));
                new
            }
        }
    }

    /// The node of a member.
    #[inline]
    fn below(&self, name: &str) -> Option<usize> {
        if let [(only, node)] = self.members.as_slice() {
            return (**only == *name).then_some(*node);
        }
        self.place(name).ok().and_then(|at| self.members.get(at)).map(|(_, node)| *node)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl<'p, T: Copy> Patterns<'p, T> {
    /// Of a default and pointers. Where two of the same length speak for one place, or one
    /// pointer comes twice, `worse` chooses.
    pub(crate) fn new(
        default: T,
        pointers: impl Iterator<Item = (&'p str, T)>,
        mut worse: impl FnMut(T, T) -> T,
    ) -> Self {
        let mut nodes = SmallVec::new();
        nodes.push(Node { members: SmallVec::new(), any: None, says: Some(default) });
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
            _ => node.member(unescaped(token), new),
        };
        if next == new {
            self.nodes.push(Node { members: SmallVec::new(), any: None, says: None });
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
pub(crate) struct Walk<'w, 'p, T> {
    patterns: &'w Patterns<'p, T>,
    /// The containers around this place.
    around: SmallVec<[Around<T>; DEPTH_USUAL]>,
    /// Nodes of the patterns that have been reached, for each container behind one another.
    reached: SmallVec<[usize; REACHED_USUAL]>,
    here: Around<T>,
}

#[derive(Clone, Copy)]
struct Around<T> {
    says: T,
    from: usize,
    to: usize,
    elements: usize,
}

/// How many nodes are reached in most walks.
const REACHED_USUAL: usize = 8;

impl<'w, 'p, T: Copy> Walk<'w, 'p, T> {
    /// At the root.
    pub(crate) fn new(patterns: &'w Patterns<'p, T>, none: T) -> Self {
        let says = patterns.default().unwrap_or(none);
        let here = Around { says, from: 0, to: 1, elements: 0 };
        let reached = SmallVec::from_slice(&[0]);
        Self { patterns, around: SmallVec::new(), reached, here }
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
    fn is_uniform(&self) -> bool {
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
            for next in node.below(token).into_iter().chain(node.any) {
                self.reached.push(next);
                if let Some(says) = self.patterns.nodes.get(next).and_then(|node| node.says) {
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
