//! Structured log lines. The host adds time, handler, version, event id, key
//! and trace id. Keep payloads and secrets out of them.

pub use crate::wire::log::Level;

/// One line at a level. Fields are names and values.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (String::from(*name), String::from(*value)))
        .collect();
    crate::host::write(level, message, &fields);
}

/// For following a single event.
pub fn debug(message: &str, fields: &[(&str, &str)]) {
    write(Level::Debug, message, fields);
}

/// What happened in the ordinary course.
pub fn info(message: &str, fields: &[(&str, &str)]) {
    write(Level::Info, message, fields);
}

/// Odd, and coped with.
pub fn warn(message: &str, fields: &[(&str, &str)]) {
    write(Level::Warn, message, fields);
}

/// Somebody should look.
pub fn error(message: &str, fields: &[(&str, &str)]) {
    write(Level::Error, message, fields);
}
