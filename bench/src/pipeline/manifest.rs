//! The handler's manifest for each row.

use super::{Delivery, Instance, Promise};

/// `handler.toml` of the row.
pub fn of(delivery: Delivery) -> String {
    let promise = match delivery.promise {
        Promise::AtLeastOnce => "ordering = \"none\"\ndelivery = \"at-least-once\"",
        Promise::EffectOnce => "ordering = \"none\"",
        Promise::EffectOnceByKey => "ordering = \"key\"",
    };
    let instance = match delivery.instance {
        Instance::Fresh => "fresh",
        Instance::Reuse => "reuse",
    };
    format!(
        r#"name = "echo"
stream = "IN"
start = "all"
{promise}
instance = "{instance}"

[[on]]
subjects = ["in.{{key}}"]
key = "{{key}}"

[emits]
"bench.done" = "out.{{key}}"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_accepts_every_rows_manifest() {
        for promise in [
            Promise::AtLeastOnce,
            Promise::EffectOnce,
            Promise::EffectOnceByKey,
        ] {
            for instance in [Instance::Fresh, Instance::Reuse] {
                let text = of(Delivery { promise, instance });
                let read = wharf_core::manifest::parse("handler.toml", &text);
                assert!(read.is_ok(), "{text}\n{:?}", read.err());
            }
        }
    }
}
