//! A run from its scenario to its finding. This is the wiring: read it first.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use quipu_lab::abort::Abort;
use quipu_lab::conservation::Conservation;
use quipu_lab::failure::Failure;
use quipu_lab::finding::{self, Finding};
use quipu_lab::recording::Latencies;
use quipu_lab::request::{Requests, Run};
use quipu_lab::scenario::{Load, Model, Protocol, Reuse, Scenario, Target};
use quipu_lab::schedule::Schedule;
use quipu_lab::window::Window;

use crate::clock::{Clock, thread_cpu_ns, wall_ms};
use crate::collect::{Collector, Gathered};
use crate::counters::Counters;
use crate::driver::Driver;
use crate::driver::http::Http;
use crate::driver::http2::Http2;
use crate::driver::http2::encode::Fields;
use crate::driver::resp::Resp;
use crate::environment;
use crate::greeting::Greeting;
use crate::ledger::Account;
use crate::notes::{Channels, Handover, Notes, Part};
use crate::pin;
use crate::probe;
use crate::report;
use crate::resend::Resend;
use crate::source::{Source, share};
use crate::standstill;
use crate::thread::{Lane, Lap, Plan};
use crate::tls::TlsError;

/// How long after all connections are made the schedule starts: time for every thread to wait for it.
const HEAD_START_NS: u64 = 20_000_000;
/// Windows that may wait for the collector, per thread. Two would do; a collector that is held up for
/// some seconds then costs nothing.
const HANDOVERS: usize = 4;
/// Empty recordings that wait for a thread: as many phases as one window sees, commonly.
const EMPTIED: usize = 3;

/// The most readings of the server's memory that are kept, as of windows.
const POINTS_MAX: usize = 4_096;

/// What a report says of a target that nobody vouches for.
const INSECURE: &str = "INSECURE: certificates were not checked (tls.insecure); whoever answered was \
                        believed";

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The scenario.
    pub scenario: Scenario,
    /// How many threads send; at most as many as there are connections.
    pub threads: u32,
    /// Whether threads ask to run before others.
    pub is_realtime: bool,
    /// A number that no other run has: tokens depend on it.
    pub id: u64,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The name of the target has no address.
    #[error("cannot find {host}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The target is not there.
    #[error("cannot connect to {address}: {failure}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// The class of the failure.
        failure: Failure,
    },
    /// The target is there, and its encryption is not as the scenario asks.
    #[error("cannot connect to {address}: {failure}: {why}")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// The class of the failure.
        failure: Failure,
        /// What is wrong.
        why: String,
    },
    /// What the scenario says of TLS is of no use.
    #[error("the target cannot be trusted as the scenario asks")]
    Trust(#[from] TlsError),
    /// A thread or a descriptor could not be had.
    #[error("the system gives no more threads or files")]
    System(#[from] io::Error),
}

/// Returns how many threads send unless told otherwise: half of the cores, at least one.
pub fn threads_default() -> u32 {
    (pin::allowed_cpus().len() as u32 / 2).max(1)
}

/// Runs a scenario and returns what was found. `watch` sees each window when it is over; setting
/// `stop` ends the run within some milliseconds and lets it tell what it found.
///
/// # Errors
/// The run could not begin. Once it has, everything that goes wrong is part of the finding.
pub fn run(
    ask: &Ask,
    stop: &Arc<AtomicBool>,
    watch: &mut dyn FnMut(&Window),
) -> Result<Finding, RunError> {
    let target = &ask.scenario.target;
    let requests = Requests::new(&ask.scenario, Run { id: ask.id, start_wall_ms: wall_ms() });
    let setup = Setup::new(ask, &requests, Arc::clone(stop))?;
    match target.protocol {
        Protocol::Resp => {
            let pipeline = pipeline(&ask.scenario);
            setup.run(watch, &|| Resp::new(requests.clone(), pipeline))
        }
        Protocol::Http(_) if setup.greeting.is_http2 => {
            let fields = Fields::new(&requests, &host_header(target), target.tls.is_some());
            let fields = Arc::new(fields);
            setup.run(watch, &|| Http2::new(requests.clone(), Arc::clone(&fields), target.pipeline))
        }
        Protocol::Http(_) => {
            let host = host_header(target);
            setup.run(watch, &|| Http::new(requests.clone(), &host))
        }
    }
}

/// Returns how many commands may be under way on one connection: in a closed loop with fewer users than
/// there is room for, no more than spread them evenly.
fn pipeline(scenario: &Scenario) -> u32 {
    let Model::Closed { users } = scenario.arrival.model else { return scenario.target.pipeline };
    let of_phase = |load: &Load| match load {
        Load::Users(users) => *users,
        Load::Rate(_) | Load::Ramp { .. } => users,
    };
    let users = scenario.phases.iter().map(|phase| of_phase(&phase.load)).max().unwrap_or(users);
    let even = users.div_ceil(scenario.target.connections.max(1)).max(1);
    scenario.target.pipeline.min(even)
}

/// Returns the value of `Host`: without the port where it is the default.
fn host_header(target: &Target) -> String {
    let host =
        if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let port_default = if target.tls.is_some() { 443 } else { 80 };
    if target.port == port_default { host } else { format!("{host}:{}", target.port) }
}

/// Everything that is known before the first connection.
pub(crate) struct Setup<'a> {
    pub(crate) ask: &'a Ask,
    pub(crate) schedule: Schedule,
    pub(crate) address: SocketAddr,
    pub(crate) greeting: Greeting,
    pub(crate) threads: u32,
    /// How many requests may be under way on one connection.
    pub(crate) pipeline: u32,
    pub(crate) in_flight_max: u64,
    pub(crate) stop: Arc<AtomicBool>,
    counters: Option<Counters>,
    notes: Vec<String>,
}

