//! What the SDK promises of decoding, state, failures, effects and imports.

mod effects;
mod failures;
mod imports;
mod inputs;
mod state;
