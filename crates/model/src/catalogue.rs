//! The catalogue: what is known of each action before anyone asks for it.

use std::collections::BTreeMap;

use std::sync::Arc;

use crate::{ActionName, Digest, EntityType, Label, Obligation, Raise, Returns, ServerName, Value};

/// Most actions in a catalogue.
pub const ACTIONS_MAX: usize = 50_000;

/// Most arguments of one action whose role is said.
pub const ARGUMENT_ROLES_MAX: usize = 64;

/// Most declassifiers in a catalogue.
pub const DECLASSIFIERS_MAX: usize = 1_000;

/// How much harm an action can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Basic policy suffices.
    Low,
    /// Flow and budget count too.
    Moderate,
    /// Fresh facts or step-up.
    High,
    /// Always a person.
    Critical,
}

/// What an action does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Learns.
    Read,
    /// Changes records.
    Write,
    /// Runs code or commands.
    Execute,
    /// Carries data out.
    Send,
    /// Lets others act.
    Delegate,
    /// Changes rights or settings.
    Administer,
}

/// Whether what an action returns may steer an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// Written by those who run the system.
    Trusted,
    /// Written by anyone.
    Untrusted,
}

/// How far what an action returns may travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidentiality {
    /// Anywhere.
    Public,
    /// Within the organisation.
    Internal,
    /// Among those who need it.
    Confidential,
    /// Nowhere without a person.
    Secret,
}

/// What the value of an argument decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArgumentRole {
    /// Where something goes, or what it is done to: a recipient, an account, a URL, a path, the
    /// id of what is destroyed. Every argument that names a resource is one.
    Address,
    /// What is run: a command, a query that changes, a script.
    Command,
    /// How much.
    Amount,
    /// What is said or stored. Every argument of which nothing is said is that.
    Content,
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// Every value, lowest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it on every wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    )*};
}

words! {
    Tier { Low = "low", Moderate = "moderate", High = "high", Critical = "critical" }
    Effect {
        Read = "read", Write = "write", Execute = "execute",
        Send = "send", Delegate = "delegate", Administer = "administer",
    }
    ArgumentRole {
        Address = "address", Command = "command", Amount = "amount", Content = "content",
    }
    Integrity { Trusted = "trusted", Untrusted = "untrusted" }
    Confidentiality {
        Public = "public", Internal = "internal",
        Confidential = "confidential", Secret = "secret",
    }
}

/// How an argument's text names a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceForm {
    /// The text is the id as it stands.
    Text,
    /// The text is a file path: made absolute below `root` where it is relative, `.` and `//`
    /// dropped, `..` refused. Each folder above it is an ancestor of the same type.
    Path {
        /// Absolute folder that relative paths start from; without one they are refused.
        root: Option<String>,
    },
    /// The text is a URL with a host: attributes `scheme`, `host`, `port`, `path`; the host and
    /// each domain above it are ancestors of type `Host`.
    Url,
    /// The text is the URI by which a server knows something of its own. One that leads over the
    /// network (`https` and the like) is read as a URL; any other names nothing beside the server.
    Uri,
}

/// Which arguments of an action name what it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceMapping {
    /// JSON Pointer (RFC 6901) into the arguments; the token `*` stands for each element.
    pub argument: String,
    /// The type of the resource.
    pub ty: EntityType,
    /// How the text is read.
    pub form: ResourceForm,
    /// Whether the argument may be absent: then it names nothing.
    pub optional: bool,
}

/// What the values at a place of the arguments decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentUse {
    /// JSON Pointer (RFC 6901) into the arguments; the token `*` stands for each element. It
    /// speaks for everything below it that no longer pattern speaks for.
    pub argument: Arc<str>,
    /// What they decide.
    pub role: ArgumentRole,
}

/// A named way to lower what a result carries: asked for by the obligation `declassify:NAME` of
/// a permit, and recorded with the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declassifier {
    /// Its name.
    pub name: Arc<str>,
    /// Obligations that must have been carried out on the result; without them nothing is
    /// lowered.
    pub requires: Vec<Obligation>,
    /// The most that the result carries afterwards. Its categories are those that are dropped.
    pub to: Label,
}

impl Declassifier {
    /// What is left of a label.
    pub fn lower(&self, label: &Label) -> Label {
        Label {
            integrity: label.integrity.min(self.to.integrity),
            confidentiality: label.confidentiality.min(self.to.confidentiality),
            categories: label.categories.difference(&self.to.categories).cloned().collect(),
        }
    }

    /// What is left of what a result carries.
    pub fn lower_all(&self, returns: &Returns) -> Returns {
        let fields = returns.fields.iter().map(|field| crate::FieldLabel {
            pointer: Arc::clone(&field.pointer),
            label: self.lower(&field.label),
        });
        Returns { default: self.lower(&returns.default), fields: fields.collect() }
    }
}

/// What is known of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionEntry {
    /// Its name.
    pub name: ActionName,
    /// The upstream that performs it, where there is one.
    pub server: Option<ServerName>,
    /// Its tier; arguments may raise it: [`ActionEntry::tier_of`].
    pub tier: Tier,
    /// What raises it. At most [`crate::RAISES_MAX`].
    pub raises: Vec<Raise>,
    /// Its effect.
    pub effect: Effect,
    /// Whether tier and effect were guessed by an import and nobody has confirmed them.
    pub guessed: bool,
    /// What its result carries: what it is worth as a source of instructions, and how far it may
    /// travel.
    pub returns: Returns,
    /// The most confidential content that it may be given: beyond that, it leaves to a place that
    /// is not made for it.
    pub accepts: Confidentiality,
    /// What its arguments decide; those that name a resource are among them. At most
    /// [`ARGUMENT_ROLES_MAX`] besides those.
    pub arguments: Vec<ArgumentUse>,
    /// The resources that its arguments name; empty means the server is the resource.
    pub resources: Vec<ResourceMapping>,
    /// SHA-256 over the canonical definition (name, description, schemas, annotations) that was
    /// approved. `None` means that the definition is not pinned.
    pub definition: Option<Digest>,
    /// Whether arguments that the definition does not name are let through unseen by policies.
    pub additional_arguments: bool,
    /// Whether argument values are kept, encrypted.
    pub keep_arguments: bool,
    /// Whether result values are kept, encrypted.
    pub keep_result: bool,
}

impl ActionEntry {
    /// The tier of a call with those arguments: never below [`ActionEntry::tier`].
    pub fn tier_of(&self, input: &Value) -> Tier {
        let kept = |raise: &&Raise| raise.unless.iter().all(|rule| rule.admits(input));
        let raised = self.raises.iter().filter(|raise| !kept(raise)).map(|raise| raise.to);
        raised.fold(self.tier, Tier::max)
    }
}

/// What is known of all actions, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The entries. At most [`ACTIONS_MAX`].
    pub actions: BTreeMap<ActionName, ActionEntry>,
    /// The ways to lower a label, by name. At most [`DECLASSIFIERS_MAX`].
    pub declassifiers: BTreeMap<Arc<str>, Declassifier>,
}

impl Catalogue {
    /// What is known of that action.
    pub fn entry(&self, name: &ActionName) -> Option<&ActionEntry> {
        self.actions.get(name)
    }
}
