//! Scenarios as people write them: what is understood, what is refused and how.

use stdx::units::Nanos;

use crate::scenario::{
    BUILT_IN, Counts, Delta, Format, HttpVersion, Late, Load, Model, Pacing, Process, Protocol,
    Rate, Request, Reuse, Scenario, Shape, Tokens, built_in,
};
use crate::schedule::{self, Schedule};

const REFERENCE: &str = r#"
version = 1
name = "burst"
seed = 42
[target]
kind = "http"
url = "http://127.0.0.1:8080/v1/incr"
method = "POST"
body = '{"key":"{{key}}","by":1,"id":"{{uuid}}"}'
connections = 64
reuse = "keepalive"
timeout = "2s"
[data.key]
dist = "zipf"
count = 1_000_000
exponent = 1.01
[arrival]
model = "open"
process = "uniform"
pacing = "precise"
late = "drop:1s"
max_in_flight = 40_000
[[phase]]
name = "warmup"
rate = 2_000
for = "30s"
record = false
[[phase]]
name = "ramp"
rate = { from = 1_000, to = 15_000, shape = { steps = 14 } }
for = "10m"
window = "10s"
abort_if = "response.p99 > 1s for 20s"
[[slo]]
phase = "ramp"
check = ["response.p99 <= 20ms", "errors <= 0.1%"]
[[slo]]
check = "counted == acknowledged"
[validity]
sent_of_planned = "99.9%"
lag_p99 = "1ms"
generator_cpu = "80%"
[output]
dir = "out/{{name}}-{{time}}"
write = ["json", "html", "hlog", "k6", "benchfmt", "junit"]
"#;

fn parse(text: &str) -> Scenario {
    Scenario::parse(text, None, &|_| Err("no files".to_owned())).unwrap_or_else(|e| panic!("{e}"))
}

fn error(text: &str) -> String {
    let parsed = Scenario::parse(text, None, &|path| match path {
        "empty" => Ok(Vec::new()),
        _ => Err("there is no such file".to_owned()),
    });
    parsed.expect_err(text).to_string()
}

#[test]
fn the_scenario_of_the_guide_is_understood() {
    let scenario = parse(REFERENCE);
    assert_eq!((scenario.name.as_str(), scenario.seed), ("burst", 42));
    let target = &scenario.target;
    assert_eq!(target.protocol, Protocol::Http(HttpVersion::Http1));
    assert_eq!((target.authority().as_str(), target.connections), ("127.0.0.1:8080", 64));
    assert_eq!((target.reuse, target.timeout), (Reuse::KeepAlive, Nanos::from_secs(2)));
    assert_eq!(scenario.arrival.late, Late::Drop(Nanos::from_secs(1)));
    assert_eq!((scenario.arrival.pacing, scenario.in_flight_max()), (Pacing::Precise, 64));
    let [warmup, ramp] = scenario.phases.as_slice() else { panic!("two phases") };
    assert!(!warmup.record && ramp.record);
    let (from, to, shape) = (Rate::whole(1_000), Rate::whole(15_000), Shape::Steps(14));
    assert_eq!(ramp.load, Load::Ramp { from, to, shape });
    assert_eq!((ramp.window, warmup.window), (Nanos::from_secs(10), Nanos::from_secs(1)));
    assert_eq!(ramp.abort_if.as_ref().unwrap().for_ns, 20_000_000_000);
    assert_eq!((scenario.slos.len(), scenario.slos[0].checks.len()), (2, 2));
    assert_eq!(scenario.latency_limit_ns(), Some(20_000_000));
    assert_eq!((scenario.output.write.len(), scenario.output.write[4]), (6, Format::Benchfmt));
    assert_eq!(scenario.operations[0].tokens(), Tokens::None, "a uuid is no promise");
}

/// The least that is a scenario, with these lines in its target and at its end.
fn least(target: &str, rest: &str) -> String {
    format!(
        "name = \"x\"\n[target]\nkind = \"resp\"\naddress = \"[::1]:6379\"\n{target}\n[data.key]\n\
         {rest}\n"
    )
}

const PHASE: &str = "[[phase]]\nname = \"p\"\nrate = 10\nfor = \"1s\"";

fn resp(target: &str) -> Scenario {
    parse(&least(target, PHASE))
}

#[test]
fn what_is_not_written_has_a_default() {
    let scenario = resp("command = \"PING\"");
    assert_eq!(scenario.target.authority(), "[::1]:6379");
    assert_eq!((scenario.arrival.model, scenario.arrival.process), (Model::Open, Process::Uniform));
    assert_eq!((scenario.arrival.pacing, scenario.arrival.late), (Pacing::Balanced, Late::Queue));
    assert_eq!((scenario.delta, scenario.arrival.burst), (Delta::Fixed(1), 1));
    assert_eq!((scenario.target.connections, scenario.arrival.max_in_flight), (64, 64));
    assert_eq!(scenario.operations[0].counts, Counts::Nothing);
}

