//! Looks at a bundle's component as a host would: compiles it, checks what it
//! imports and exports, and starts it once.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use wharf_core::manifest::Manifest;
use wharf_engine::{Component as Loaded, LoadError, Outbound, Runtime, RuntimeConfig, Settings};

use super::{ERROR, Finding};
use crate::bundle::Bundle;
use crate::cli::failure::{Failure, component_code};

/// What is known of a component.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Component {
    /// A host would run it.
    Sound {
        digest: String,
    },
    Refused,
    /// There is no handler.wasm.
    Missing,
    /// It was not asked for.
    NotChecked,
}

/// How closely components are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Skip,
    /// Compiled, checked, and started once.
    Thorough,
}

/// Sets an engine up for the first component that it sees.
pub struct Looker {
    look: Look,
    engine: OnceCell<(Runtime, Arc<Outbound>)>,
}

impl Looker {
    pub fn new(look: Look) -> Self {
        Self {
            look,
            engine: OnceCell::new(),
        }
    }

    /// The component's state, and why a host would not run it.
    ///
    /// # Errors
    /// The engine cannot be set up, or the file cannot be read.
    pub async fn look(&self, bundle: &Bundle) -> Result<(Component, Option<Finding>), Failure> {
        if self.look == Look::Skip {
            return Ok((Component::NotChecked, None));
        }
        if !bundle.wasm_path().is_file() {
            return Ok((Component::Missing, None));
        }
        match self.load(bundle).await? {
            Ok(component) => {
                let digest: String = component
                    .digest()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                Ok((Component::Sound { digest }, None))
            }
            Err(error) => {
                let finding = Finding {
                    file: bundle.wasm_path().display().to_string(),
                    line: None,
                    column: None,
                    severity: ERROR,
                    code: component_code(&error).to_string(),
                    message: error.to_string(),
                    remedy: error.remedy().to_owned(),
                };
                Ok((Component::Refused, Some(finding)))
            }
        }
    }

    /// For what is about to be deployed.
    ///
    /// # Errors
    /// A host would not run it.
    pub async fn require(&self, bundle: &Bundle) -> Result<(), Failure> {
        match self.load(bundle).await? {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::from(error).place(bundle.wasm_path().display().to_string())),
        }
    }

    async fn load(&self, bundle: &Bundle) -> Result<Result<Arc<Loaded>, LoadError>, Failure> {
        let (runtime, outbound) = self.engine()?;
        let settings = settings(&bundle.manifest, outbound);
        Ok(runtime.load(bundle.wasm()?, settings).await)
    }

    fn engine(&self) -> Result<&(Runtime, Arc<Outbound>), Failure> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let config = RuntimeConfig {
            max_instances: 1,
            max_warm: 0,
            ..RuntimeConfig::default()
        };
        let engine = (Runtime::new(config)?, Arc::new(Outbound::none()?));
        Ok(self.engine.get_or_init(|| engine))
    }
}

/// As a host has them, but for values and places: nothing is called.
fn settings(manifest: &Manifest, outbound: &Arc<Outbound>) -> Settings {
    Settings {
        handler: manifest.name.as_str().into(),
        limits: manifest.limits.clone(),
        config: Default::default(),
        needs: manifest.needs.clone(),
        metrics: manifest.metrics.clone(),
        instance: manifest.instance,
        state_version: manifest.state.as_ref().map_or(1, |state| state.version),
        outbound: outbound.clone(),
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound { digest } => write!(f, "sha256-{}", &digest[..12]),
            Self::Refused => f.write_str("refused"),
            Self::Missing => f.write_str("no handler.wasm"),
            Self::NotChecked => f.write_str("not checked"),
        }
    }
}
