//! What a client orders: one of two tests with its rates and spans, checked field by field.

use std::fmt::Display;

use quipu_lab::scenario::{Load, Phase, Rate, Scenario, Shape, built_in};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stdx::units::Nanos;

use crate::serve::Caps;
use crate::serve::refusal::Refusal;
use crate::serve::span;

/// The longest name of a test, in characters. Guess: a line.
const NAME_CHARS_MAX: usize = 100;
/// The shortest phase: below, it has no window.
const SPAN_MIN: Nanos = Nanos::from_millis(100);
/// The stall, in seconds of the greatest rate, for which there is room in flight unless asked
/// otherwise: the timeout of the built-in targets.
const STALL_S: u64 = 2;

/// Which test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A calm rate, a burst, the calm rate again.
    Burst,
    /// A rate that grows in a line and is then held.
    Ramp,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A name for people.
    Name,
    /// A URL of the allowlist.
    Target,
    /// Requests per second.
    Rate(u64),
    /// A span of ISO 8601, by default so many seconds; may be zero where the last is set.
    Span(u64, bool),
    /// Requests on the way at once.
    InFlight,
}

/// A field of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Its name in the body.
    pub(crate) name: &'static str,
    /// What it holds, and its default.
    pub(crate) form: Form,
    /// What it is about, in words.
    pub(crate) about: &'static str,
}

const fn field(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, about }
}

const NAME: Field = field("testName", Form::Name, "what reports call the test");
const TARGET: Field = field("target", Form::Target, "a URL that this service may test");
const WARM_UP: Field =
    field("warmupDuration", Form::Span(0, true), "at the first rate, no part of the result");
const IN_FLIGHT: Field =
    field("maxInFlight", Form::InFlight, "the most requests on the way at once");
/// The two rates and the two spans stand at these places.
const RATES: usize = 1;
const SPANS: usize = 3;

const BURST: [Field; 8] = [
    NAME,
    field("baselineRatePerSecond", Form::Rate(5_000), "before and after the burst"),
    field("burstRatePerSecond", Form::Rate(20_000), "in the burst"),
    field("baselineDuration", Form::Span(120, false), "before the burst, and again after it"),
    field("burstDuration", Form::Span(60, false), "of the burst"),
    TARGET,
    WARM_UP,
    IN_FLIGHT,
];
const RAMP: [Field; 8] = [
    NAME,
    field("startRatePerSecond", Form::Rate(1_000), "at the start of the ramp"),
    field("endRatePerSecond", Form::Rate(15_000), "at its end, and held from there"),
    field("rampDuration", Form::Span(600, false), "of the ramp"),
    field("holdDuration", Form::Span(300, false), "of the hold after it"),
    TARGET,
    WARM_UP,
    IN_FLIGHT,
];

impl Kind {
    /// Its name, which is that of the built-in scenario.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Burst => "burst",
            Self::Ramp => "ramp",
        }
    }

    /// The fields of its order.
    pub(crate) const fn fields(self) -> &'static [Field; 8] {
        match self {
            Self::Burst => &BURST,
            Self::Ramp => &RAMP,
        }
    }
}

/// A test that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Which test.
    pub(crate) kind: Kind,
    /// What reports call it.
    pub(crate) test_name: String,
    /// What is tested: a URL of the allowlist as it stands there.
    pub(crate) target: String,
    rates: [u64; 2],
    spans: [Nanos; 2],
    warm_up: Nanos,
    in_flight: u32,
}

/// What was sent, and what it is checked against.
struct Reader<'a> {
    body: &'a Map<String, Value>,
    caps: &'a Caps,
    targets: &'a [String],
}

impl Order {
    /// Reads the body of a request. An empty one orders the test with its defaults.
    ///
    /// # Errors
    /// It is no JSON object, or a field cannot be so.
    pub(crate) fn read(
        kind: Kind,
        body: &[u8],
        caps: &Caps,
        targets: &[String],
    ) -> Result<Self, Refusal> {
        let empty = || Ok(Value::Object(Map::new()));
        let read =
            || serde_json::from_slice(body).map_err(|e| Refusal::Body { why: e.to_string() });
        let value: Value = if body.trim_ascii().is_empty() { empty() } else { read() }?;
        let Value::Object(body) = &value else {
            return Err(Refusal::Body { why: "it is another value".to_owned() });
        };
        let fields = kind.fields();
        known(body, fields)?;
        let reader = Reader { body, caps, targets };
        let rates = [reader.rate(&fields[RATES])?, reader.rate(&fields[RATES + 1])?];
        if kind == Kind::Burst && rates[1] < rates[0] {
            let least = format!("a burst has at least the baseline's rate, {}", rates[0]);
            return Err(refuse(fields[RATES + 1].name, json!(rates[1]), least));
        }
        let order = Self {
            kind,
            test_name: reader.name(kind)?,
            target: reader.target()?,
            rates,
            spans: [reader.span(&fields[SPANS])?, reader.span(&fields[SPANS + 1])?],
            warm_up: reader.span(&WARM_UP)?,
            in_flight: reader.in_flight(rates[0].max(rates[1]))?,
        };
        order.within(caps)
    }