#[test]
fn a_command_is_cut_into_arguments_and_says_what_it_counts() {
    let check = |command: &str, arguments: usize, counts: Counts| {
        let scenario = resp(&format!("command = {command}"));
        let Request::Resp(found) = &scenario.operations[0].request else { panic!("RESP") };
        assert_eq!((found.len(), scenario.operations[0].counts), (arguments, counts), "{command}");
    };
    check("\"INCR {{ key }}\"", 2, Counts::Fixed(1));
    check("\"INCRBY a:{{key}} 5\"", 3, Counts::Fixed(5));
    check("\"DECRBY {{key}} 5\"", 3, Counts::Fixed(-5));
    check("\"QUIPU.ADD {{key}} {{delta}} TOKEN {{token}}\"", 5, Counts::Delta);
    check("[\"SET\", \"{{key}}\", \"a b\"]", 3, Counts::Nothing);
    check("\"EVAL x 1 {{key}}\"\ncounts = 3", 4, Counts::Fixed(3));
}

#[test]
fn operations_of_a_mix_take_from_the_target_what_they_do_not_say() {
    let scenario = parse(
        r#"
        name = "x"
        [target]
        kind = "http"
        url = "https://example.com/c/{{key}}?x"
        version = "auto"
        headers = { Accept = "*/*" }
        expect = { status = 200 }
        tls = { insecure = true }
        [data.key]
        [mix.read]
        weight = 3
        [mix.add]
        body = "{{delta}}"
        headers = { Idempotency-Key = "{{token}}" }
        expect = { status = [200, 201], contains = "ok" }
        [[phase]]
        name = "p"
        rate = 10
        for = "1s"
        "#,
    );
    let [read, add] = scenario.operations.as_slice() else { panic!("two operations") };
    let http = |operation: &crate::scenario::Operation| match &operation.request {
        Request::Http(request) => request.clone(),
        Request::Resp(_) => panic!("HTTP"),
    };
    assert_eq!((read.name.as_str(), read.weight, add.weight), ("read", 3, 1));
    assert_eq!((http(read).method.as_str(), http(add).method.as_str()), ("GET", "POST"));
    assert_eq!((http(read).headers.len(), http(add).headers.len()), (1, 2));
    assert_eq!((read.tokens(), add.tokens(), add.source()), (Tokens::None, Tokens::Key, Some(0)));
    assert_eq!((read.counts, add.counts), (Counts::Nothing, Counts::Delta));
    assert_eq!((read.expect.statuses.as_slice(), add.expect.statuses.len()), ([200].as_slice(), 2));
    assert_eq!((scenario.target.port, scenario.target.tls.unwrap().insecure), (443, true));
}

#[test]
fn a_closed_loop_has_users_and_a_place_for_each() {
    let text = |rest: &str| {
        let phases = "[[phase]]\nname = \"a\"\nfor = \"1s\"\n[[phase]]\nname = \"b\"\nusers = 80\n\
                      for = \"1s\"";
        least(
            &format!("command = \"PING\"\npipeline = 16\n{rest}"),
            &format!("[arrival]\nmodel = \"closed\"\nusers = 50\n{phases}"),
        )
    };
    let scenario = parse(&text(""));
    assert_eq!(scenario.phases[0].load, Load::Users(50));
    assert_eq!((scenario.phases[1].load.users(), scenario.target.connections), (80, 5));
    assert_eq!(
        error(&text("connections = 4")),
        "line 7: `target.connections` is 4: 80 users need at least 5"
    );
}

#[test]
fn a_url_apart_stands_in_place_of_the_host_and_keeps_the_path() {
    let target = |url: &str| Scenario::parse(REFERENCE, Some(url), &|_| Err(String::new()));
    let path = |scenario: &Scenario| match &scenario.operations[0].request {
        Request::Http(request) => request.path.as_text().unwrap().to_owned(),
        Request::Resp(_) => panic!("HTTP"),
    };
    let moved = target("http://[::1]:9000").unwrap();
    assert_eq!((moved.target.authority(), path(&moved)), ("[::1]:9000".into(), "/v1/incr".into()));
    assert_eq!(path(&target("http://h/other").unwrap()), "/other");
    assert_eq!(
        target("redis://h").unwrap_err().to_string(),
        "`redis://h` is no target: the scenario is written for another kind of target"
    );
}

