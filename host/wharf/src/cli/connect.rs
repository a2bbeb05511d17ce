//! A connection for one command: tried once, and refused clearly.

use wharf_jetstream::api::Api;
use wharf_jetstream::connection::{self, Purpose, Settings};

use super::failure::Failure;

/// Connects, trying once.
///
/// # Errors
/// Which of address, network, TLS and credentials failed, with the address.
pub async fn connect(settings: &Settings) -> Result<Api, Failure> {
    Ok(Api::new(
        connection::connect(settings, &Purpose::Control).await?,
    ))
}
