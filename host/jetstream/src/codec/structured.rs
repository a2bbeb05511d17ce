//! CloudEvents in structured mode, JSON format.
//!
//! `data` is taken as it stands in the source text, not parsed and written
//! again: numbers keep their digits and objects their order. The one exception
//! is a text under a content type that is not JSON, whose content is the data.
//! `data_base64` is decoded.

use super::fields::{Attributes, Fields};
use super::json::{self, Members};
use super::{cloud_event, is_json, media_type};
use crate::pull::Delivery;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use wharf_core::event::{Event, Undecodable};

const FORMAT: &str = "application/cloudevents+json";

pub(super) fn decode(
    delivery: &Delivery,
    fields: Fields<'_>,
    content_type: &str,
) -> Result<Event, Undecodable> {
    let media_type_found = media_type(content_type);
    if media_type_found != FORMAT {
        return Err(invalid(format!(
            "the format `{media_type_found}` is not `{FORMAT}`"
        )));
    }
    let members = json::members(&delivery.payload).map_err(|error| invalid(error.to_string()))?;
    if let Some(name) = members.repeated() {
        return Err(invalid(format!("the member `{name}` is there twice")));
    }
    let mut event = cloud_event(delivery, fields, attributes(&members)?)?;
    event.data = data(&delivery.payload, &members, &event.content_type)?;
    Ok(event)
}

fn attributes<'a>(members: &'a Members<'_>) -> Result<Attributes<'a>, Undecodable> {
    let mut attributes = Vec::new();
    let named = members
        .0
        .iter()
        .filter(|(name, _)| name != "data" && name != "data_base64");
    for (name, value) in named {
        if let Some(value) = attribute(name, value)? {
            attributes.push((name.into(), value));
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// The text of an attribute; None for null, which means that it is not set.
fn attribute(name: &str, value: &RawValue) -> Result<Option<String>, Undecodable> {
    let parsed = serde_json::from_str::<Value>(value.get());
    match parsed.map_err(|error| invalid(error.to_string()))? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.get().to_owned())),
        Value::Array(_) | Value::Object(_) => Err(invalid(format!(
            "the attribute `{name}` is neither text, number nor boolean"
        ))),
    }
}

fn data(payload: &Bytes, members: &Members<'_>, content_type: &str) -> Result<Bytes, Undecodable> {
    match (members.get("data"), members.get("data_base64")) {
        (Some(_), Some(_)) => Err(invalid(
            "`data` and `data_base64` exclude each other".into(),
        )),
        (None, None) => Ok(Bytes::new()),
        (None, Some(base64)) => {
            let text = json::text(base64);
            let text = text.ok_or_else(|| invalid("`data_base64` is not a text".into()))?;
            let bytes = STANDARD.decode(text);
            bytes
                .map(Bytes::from)
                .map_err(|error| invalid(format!("`data_base64`: {error}")))
        }
        (Some(data), None) => match json::text(data) {
            Some(text) if !is_json(&media_type(content_type)) => Ok(text.into()),
            Some(_) | None => Ok(json::source(payload, data)),
        },
    }
}

fn invalid(reason: String) -> Undecodable {
    Undecodable::Structured { reason }
}