/// The error of the scenario of the guide with one thing changed.
fn refused(from: &str, to: &str, message: &str) {
    assert!(REFERENCE.contains(from), "{from}");
    assert_eq!(error(&REFERENCE.replace(from, to)), message);
}

#[test]
fn an_error_names_the_line_the_value_and_the_remedy() {
    refused("timeout =", "timout =", "line 12: `target.timout` is no key: did you mean `timeout`?");
    refused("seed = 42", "colour = 1", "line 4: `colour` is no key");
    refused(
        "name = \"burst\"",
        "",
        "line 1: `name` is missing: write what reports call it, such as \
          name = \"burst\"",
    );
    refused(
        "\"2s\"",
        "2",
        "line 12: `target.timeout` is 2: write a span of time in quotes, such as \
          \"30s\", \"10m\" or \"500ms\"",
    );
    refused(
        "\"drop:1s\"",
        "\"sometimes\"",
        "line 21: `arrival.late` is \"sometimes\": write \"queue\", \
          \"drop:1s\" or \"no-catchup\"",
    );
    refused(
        "\"http\"",
        "\"kafka\"",
        "line 6: `target.kind` is \"kafka\": targets of kafka come later; \
          there are \"http\" and \"resp\"",
    );
    refused(
        "\"zipf\"",
        "\"zip\"",
        "line 14: `data.key.dist` is \"zip\": write \"uniform\" or \"zipf\" \
          or \"hot\" or \"sequential\" or \"file\"",
    );
    refused(
        "exponent = 1.01",
        "exponent = -1",
        "line 16: `data.key.exponent`: a zipf exponent is above \
          0 and at most 10, not -1",
    );
}

#[test]
fn an_error_inside_a_list_says_which_item() {
    refused(
        "rate = 2_000",
        "rate = -5",
        "line 25: `phase[1].rate` is -5: write requests per second from \
          0 to 100_000_000, such as 5_000",
    );
    refused(
        "{{uuid}}",
        "{{uid}}",
        "line 9: `target.body`: nothing is called `uid`: write one of key, \
          delta, n, uuid, uuid4, token, stream, sequence, or define [data.uid]",
    );
    refused(
        "phase = \"ramp\"",
        "phase = \"rampe\"",
        "line 35: `slo[1].phase` is \"rampe\": the phases \
          are warmup, ramp",
    );
    refused(
        "errors <= 0.1%",
        "errors <= 5ms",
        "line 36: `slo[1].check[2]`: `5ms` in `errors <= 5ms` is \
          no amount of `errors`: write such as 0 or 1_000 or 0.1%",
    );
    refused(
        "name = \"ramp\"",
        "name = \"warmup\"",
        "line 28: `phase[2]` is of type table: another phase \
          is called `warmup`: give it a name of its own",
    );
    refused(
        "rate = 2_000",
        "users = 5",
        "line 25: `phase[1].users` is 5: an open loop has no users: \
          remove it, or write arrival.model = \"closed\"",
    );
    refused("[[phase]]", "[[phase", "line 23: unclosed array table, expected `]]`");
    refused(
        "http://127.0.0.1:8080/v1/incr",
        "127.0.0.1",
        "line 7: `target.url` is \"127.0.0.1\": write \
          such as http://127.0.0.1:8080/path, https://..., redis://127.0.0.1:6379 or rediss://...",
    );
}