    /// Refuses what lasts too long as a whole.
    fn within(self, caps: &Caps) -> Result<Self, Refusal> {
        if self.lasts() <= caps.duration {
            return Ok(self);
        }
        let (first, second) = (self.spans[0], self.spans[1]);
        let fields = self.kind.fields();
        let (worst, value) = if first >= second { (SPANS, first) } else { (SPANS + 1, second) };
        let remedy = format!(
            "the whole test would last {}, and may last {} here",
            span::text(self.lasts()),
            span::text(caps.duration)
        );
        Err(refuse(fields[worst].name, json!(span::text(value)), remedy))
    }

    /// How long it is planned to last.
    pub(crate) fn lasts(&self) -> Nanos {
        let again = if self.kind == Kind::Burst { self.spans[0].0 } else { 0 };
        let all = [self.warm_up.0, self.spans[0].0, self.spans[1].0, again];
        Nanos(all.into_iter().fold(0, u64::saturating_add))
    }

    /// The order as it was understood, defaults filled in.
    pub(crate) fn echo(&self) -> Value {
        let fields = self.kind.fields();
        json!({
            "testName": self.test_name,
            fields[RATES].name: self.rates[0],
            fields[RATES + 1].name: self.rates[1],
            fields[SPANS].name: span::text(self.spans[0]),
            fields[SPANS + 1].name: span::text(self.spans[1]),
            "target": self.target,
            "warmupDuration": span::text(self.warm_up),
            "maxInFlight": self.in_flight,
        })
    }

    /// The scenario: the built-in one of its kind with these figures.
    ///
    /// # Errors
    /// The target cannot be tested.
    pub(crate) fn scenario(&self) -> Result<Scenario, Refusal> {
        let built = built_in(self.kind.name(), &self.target);
        let mut scenario =
            built.map_err(|e| refuse("target", json!(self.target), e.to_string()))?;
        scenario.name.clone_from(&self.test_name);
        scenario.arrival.max_in_flight = self.in_flight;
        scenario.phases.iter_mut().for_each(|phase| self.shape(phase));
        scenario.phases.retain(|phase| phase.lasts > Nanos(0));
        Ok(scenario)
    }

    fn shape(&self, phase: &mut Phase) {
        let [low, high] = self.rates.map(Rate::whole);
        let [first, second] = self.spans;
        (phase.load, phase.lasts) = match phase.name.as_str() {
            "warmup" => (Load::Rate(low), self.warm_up),
            "baseline" | "recovery" => (Load::Rate(low), first),
            "ramp" => (Load::Ramp { from: low, to: high, shape: Shape::Linear }, first),
            _ => (Load::Rate(high), second),
        };
        phase.window = phase.window.min(phase.lasts);
    }
}

/// Refuses a member that nothing reads.
fn known(body: &Map<String, Value>, fields: &[Field]) -> Result<(), Refusal> {
    let stranger = body.iter().find(|(name, _)| fields.iter().all(|field| field.name != *name));
    match stranger {
        None => Ok(()),
        Some((name, value)) => {
            let names: Vec<_> = fields.iter().map(|field| field.name).collect();
            Err(refuse(
                name,
                value.clone(),
                format!("leave it out; there are {}", names.join(", ")),
            ))
        }
    }
}

fn refuse(field: &str, value: Value, remedy: impl Display) -> Refusal {
    Refusal::Field { field: field.to_owned(), value, remedy: remedy.to_string() }
}

