//! From `tracing` events to lines.

use time::OffsetDateTime;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::fields::Fields;
use super::line::{self, Line};
use super::sink::Sink;
use super::{Format, GUEST};

/// Makes a line of every event, with the fields of the spans around it.
#[derive(Debug)]
pub(super) struct LineLayer {
    format: Format,
    sink: Sink,
}

impl LineLayer {
    pub(super) fn new(format: Format, sink: Sink) -> Self {
        Self { format, sink }
    }
}

impl<S> Layer<S> for LineLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        let scope = context.event_scope(event).into_iter();
        for span in scope.flat_map(Scope::from_root) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.set_all(of_span);
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        let metadata = event.metadata();
        if metadata.target() == GUEST {
            own.embed("fields");
        }
        let message = own.take("message");
        fields.set_all(&own);
        self.sink.push(&line::render(
            self.format,
            &Line {
                time: OffsetDateTime::now_utc(),
                level: *metadata.level(),
                target: metadata.target(),
                message: message
                    .as_ref()
                    .and_then(|message| message.as_str())
                    .unwrap_or_default(),
                fields: &fields,
            },
        ));
    }
}
