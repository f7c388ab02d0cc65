//! One JSON object per line: `timestamp`, `level`, `component`, `message`, and the fields of the event and of all its
//! spans, each key once.
//!
//! Why not a ready-made formatter: tracing-subscriber's nests the spans, which hides the trace id, and json-subscriber
//! writes a key twice when a span and its event both have it.

use std::{collections::BTreeMap, fmt, io::Write};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

/// The layer.
pub(super) struct Json<W> {
    writer: W,
}

impl<W> Json<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// The fields that a span was made with, kept beside it.
struct SpanFields(BTreeMap<&'static str, Value>);

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = BTreeMap::new();
        attributes.record(&mut Collect(&mut fields));
        // Two of these layers (terminal and file) share the span: the first one's fields serve both.
        if span.extensions().get::<SpanFields>().is_none() {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut Collect(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(SpanFields(of_span)) = span.extensions().get::<SpanFields>() {
                    fields.extend(of_span.iter().map(|(key, value)| (*key, value.clone())));
                }
            }
        }
        event.record(&mut Collect(&mut fields));
        let mut line = Map::new();
        line.insert("timestamp".into(), format!("{:.3}", Timestamp::now()).into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("component".into(), event.metadata().target().into());
        line.insert("message".into(), fields.remove("message").unwrap_or_default());
        line.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // There is nowhere left to complain to when the log itself cannot be written.
        self.writer.make_writer_for(event.metadata()).write_all(text.as_bytes()).ok();
    }
}

/// Gathers fields as JSON. Absent optional fields are left out.
struct Collect<'a>(&'a mut BTreeMap<&'static str, Value>);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.0.insert(field.name(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_in_nested_spans_has_the_trace_id_once_at_its_top() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(Json::new(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("outer", trace_id = "4bf9", agent = "a");
            let _outer = outer.enter();
            let inner = tracing::info_span!("inner", tool = "search");
            let _inner = inner.enter();
            tracing::warn!(trace_id = "4bf9", missing = None::<&str>, tries = 3, "The tool failed.");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("trace_id").count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["trace_id"], "4bf9");
        assert_eq!(
            (line["agent"].as_str(), line["tool"].as_str(), line["tries"].as_i64()),
            (Some("a"), Some("search"), Some(3))
        );
        assert_eq!((line["level"].as_str(), line["message"].as_str()), (Some("WARN"), Some("The tool failed.")));
        assert!(line.get("missing").is_none() && line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
