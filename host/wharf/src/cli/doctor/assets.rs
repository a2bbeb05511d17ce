//! Whether every stream and consumer is there, in its shape.

use wharf_core::manifest::Manifest;
use wharf_core::place::Place;
use wharf_jetstream::api::Api;

use super::finding::{Finding, bad, good};
use crate::cli::failure::Failure;
use crate::cli::provision;

/// Looks at what `wharf provision` makes.
pub async fn look(
    api: &Api,
    place: &Place,
    manifests: &[&Manifest],
) -> Result<Vec<Finding>, Failure> {
    let steps = provision::survey(api, place, manifests).await?;
    let unwell: Vec<Finding> = steps
        .iter()
        .filter_map(|step| {
            let failure = step.shortfall()?;
            Some(bad("assets", failure.code, failure.message, failure.remedy))
        })
        .collect();
    match (unwell.is_empty(), steps.len()) {
        (true, 0) => Ok(Vec::new()),
        (true, n) => Ok(vec![good(
            "assets",
            format!("{n} streams, consumers and checkpoints are as they should be"),
        )]),
        (false, _) => Ok(unwell),
    }
}
