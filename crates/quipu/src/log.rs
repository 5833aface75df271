//! What the process says of itself: lines for people, or one JSON object a line.
//!
//! The form is chosen before anything can be said, so that a command line that makes no sense, a
//! refused start, a panic and the last error have it too.

use std::ffi::OsString;
use std::fmt::{self, Debug};
use std::io;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The variable that chooses the form where the flag does not.
pub(crate) const VARIABLE: &str = "QUIPU_LOG_FORMAT";

/// Who speaks where no module does.
const SELF: &str = "quipu";

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

static FORM: OnceLock<Form> = OnceLock::new();

/// Chooses the form of all lines from what was typed, before it is understood: the flag of
/// `quipu serve`, else the environment. Other commands speak to people.
pub(crate) fn choose(arguments: impl Iterator<Item = OsString>, variable: Option<OsString>) {
    FORM.get_or_init(|| wanted(arguments, variable));
}

fn wanted(arguments: impl Iterator<Item = OsString>, variable: Option<OsString>) -> Form {
    let words: Vec<String> =
        arguments.map(|word| word.to_string_lossy().into_owned()).skip(1).collect();
    if words.first().is_none_or(|word| word != "serve") {
        return Form::Text;
    }
    let flag = "--log-format";
    let joined = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
    let apart = || words.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str);
    let said = joined.or_else(apart).map(str::to_owned);
    let said = said.or_else(|| variable.map(|text| text.to_string_lossy().into_owned()));
    if said.is_some_and(|word| word == "json") { Form::Json } else { Form::Text }
}

/// Whether lines are JSON.
pub(crate) fn is_json() -> bool {
    FORM.get().is_some_and(|form| *form == Form::Json)
}

/// Sends what the modules log to standard error, in the chosen form.
///
/// # Errors
/// The filter is not understood.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let understood = EnvFilter::try_new(filter).with_context(|| format!("--log-level {filter}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(understood).with_writer(io::stderr);
    if is_json() {
        builder.event_format(JsonLines).init();
    } else {
        builder.with_ansi(false).init();
    }
    Ok(())
}

/// Returns a line of JSON, without its end.
pub(crate) fn line(level: &str, message: &str, fields: &Map<String, Value>) -> String {
    object(level, SELF, message, fields)
}

/// Returns the line of a panic.
pub(crate) fn panicked(about: &PanicHookInfo<'_>) -> String {
    let payload = about.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let mut fields = Map::new();
    if let Some(place) = about.location() {
        fields.insert("place".to_owned(), json!(place.to_string()));
    }
    line("ERROR", &format!("a broken assertion: {}", text.unwrap_or("no message")), &fields)
}

fn object(level: &str, target: &str, message: &str, fields: &Map<String, Value>) -> String {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time)).expect("a string takes all");
    json!({ "time": time, "level": level, "target": target, "message": message, "fields": fields })
        .to_string()
}

/// Writes each event as one object.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let about = event.metadata();
        let line = object(about.level().as_str(), about.target(), &said.message, &said.fields);
        writeln!(writer, "{line}")
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn note(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, json!(value));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::panic;
    use std::sync::mpsc;
    use std::thread;

    use super::{Form, panicked, wanted};

    fn check(line: &str, variable: Option<&str>, expected: Form) {
        let words = line.split(' ').map(OsString::from);
        assert_eq!(wanted(words, variable.map(OsString::from)), expected, "{line} {variable:?}");
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_only_a_node_logs() {
        check("quipu serve --log-format json", None, Form::Json);
        check("quipu serve --nonsense --log-format=json", None, Form::Json);
        check("quipu serve", Some("json"), Form::Json);
        check("quipu serve --log-format text", Some("json"), Form::Text);
        check("quipu serve --log-format", None, Form::Text);
        check("quipu serve --log-format nonsense", None, Form::Text);
        check("quipu add --log-format json", Some("json"), Form::Text);
    }

    #[test]
    fn a_panic_is_one_object_with_its_place() {
        let (sender, receiver) = mpsc::sync_channel(1);
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |about| {
            // Other tests may panic at the same time; theirs are told as ever.
            if about.payload().downcast_ref::<&str>() == Some(&"a broken\nassertion") {
                sender.send(panicked(about)).expect("the test waits");
            } else {
                tell(about);
            }
        }));
        drop(thread::spawn(|| panic!("a broken\nassertion")).join());
        let line = receiver.recv().expect("the hook ran");
        assert!(!line.contains('\n'), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["message"], "a broken assertion: a broken\nassertion");
        assert!(object["fields"]["place"].as_str().is_some_and(|place| place.contains("log.rs")));
    }
}