/// What was measured, before it is told.
pub(crate) struct Measured {
    pub(crate) gathered: Gathered,
    pub(crate) threads: Vec<finding::Thread>,
    pub(crate) machine: finding::Machine,
    pub(crate) server: Option<finding::Server>,
    pub(crate) started_wall_ms: u64,
    pub(crate) lasted_ns: u64,
    pub(crate) notes: Vec<String>,
    pub(crate) conservation: Option<Conservation>,
    /// How late slots left that were not held back.
    pub(crate) own_lag: Option<Latencies>,
    pub(crate) handshakes: Option<Latencies>,
}

/// What a thread says when its connections are made: what it was not given.
type Readiness = Result<Option<String>, RunError>;

/// The main thread's ends of the channels of one thread, and the thread.
struct Sender<'scope> {
    go: SyncSender<Clock>,
    ready: Receiver<Readiness>,
    handle: ScopedJoinHandle<'scope, Option<Ended>>,
}

/// What a thread leaves when all is done.
struct Ended {
    thread: finding::Thread,
    lap: Lap,
    own_lag: Latencies,
    handshakes: Option<Latencies>,
    account: Option<Account>,
}

impl<'a> Setup<'a> {
    fn new(ask: &'a Ask, requests: &Requests, stop: Arc<AtomicBool>) -> Result<Self, RunError> {
        let scenario = &ask.scenario;
        let target = &scenario.target;
        let address = resolve(&target.host, target.port)?;
        let greeting = Greeting::new(target, address)?;
        let (counters, doubt) = match Counters::open(scenario, requests, greeting.beside().as_ref())
        {
            Ok(counters) => (Some(counters), None),
            Err(why) => (None, why),
        };
        let threads = ask.threads.clamp(1, target.connections.max(1));
        let is_one_by_one = target.protocol != Protocol::Resp && !greeting.is_http2;
        let pipeline = if is_one_by_one { 1 } else { target.pipeline.max(1) };
        let room = u64::from(target.connections.max(1)) * u64::from(pipeline);
        let is_blind = target.tls.as_ref().is_some_and(|tls| tls.insecure);
        let doubt = doubt.into_iter().chain(is_blind.then(|| INSECURE.to_owned()));
        Ok(Self {
            ask,
            schedule: Schedule::of(scenario),
            address,
            greeting,
            pipeline,
            threads,
            in_flight_max: room.min(u64::from(scenario.arrival.max_in_flight.max(threads))),
            stop,
            counters,
            notes: doubt.collect(),
        })
    }

    /// Runs with drivers that `make` makes.
    fn run<D: Driver>(
        &self,
        watch: &mut dyn FnMut(&Window),
        make: &(dyn Fn() -> D + Sync),
    ) -> Result<Finding, RunError> {
        let environment = environment::read(
            self.ask.scenario.target.protocol,
            &self.greeting,
            &host_header(&self.ask.scenario.target),
        );
        let allowed = pin::allowed_cpus();
        let measured = scope(|scope| {
            let (to_collector, handovers) = sync_channel(HANDOVERS * self.threads as usize);
            let (mut senders, mut emptied) = (Vec::new(), Vec::new());
            for thread in 0..self.threads {
                let (back, empty) = sync_channel(EMPTIED);
                let channels = Channels { to_collector: to_collector.clone(), emptied: empty };
                senders.push(self.spawn(scope, thread, channels, (make, &allowed))?);
                emptied.push(back);
            }
            drop(to_collector);
            let mut refused = None;
            for sender in &senders {
                refused = sender.ready.recv().unwrap_or_else(|_| Err(self.gone()))?.or(refused);
            }
            let mut measured = self.measure(senders, handovers, emptied, watch);
            measured.notes.extend(refused);
            Ok::<_, RunError>(measured)
        })?;
        Ok(report::finding(self, environment, measured))
    }

