//! A connection for one command: tried once, and refused clearly.

use wharf_jetstream::api::Api;
use wharf_jetstream::connection::{self, Purpose, Settings};
use wharf_jetstream::registry::Registry;

use super::failure::Failure;
use super::provision::require_capable;
use crate::config::PlaceArgs;

/// The registry of a place.
///
/// # Errors
/// As [`connect`]; the broker cannot serve.
pub async fn registry(place: &PlaceArgs, command: &str) -> Result<Registry, Failure> {
    let setting = place.load(command)?;
    let api = connect(&setting.connection).await?;
    require_capable(api.connection()).await?;
    Ok(Registry::open(api.connection().clone()).await?)
}

/// Connects, trying once.
///
/// # Errors
/// Which of address, network, TLS and credentials failed, with the address.
pub async fn connect(settings: &Settings) -> Result<Api, Failure> {
    Ok(Api::new(
        connection::connect(settings, &Purpose::Control).await?,
    ))
}