#[test]
fn keys_come_from_a_file_that_has_some() {
    let of = |path: &str| {
        least("command = \"GET {{key}}\"", PHASE)
            .replace("[data.key]", &format!("[data.key]\ndist = \"file\"\npath = \"{path}\""))
    };
    assert_eq!(error(&of("none")), "line 8: `data.key.path` is \"none\": there is no such file");
    assert_eq!(error(&of("empty")), "line 8: `data.key.path` is \"empty\": the file has no line");
    let lines = |_: &str| Ok(vec!["a".to_owned(), "b".to_owned()]);
    let scenario = Scenario::parse(&of("some"), None, &lines).unwrap();
    assert_eq!(scenario.data[0].keys.all().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn every_scenario_that_is_built_in_runs_against_every_kind_of_target() {
    for (name, _) in BUILT_IN {
        for url in ["http://127.0.0.1:1", "https://h:2/", "http://h/page?x=1", "redis://h"] {
            let scenario =
                built_in(name, url).unwrap_or_else(|error| panic!("{name} {url} {error}"));
            assert_eq!(scenario.name, name);
            let counts = scenario.operations.iter().any(|op| op.counts != Counts::Nothing);
            assert_eq!(counts, url != "http://h/page?x=1", "{name} {url}");
        }
    }
    assert_eq!(
        built_in("brust", "http://h").unwrap_err().to_string(),
        "no scenario `brust` is built in: there are burst, ramp, soak, spike, step, capacity, mix"
    );
}

#[test]
fn the_totals_of_what_is_built_in_are_exact() {
    let recorded = |name: &str| Schedule::of(&built_in(name, "http://h").unwrap()).recorded_total();
    assert_eq!(recorded("burst"), 2_400_000);
    assert_eq!(recorded("ramp"), 9_300_000);
    assert_eq!(recorded("soak"), 86_400_000);
    assert_eq!(recorded("spike"), 60_000 + 5 * (50_000 + 55_000) + 60_000);
    assert_eq!(recorded("step"), 1_650_000);
    assert_eq!(recorded("capacity"), 0);
}

#[test]
fn scaled_time_keeps_rates_and_shortens_everything_else() {
    let mut scenario = built_in("burst", "http://h").unwrap();
    scenario.scale_time(0.05);
    let schedule = Schedule::of(&scenario);
    assert_eq!((schedule.recorded_total(), schedule.duration_ns()), (120_000, 16_500_000_000));
    assert_eq!(scenario.phases[2].load.peak(), Rate::whole(20_000));
    scenario.scale_time(1e-6);
    assert!(scenario.phases.iter().all(|phase| phase.window <= phase.lasts && phase.lasts.0 > 0));
    let mut ramp = built_in("ramp", "http://h").unwrap();
    ramp.scale_time(0.2);
    let windows: Vec<_> = ramp.phases.iter().map(|phase| phase.window.as_millis()).collect();
    assert_eq!(windows, [1_000, 2_000, 1_000], "ten seconds are two, and five are one");
}

#[test]
fn a_trial_leaves_each_phase_what_its_promises_need() {
    let trial = |name: &str| {
        let mut scenario = built_in(name, "http://h").unwrap();
        let whole = schedule::plan(&scenario);
        assert!(!whole.contains("cannot be judged"), "{whole}");
        scenario.scale_to_trial(0.001);
        let plan = schedule::plan(&scenario);
        let doubts = plan.matches("cannot be judged: there are 28.8s of it, and it takes 10m");
        assert_eq!(doubts.count(), if name == "soak" { 2 } else { 0 }, "{plan}");
        assert_eq!(plan.matches("cannot be").count(), if name == "soak" { 2 } else { 0 }, "{plan}");
        scenario.phases.iter().map(|phase| phase.lasts.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(trial("burst"), [100, 120, 100, 20_000], "a recovery of 15 s must be seen for 5 s");
    assert_eq!(trial("ramp"), [100, 600, 50_000], "50 windows tell whether it is steady");
    assert_eq!(trial("soak"), [100, 28_800]);
    for name in ["spike", "step", "mix", "capacity"] {
        trial(name);
    }
    let mut burst = built_in("burst", "http://h").unwrap();
    burst.scale_time(0.001);
    let plan = schedule::plan(&burst);
    let doubt = "recovery: time_to_recover <= 15s (cannot be judged: there are 120ms of it, and it \
                 takes 20s)";
    assert!(plan.contains(doubt), "{plan}");
}

#[test]
fn connections_over_http_follow_from_the_peak_rate() {
    let check = |name: &str, url: &str, expected: u32| {
        assert_eq!(built_in(name, url).unwrap().target.connections, expected, "{name} {url}");
    };
    check("mix", "http://h", 500);
    check("soak", "http://h/page", 750);
    check("burst", "http://h", 900);
    check("capacity", "http://h", 900);
    check("burst", "redis://h", 64);
}

#[test]
fn a_plan_that_cannot_be_held_is_refused() {
    let refused = |phase: &str| {
        let text = least("command = \"PING\"", &format!("[[phase]]\nname = \"p\"\n{phase}"));
        let remedy = "the plan is too long: a year, or a million steps and repeats";
        assert_eq!(error(&text), format!("line 7: `phase[1]` is of type table: {remedy}"));
    };
    refused("rate = 1\nfor = \"1d\"\nrepeat = { times = 367, every = \"1d\" }");
    refused(
        "rate = { from = 1, to = 2, shape = { steps = 1000 } }\nfor = \"1s\"\nrepeat = { times = \
         1000, every = \"1s\" }",
    );
}

#[test]
fn a_path_has_no_spaces_and_an_amount_a_bound() {
    refused(
        "8080/v1/incr",
        "8080/v1/in cr",
        "line 7: `target.url` is \"http://127.0.0.1:8080/v1/in cr\": a path has no spaces: write %20",
    );
    refused(
        "seed = 42",
        "delta = 1_000_000_001",
        "line 4: `delta` is 1000000001: write a whole number from -1000000000 to 1000000000",
    );
}