    fn gone(&self) -> RunError {
        self.failed(Failure::ConnectFailed)
    }

    fn failed(&self, failure: Failure) -> RunError {
        let address = self.address;
        match &self.greeting.refusal {
            Some(why) => RunError::Tls { address, failure, why: why.clone() },
            None => RunError::Connect { address, failure },
        }
    }

    /// Starts one thread, which connects, says that it is ready and waits for the start.
    fn spawn<'scope, D: Driver>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        thread: u32,
        channels: Channels,
        (make, allowed): (&'scope (dyn Fn() -> D + Sync), &'scope [usize]),
    ) -> Result<Sender<'scope>, RunError> {
        let (go, start) = sync_channel(1);
        let (tell, ready) = sync_channel(1);
        let handle =
            Builder::new().name(format!("load-{thread}")).spawn_scoped(scope, move || {
                let cpu = pin::pin(thread, allowed);
                let lane = self.lane(thread, channels, make);
                let (lane, readiness) = match lane {
                    Ok(lane) => (Some(lane), Ok(self.run_first().err())),
                    Err(error) => (None, Err(error)),
                };
                tell.send(readiness).ok()?;
                let clock = start.recv().ok()?;
                Some(measured_thread(lane?, clock, cpu))
            })?;
        Ok(Sender { go, ready, handle })
    }

    fn run_first(&self) -> Result<(), String> {
        if self.ask.is_realtime { pin::run_first() } else { Ok(()) }
    }

    fn lane<D: Driver>(
        &self,
        thread: u32,
        channels: Channels,
        make: &(dyn Fn() -> D + Sync),
    ) -> Result<Lane<D>, RunError> {
        let scenario = &self.ask.scenario;
        let mine = |whole: u32| share(whole, thread, self.threads);
        let connections = scenario.target.connections.max(1);
        let plan = Plan {
            endpoint: self.greeting.endpoint.clone(),
            first: (0..thread).map(|other| share(connections, other, self.threads)).sum(),
            seed: scenario.seed,
            late: scenario.arrival.late,
            pacing: scenario.arrival.pacing,
            fills: scenario.arrival.model != Model::Open,
            in_flight_max: u64::from(mine(u32::try_from(self.in_flight_max).unwrap_or(u32::MAX))),
            uses_max: match scenario.target.reuse {
                Reuse::KeepAlive => u64::MAX,
                Reuse::PerRequest => 1,
                Reuse::Every(count) => u64::from(count.max(1)),
            },
            timeout_ns: scenario.target.timeout.0,
            end_ns: self.schedule.duration_ns(),
            recorded: scenario.phases.iter().map(|phase| phase.record).collect(),
            stop: Arc::clone(&self.stop),
        };
        let source = Source::new(scenario, &self.schedule, thread, self.threads);
        let ledger = self.counters.as_ref().map(|counters| counters.ledger(self.threads));
        let notes = Notes::new(thread, self.phase_ends_ns(), channels, ledger);
        let drivers = (0..mine(connections)).map(|_| make()).collect();
        let mut lane = Lane::new(plan, source, notes, drivers)?;
        let failed = |failure| self.failed(failure);
        lane.connect().map_err(failed)?;
        Ok(lane)
    }

    /// When the phase changes, in order.
    fn phase_ends_ns(&self) -> Vec<(u16, u64)> {
        let mut ends: Vec<(u16, u64)> = Vec::new();
        for segment in self.schedule.segments() {
            match ends.last_mut() {
                Some((phase, end_ns)) if *phase == segment.phase => *end_ns = segment.end_ns,
                _ => ends.push((segment.phase, segment.end_ns)),
            }
        }
        ends
    }

    /// Lets all threads start at one moment, gathers what they hand over, and waits for their end.
    fn measure(
        &self,
        senders: Vec<Sender<'_>>,
        handovers: Receiver<Handover>,
        emptied: Vec<SyncSender<Part>>,
        watch: &mut dyn FnMut(&Window),
    ) -> Measured {
        let pid = probe::listener(self.address);
        let mut server = pid.map(|pid| finding::Server { pid, ..finding::Server::default() });
        let server_cpu_ns = pid.map_or(0, probe::cpu_ns);
        let before = probe::Counters::read();
        let started_wall_ms = wall_ms() + HEAD_START_NS / 1_000_000;
        let clock = Clock::starting_in(HEAD_START_NS);
        for sender in &senders {
            sender.go.send(clock).expect("a ready thread waits for its start");
        }
        let (mut abort, mut aborted) = (Abort::new(&self.ask.scenario), None);
        let window_ns = self.ask.scenario.phases.iter().map(|phase| phase.window.0).collect();
        let gathered = Collector::new(window_ns, handovers, emptied).run(&mut |window| {
            if let Some(server) = &mut server {
                let rss_bytes = probe::rss_bytes(server.pid);
                push_thinned(&mut server.rss_bytes, (window.start_ns + window.len_ns, rss_bytes));
            }
            watch(window);
            aborted = aborted.take().or_else(|| abort.see(window));
            if aborted.is_some() {
                self.stop.store(true, Ordering::Relaxed);
            }
        });
        // All windows are there; what threads send again after them is no part of what was measured.
        let lasted_ns = clock.now_ns();
        if let Some(server) = &mut server {
            server.cpu_ns = probe::cpu_ns(server.pid).saturating_sub(server_cpu_ns);
        }
        let machine = before.until(&probe::Counters::read(), lasted_ns);
        let ended = senders.into_iter().filter_map(|sender| sender.handle.join().ok().flatten());
        let ended: Vec<_> = ended.collect();
        let (conservation, mut notes) = self.conservation(&ended);
        notes.extend(aborted);
        notes.extend(standstill::told(
            ended.iter().map(|ended| ended.lap),
            self.ask.scenario.target.timeout,
        ));
        Measured {
            gathered,
            own_lag: merged(ended.iter().map(|ended| &ended.own_lag)),
            handshakes: merged(ended.iter().filter_map(|ended| ended.handshakes.as_ref())),
            threads: ended.into_iter().map(|ended| ended.thread).collect(),
            machine,
            server,
            started_wall_ms,
            lasted_ns,
            notes,
            conservation,
        }
    }

    /// Compares what the target counted with the books of all threads.
    fn conservation(&self, ended: &[Ended]) -> (Option<Conservation>, Vec<String>) {
        let mut notes = self.notes.clone();
        let Some(counters) = &self.counters else { return (None, notes) };
        let mut all = Account::default();
        ended.iter().filter_map(|ended| ended.account.as_ref()).for_each(|own| all.merge(own));
        match counters.compare(&all) {
            Ok(conservation) => (Some(conservation), notes),
            Err(why) => {
                notes.push(why);
                (None, notes)
            }
        }
    }

    /// Whether the run was stopped before its plan ended.
    pub(crate) fn is_stopped(&self, lasted_ns: u64) -> bool {
        self.stop.load(Ordering::Relaxed) && lasted_ns < self.schedule.duration_ns()
    }
}

