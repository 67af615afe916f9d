//! Counters of a worker: kept apart from other workers' while requests run, and told to the registry with every tick.

use std::cell::RefCell;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// How a request ended, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The application answered.
    Forwarded,
    /// A WebSocket was opened.
    Upgraded,
    /// One of samlgate's own endpoints answered.
    Own,
    /// A front proxy was told that it may pass a request on.
    Permitted,
    /// No session.
    LoginRequired,
    /// A session, but of a login that isn't good enough.
    StepUpRequired,
    /// A session, but not allowed.
    Forbidden,
    /// Malformed, ambiguous or too large.
    BadRequest,
    /// The application can't be reached or broke off.
    UpstreamUnreachable,
    /// The application, or the client, was too slow.
    Timeout,
    /// The session store is away.
    StoreAway,
    /// Our fault.
    Internal,
}

impl Outcome {
    /// The metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Upgraded => "upgraded",
            Self::Own => "own",
            Self::Permitted => "permitted",
            Self::LoginRequired => "login_required",
            Self::StepUpRequired => "step_up_required",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad_request",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::Timeout => "timeout",
            Self::StoreAway => "store_away",
            Self::Internal => "internal",
        }
    }
}

/// Describes the metrics of the data plane, once per process.
pub(crate) fn describe() {
    describe_counter!("samlgate_requests_total", "Requests by outcome and status class");
    describe_histogram!("samlgate_upstream_seconds", "Seconds from sending a request to the head of the application's answer");
    describe_gauge!("samlgate_upstream_up", "Whether the last connection to the application could be made");
    describe_counter!("samlgate_upstream_failures_total", "Requests that the application gave no answer to, by what happened");
    describe_gauge!("samlgate_connections", "Open connections of clients");
}

/// One worker's numbers.
pub(crate) struct Measure {
    requests: RefCell<Vec<Pending>>,
    connections: Gauge,
}

struct Pending {
    outcome: Outcome,
    class: u16,
    counter: Counter,
    count: u64,
}

impl Measure {
    /// Handles from the registry that is installed.
    pub(crate) fn new() -> Self {
        Self { requests: RefCell::default(), connections: gauge!("samlgate_connections") }
    }

    /// A request ended.
    pub(crate) fn request(&self, outcome: Outcome, status: StatusCode) {
        let class = status.as_u16() / 100;
        let mut requests = self.requests.borrow_mut();
        if let Some(known) = requests.iter_mut().find(|pending| pending.outcome == outcome && pending.class == class) {
            known.count += 1;
            return;
        }
        let counter = counter!("samlgate_requests_total", "outcome" => outcome.label(), "status" => format!("{class}xx"));
        requests.push(Pending { outcome, class, counter, count: 1 });
    }

    /// A client connected.
    pub(crate) fn connected(&self) {
        self.connections.increment(1.0);
    }

    /// A client's connection ended.
    pub(crate) fn disconnected(&self) {
        self.connections.decrement(1.0);
    }

    /// Tells the registry.
    pub(crate) fn flush(&self) {
        for pending in self.requests.borrow_mut().iter_mut().filter(|pending| pending.count > 0) {
            pending.counter.increment(std::mem::take(&mut pending.count));
        }
    }
}

/// How one application does, as one worker sees it.
pub(crate) struct UpstreamMeasure {
    name: String,
    latencies: RefCell<Vec<f64>>,
    seconds: Histogram,
    up: Gauge,
}

impl UpstreamMeasure {
    /// Handles from the registry that is installed. `name` is an address from the configuration.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            latencies: RefCell::default(),
            seconds: histogram!("samlgate_upstream_seconds", "upstream" => name.to_owned()),
            up: gauge!("samlgate_upstream_up", "upstream" => name.to_owned()),
        }
    }

    /// The head of an answer came after so long.
    pub(crate) fn answered(&self, after: Duration) {
        self.latencies.borrow_mut().push(after.as_secs_f64());
    }

    /// A connection was made, or not.
    pub(crate) fn connected(&self, good: bool) {
        self.up.set(if good { 1.0 } else { 0.0 });
        if !good {
            self.failed("connect");
        }
    }

    /// It gave no answer, and that is what happened.
    pub(crate) fn failed(&self, kind: &'static str) {
        counter!("samlgate_upstream_failures_total", "upstream" => self.name.clone(), "kind" => kind).increment(1);
    }

    /// Tells the registry.
    pub(crate) fn flush(&self) {
        for seconds in self.latencies.borrow_mut().drain(..) {
            self.seconds.record(seconds);
        }
    }
}