impl Reader<'_> {
    fn name(&self, kind: Kind) -> Result<String, Refusal> {
        let Some(value) = self.body.get(NAME.name) else { return Ok(kind.name().to_owned()) };
        let text = value.as_str().filter(|text| {
            (1..=NAME_CHARS_MAX).contains(&text.chars().count())
                && !text.chars().any(char::is_control)
        });
        let remedy =
            || format!("1 to {NAME_CHARS_MAX} characters, none of them a control character");
        text.map(str::to_owned).ok_or_else(|| refuse(NAME.name, value.clone(), remedy()))
    }

    fn target(&self) -> Result<String, Refusal> {
        let Some(value) = self.body.get(TARGET.name) else {
            return Ok(self.targets.first().cloned().unwrap_or_default());
        };
        let wanted = value.as_str().map(|url| url.trim_end_matches('/'));
        let known = self.targets.iter().find(|target| Some(target.as_str()) == wanted);
        let remedy = || format!("there are {}", self.targets.join(", "));
        known.cloned().ok_or_else(|| Refusal::Target { value: value.clone(), remedy: remedy() })
    }

    fn rate(&self, field: &Field) -> Result<u64, Refusal> {
        let Form::Rate(default) = field.form else { return Ok(0) };
        self.whole(field.name, default.min(self.caps.rate), self.caps.rate)
    }

    fn in_flight(&self, peak: u64) -> Result<u32, Refusal> {
        let most = self.caps.in_flight;
        let default = peak.saturating_mul(STALL_S).min(u64::from(most));
        self.whole(IN_FLIGHT.name, default, most.into()).map(|n| n as u32)
    }

    /// A whole number from 1 to `most`.
    fn whole(&self, name: &str, default: u64, most: u64) -> Result<u64, Refusal> {
        let Some(value) = self.body.get(name) else { return Ok(default) };
        let number = value.as_u64().filter(|number| (1..=most).contains(number));
        let remedy = || format!("a whole number from 1 to {most}");
        number.ok_or_else(|| refuse(name, value.clone(), remedy()))
    }

    fn span(&self, field: &Field) -> Result<Nanos, Refusal> {
        let Form::Span(default_s, may_be_zero) = field.form else { return Ok(Nanos(0)) };
        let Some(value) = self.body.get(field.name) else { return Ok(Nanos::from_secs(default_s)) };
        let most = self.caps.duration;
        let fits = |span: &Nanos| (may_be_zero && span.0 == 0) || (SPAN_MIN..=most).contains(span);
        let remedy = || {
            let or_none = if may_be_zero { "PT0S, or " } else { "" };
            let (least, most) = (span::text(SPAN_MIN), span::text(most));
            format!("{or_none}a duration of ISO 8601 such as PT2M, from {least} to {most}")
        };
        let read = value.as_str().and_then(span::parse).filter(fits);
        read.ok_or_else(|| refuse(field.name, value.clone(), remedy()))
    }
}

#[cfg(test)]
mod tests {
    use quipu_lab::schedule::Schedule;
    use stdx::units::Nanos;

    use super::{Kind, Order};
    use crate::serve::Caps;

    fn read(kind: Kind, body: &str) -> Order {
        let targets = ["http://127.0.0.1:7412".to_owned()];
        Order::read(kind, body.as_bytes(), &Caps::default(), &targets).expect("it is good")
    }

    #[test]
    fn the_tests_as_users_describe_them_have_their_totals_exactly() {
        let burst = r#"{"testName":"b","baselineRatePerSecond":5000,"burstRatePerSecond":20000,
            "baselineDuration":"PT2M","burstDuration":"PT1M"}"#;
        for (kind, body, total, minutes) in [
            (Kind::Burst, burst, 2_400_000, 5),
            (Kind::Burst, "", 2_400_000, 5),
            (Kind::Ramp, "{}", 9_300_000, 15),
        ] {
            let order = read(kind, body);
            let schedule = Schedule::of(&order.scenario().expect("it can be tested"));
            assert_eq!(schedule.total(), total, "{body}");
            assert_eq!(order.lasts(), Nanos::from_secs(minutes * 60), "{body}");
            assert_eq!(order.lasts().0, schedule.duration_ns());
        }
    }

    #[test]
    fn an_order_that_is_sent_back_is_the_same_order() {
        let order = read(Kind::Ramp, r#"{"warmupDuration":"PT1S","maxInFlight":7}"#);
        assert_eq!(read(Kind::Ramp, &order.echo().to_string()), order);
        let scenario = order.scenario().expect("it can be tested");
        assert_eq!((scenario.phases.len(), scenario.arrival.max_in_flight), (3, 7));
    }
}
