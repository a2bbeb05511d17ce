//! Why a component is refused, and what to do about it.

use wharf_core::outcome::GuestFault;

/// A component that this host does not run. The version that ran before goes
/// on running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// More bytes than the host loads.
    #[error("the component has {bytes} bytes; this host loads at most {max}")]
    TooLarge {
        /// What it has.
        bytes: u64,
        /// What the host is configured for.
        max: u64,
    },
    /// The bytes are something else.
    #[error("these bytes are not WebAssembly")]
    NotWasm,
    /// A module where a component is needed.
    #[error("this is a core WebAssembly module, not a component")]
    CoreModule,
    /// WebAssembly that does not decode, validate or compile here.
    #[error("the component is not valid: {detail}")]
    Invalid {
        /// As the compiler says it.
        detail: String,
    },
    /// It needs interfaces that this host does not have.
    #[error("the component imports what this host does not have: {}", names.join(", "))]
    UnknownImports {
        /// Every such import, in the component's order.
        names: Vec<String>,
    },
    /// It imports a known interface with other types.
    #[error("the component was built against another shape of an interface: {detail}")]
    ImportShape {
        /// As the linker says it.
        detail: String,
    },
    /// It has no handler.
    #[error("the component does not export {wanted}; it exports: {}", exports.join(", "))]
    MissingExport {
        /// The interface that is called.
        wanted: &'static str,
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It exports the handler, or its migration, with other types.
    #[error("the component's handler has another shape: {detail}")]
    ExportShape {
        /// As the linker says it.
        detail: String,
    },
    /// The manifest asks for more memory than the host gives to one instance.
    #[error("limits.memory is {asked} bytes; this host gives an instance at most {max}")]
    MemoryLimit {
        /// `limits.memory` in bytes.
        asked: u64,
        /// What the host is configured for.
        max: u64,
    },
    /// It could not even be started.
    #[error("the component fails when it is started: {}: {}", fault.kind.code(), fault.message)]
    Start {
        /// What happened, with frames and the end of stderr.
        fault: GuestFault,
    },
    /// The host failed; the component may be fine.
    #[error("the host could not load the component: {reason}")]
    Host {
        /// What went wrong.
        reason: String,
    },
}

impl LoadError {
    /// The code that logs, the API and the error pages carry.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component-too-large",
            Self::NotWasm => "component-not-wasm",
            Self::CoreModule => "component-core-module",
            Self::Invalid { .. } => "component-invalid",
            Self::UnknownImports { .. } => "component-unknown-imports",
            Self::ImportShape { .. } => "component-import-shape",
            Self::MissingExport { .. } => "component-missing-export",
            Self::ExportShape { .. } => "component-export-shape",
            Self::MemoryLimit { .. } => "component-memory-limit",
            Self::Start { .. } => "component-start",
            Self::Host { .. } => "component-host",
        }
    }

    /// What to do next, in one or two sentences.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => {
                "Build with optimisation and without debug information, or raise the host's bound."
            }
            Self::NotWasm => {
                "Check the path and that the file was copied whole; deploy the .wasm file itself."
            }
            Self::CoreModule => {
                "Build for wasm32-wasip2, or make a component with `wasm-tools component new`."
            }
            Self::Invalid { .. } => {
                "Build again with a toolchain for WASI 0.2; asynchronous components are not \
                 supported."
            }
            Self::UnknownImports { .. } => {
                "Remove what needs them: a handler reaches the outside through the interfaces of \
                 `wharf:handler` only."
            }
            Self::ImportShape { .. } | Self::ExportShape { .. } => {
                "Build against the WIT of this host's version, from `wit/`."
            }
            Self::MissingExport { .. } => "Build for the world `service` of `wharf:handler`.",
            Self::MemoryLimit { .. } => {
                "Lower `limits.memory` in handler.toml, or raise the host's bound."
            }
            Self::Start { .. } => {
                "Look at the message and the frames: code that runs before the first event \
                 failed, or needs more than the limits give."
            }
            Self::Host { .. } => "Look at the host's log, then load it again.",
        }
    }
}
