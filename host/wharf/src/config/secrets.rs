//! Values that stand in no file: secrets of needs, settings of handlers. They
//! come from the environment, under names made of theirs.

/// The secret that `needs.toml` calls `${secret:NAME}`, from `WHARF_SECRET_NAME`.
pub fn need_secret(name: &str) -> Option<String> {
    read(&need_variable(name))
}

/// The value for a key that a manifest declares under `config` or `secrets`,
/// from `WHARF_SET_<HANDLER>__<KEY>`.
pub fn handler_value(handler: &str, key: &str) -> Option<String> {
    read(&value_variable(handler, key))
}

/// The environment variable of a need's secret.
pub(super) fn need_variable(name: &str) -> String {
    format!("WHARF_SECRET_{}", shell(name))
}

/// The environment variable of a handler's value. Two underscores stand
/// between the names: a name's own are never doubled by the others' ends.
pub fn value_variable(handler: &str, key: &str) -> String {
    format!("WHARF_SET_{}__{}", shell(handler), shell(key))
}

/// A name as shells take it.
fn shell(name: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(legal).collect()
}

/// An empty variable is no value: that is how shells and manifests unset one.
fn read(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_made_of_names_that_shells_take() {
        assert_eq!(need_variable("GATEWAY_TOKEN"), "WHARF_SECRET_GATEWAY_TOKEN");
        assert_eq!(
            value_variable("stock-keeper", "mail.from"),
            "WHARF_SET_STOCK_KEEPER__MAIL_FROM"
        );
    }
}