/// Adds a point; when there are too many, every other one goes.
fn push_thinned(points: &mut Vec<(u64, u64)>, point: (u64, u64)) {
    points.push(point);
    if points.len() >= POINTS_MAX {
        let mut keep = false;
        points.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, RunError> {
    let failed = |source| RunError::Resolve { host: host.to_owned(), source };
    let mut addresses = (host, port).to_socket_addrs().map_err(failed)?;
    addresses.next().ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

/// Runs a lane and says what its thread cost; then sends again what has no answer.
fn measured_thread<D: Driver>(lane: Lane<D>, clock: Clock, cpu: Option<u32>) -> Ended {
    let (cpu_ns, wait_ns) = (thread_cpu_ns(), probe::run_queue_wait_ns());
    let found = lane.run(clock);
    let (lap, punctuality) = (found.lap, &found.punctuality);
    let cpu_ns = thread_cpu_ns() - cpu_ns;
    let thread = finding::Thread {
        cpu,
        cpu_ns,
        busy_ratio: cpu_ns as f64 / lap.end_ns.max(1) as f64,
        run_queue_wait_ns: probe::run_queue_wait_ns().saturating_sub(wait_ns),
        turns: lap.turns,
        held_back: punctuality.held_back,
        silence_ns: punctuality.silence_ns,
        silence_end_ns: punctuality.silence_end_ns,
        absence_ns: punctuality.absence_ns,
    };
    let account = found.resend.map(Resend::run);
    let own_lag = found.punctuality.own_lag;
    Ended { thread, lap, own_lag, handshakes: found.handshakes, account }
}

/// Puts the histograms of all threads together.
fn merged<'l>(mut each: impl Iterator<Item = &'l Latencies>) -> Option<Latencies> {
    let mut all = each.next()?.clone();
    for more in each {
        all.add(more).expect("histograms of one shape");
    }
    Some(all)
}
