//! Why a command ends without success, said so that an operator can act on it.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use wharf_core::config::Problem;
use wharf_engine::LoadError;
use wharf_jetstream::api::code as refusal;
use wharf_jetstream::error::Error as BrokerError;

use crate::codes::Code;

/// An error with its code, its place and its remedy. Displayed as one line;
/// [`Failure::shown`] is the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: Code,
    /// What happened, without a full stop.
    pub message: String,
    /// The file, address, stream or handler that it is about.
    pub place: Option<String>,
    /// What to do next.
    pub remedy: String,
    /// What is wrong in files, each with line and remedy of its own.
    pub problems: Vec<Problem>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let remedy = code.remedy().to_owned();
        Self {
            code,
            message: message.into(),
            place: None,
            remedy,
            problems: Vec::new(),
        }
    }

    /// The configuration has problems.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let files: std::collections::BTreeSet<_> =
            problems.iter().map(|problem| &problem.file).collect();
        let place = files.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let message = match problems.len() {
            1 => "the configuration has 1 problem".to_owned(),
            n => format!("the configuration has {n} problems"),
        };
        Self {
            problems,
            ..Self::new(Code::Problems, message).place(place)
        }
    }

    #[must_use]
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// As people read it: what, where, what to do, where more is written.
    pub fn shown(&self) -> impl fmt::Display + '_ {
        Shown(self)
    }
}

struct Shown<'a>(&'a Failure);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure {
            code,
            message,
            place,
            remedy,
            problems,
        } = self.0;
        for problem in problems {
            writeln!(f, "{problem}")?;
        }
        writeln!(f, "error[{code}]: {message}")?;
        if let Some(place) = place {
            writeln!(f, "  {place}")?;
        }
        writeln!(f, "  {remedy}")?;
        write!(f, "  {}", code.page())
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = if self.problems.is_empty() { 5 } else { 6 };
        let mut out = serializer.serialize_struct("Failure", fields)?;
        out.serialize_field("code", self.code.as_str())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("place", &self.place)?;
        out.serialize_field("remedy", &self.remedy)?;
        out.serialize_field("page", &self.code.page())?;
        if !self.problems.is_empty() {
            out.serialize_field("problems", &self.problems)?;
        }
        out.end()
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        let failure = Self::new(broker_code(&error), error.to_string());
        match error {
            BrokerError::File { file, .. } | BrokerError::ContextKey { file, .. } => {
                failure.place(file.display().to_string())
            }
            BrokerError::Refused { servers }
            | BrokerError::Unauthorized { servers }
            | BrokerError::Tls { servers, .. }
            | BrokerError::Unreachable { servers, .. } => failure.place(servers),
            BrokerError::ServerAddress { server, .. } => failure.place(server),
            BrokerError::Denied { subject, .. }
            | BrokerError::TimedOut { subject, .. }
            | BrokerError::NoResponder { subject }
            | BrokerError::Unsendable { subject, .. }
            | BrokerError::Api { subject, .. }
            | BrokerError::Malformed { subject, .. } => failure.place(subject),
            BrokerError::Lagging { stream } => failure.place(stream),
            BrokerError::NoServers | BrokerError::Closed => failure,
        }
    }
}

fn broker_code(error: &BrokerError) -> Code {
    match error {
        BrokerError::File { .. } | BrokerError::ContextKey { .. } => Code::ConnectionFile,
        BrokerError::NoServers | BrokerError::ServerAddress { .. } => Code::ServerAddress,
        BrokerError::Refused { .. } | BrokerError::Unreachable { .. } => Code::Unreachable,
        BrokerError::Unauthorized { .. } => Code::Unauthorized,
        BrokerError::Tls { .. } => Code::Tls,
        BrokerError::Closed => Code::ConnectionLost,
        BrokerError::Denied { .. } => Code::Denied,
        BrokerError::TimedOut { .. } | BrokerError::Lagging { .. } => Code::Unanswered,
        // Nobody serves the API: JetStream is off, or its leader is away.
        BrokerError::NoResponder { .. } => Code::JetStreamDisabled,
        BrokerError::Unsendable { .. } => Code::TooLarge,
        BrokerError::Api { err_code, .. } => match *err_code {
            refusal::NOT_ENABLED | refusal::NOT_ENABLED_FOR_ACCOUNT => Code::JetStreamDisabled,
            refusal::REQUIRED_API_LEVEL => Code::ServerTooOld,
            refusal::STREAM_NOT_FOUND | refusal::CONSUMER_NOT_FOUND => Code::AssetMissing,
            refusal::STREAM_NAME_IN_USE | refusal::CONSUMER_EXISTS | refusal::SUBJECTS_OVERLAP => {
                Code::AssetDiffers
            }
            refusal::INSUFFICIENT_STORAGE => Code::StreamFull,
            _ => Code::BrokerRefused,
        },
        BrokerError::Malformed { .. } => Code::AnswerUnknown,
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(component_code(&error), error.to_string()).remedy(error.remedy())
    }
}

/// The page of a component that this host does not run.
pub fn component_code(error: &LoadError) -> Code {
    match error {
        LoadError::NotWasm | LoadError::Invalid { .. } => Code::ComponentCorrupt,
        LoadError::CoreModule => Code::ComponentIsModule,
        LoadError::UnknownImports { .. } => Code::UnknownImport,
        LoadError::ImportShape { .. }
        | LoadError::MissingExport { .. }
        | LoadError::ExportShape { .. } => Code::WrongWorld,
        LoadError::TooLarge { .. } | LoadError::MemoryLimit { .. } => Code::ComponentTooLarge,
        LoadError::Start { .. } => Code::ComponentStart,
        LoadError::Host { .. } => Code::Engine,
    }
}

impl From<wharf_engine::Error> for Failure {
    fn from(error: wharf_engine::Error) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::new(Code::Engine, message)
    }
}

/// What other code gives up with; its own code goes before a general one.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let error = match error.downcast::<BrokerError>() {
            Ok(broker) => return broker.into(),
            Err(error) => error,
        };
        match error.downcast::<LoadError>() {
            Ok(component) => component.into(),
            Err(error) => Self::new(Code::Unexpected, format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_code_gives_up_with_keeps_its_own_code() {
        let named = anyhow::Error::new(Failure::new(Code::PortInUse, "in use"));
        assert_eq!(Failure::from(named).code, Code::PortInUse);
        let broker = anyhow::Error::new(BrokerError::Refused {
            servers: "nats://h:1".into(),
        });
        let failure = Failure::from(broker);
        assert_eq!(
            (failure.code, failure.place.as_deref()),
            (Code::Unreachable, Some("nats://h:1"))
        );
        let other = Failure::from(anyhow::anyhow!("disk").context("writing"));
        assert_eq!(
            (other.code, other.message.as_str()),
            (Code::Unexpected, "writing: disk")
        );
    }

    #[test]
    fn a_failure_is_shown_with_place_remedy_and_page() {
        let failure = Failure::new(Code::PortInUse, "port 8080 is in use")
            .place("127.0.0.1:8080")
            .remedy("free it");
        let shown = failure.shown().to_string();
        assert_eq!(
            shown,
            "error[WH0501]: port 8080 is in use\n  127.0.0.1:8080\n  free it\n  docs/errors/WH0501.md"
        );
    }
}
