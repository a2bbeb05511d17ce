//! One thing that is wrong with a file, said so that it can be put right.

use std::fmt;

use serde::{Serialize, Serializer};

/// A problem in a configuration file. Displayed as `file:line:column: message`
/// with the remedy on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    pub code: Code,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether a problem stops the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    /// Worth a look; the host starts all the same.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of problem it is. Each has a text of its own, which never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as operators see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The file is not TOML.
    Syntax = "syntax",
    /// No such key here.
    UnknownKey = "unknown-key",
    /// A required key is not there.
    MissingKey = "missing-key",
    /// The value has another TOML type than the key needs.
    WrongType = "wrong-type",
    /// The text does not have the form that the key needs.
    BadValue = "bad-value",
    /// A number, duration, size, text or list outside its bounds.
    OutOfBounds = "out-of-bounds",
    /// The same name, value or subject twice.
    Duplicate = "duplicate",
    /// A name that the host keeps for itself.
    ReservedName = "reserved-name",
    /// Two settings that cannot both hold.
    Contradiction = "contradiction",
    /// A setting that would change nothing.
    NoEffect = "no-effect",
    /// A setting that this version does not act on.
    NotBuiltYet = "not-built-yet",
    /// Two patterns that match the same subject.
    Overlap = "overlap",
    /// A key template asks for a token that a pattern does not capture.
    MissingCapture = "missing-capture",
    /// Two handlers of one name.
    DuplicateHandler = "duplicate-handler",
    /// A handler reads a stream that the place does not have.
    UnknownStream = "unknown-stream",
    /// A handler calls a need that has no address.
    UnknownNeed = "unknown-need",
    /// A subscription reads subjects that its stream does not hold.
    UncoveredSubscription = "uncovered-subscription",
    /// An emission's subject is in no stream, or not in exactly one.
    UncoveredEmission = "uncovered-emission",
    /// A handler reads what it emits.
    SelfEmission = "self-emission",
    /// State and emissions together do not fit into one message.
    RecordTooLarge = "record-too-large",
    /// More readers than a stream can have.
    TooManyReaders = "too-many-readers",
}

impl Code {
    /// Whether the host refuses to start.
    pub fn severity(self) -> Severity {
        match self {
            Self::SelfEmission => Severity::Warning,
            Self::Syntax
            | Self::UnknownKey
            | Self::MissingKey
            | Self::WrongType
            | Self::BadValue
            | Self::OutOfBounds
            | Self::Duplicate
            | Self::ReservedName
            | Self::Contradiction
            | Self::NoEffect
            | Self::NotBuiltYet
            | Self::Overlap
            | Self::MissingCapture
            | Self::DuplicateHandler
            | Self::UnknownStream
            | Self::UnknownNeed
            | Self::UncoveredSubscription
            | Self::UncoveredEmission
            | Self::RecordTooLarge
            | Self::TooManyReaders => Severity::Error,
        }
    }

    /// Whether a problem of this kind stands by itself when the file has syntax
    /// errors: what is missing or contradicts may be what could not be read.
    pub(crate) fn stands_alone(self) -> bool {
        matches!(
            self,
            Self::Syntax | Self::WrongType | Self::BadValue | Self::OutOfBounds
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            remedy,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {message}\n  {remedy}")
    }
}
