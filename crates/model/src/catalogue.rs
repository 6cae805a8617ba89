//! The catalogue: what is known of each action before anyone asks for it.

use std::collections::BTreeMap;

use crate::{ActionName, Digest, EntityType, ServerName};

/// Most actions in a catalogue.
pub const ACTIONS_MAX: usize = 50_000;

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

/// What is known of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionEntry {
    /// Its name.
    pub name: ActionName,
    /// The upstream that performs it, where there is one.
    pub server: Option<ServerName>,
    /// Its tier.
    pub tier: Tier,
    /// Its effect.
    pub effect: Effect,
    /// Whether tier and effect were guessed by an import and nobody has confirmed them.
    pub guessed: bool,
    /// What its result is worth as a source of instructions.
    pub integrity: Integrity,
    /// How far its result may travel.
    pub confidentiality: Confidentiality,
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

/// What is known of all actions, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The entries. At most [`ACTIONS_MAX`].
    pub actions: BTreeMap<ActionName, ActionEntry>,
}

impl Catalogue {
    /// What is known of that action.
    pub fn entry(&self, name: &ActionName) -> Option<&ActionEntry> {
        self.actions.get(name)
    }
}
