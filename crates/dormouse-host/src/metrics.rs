//! Metrics. A service seen from outside: Prometheus' text at `/metrics`, and at `/healthz` whether it serves.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use std::{io, iter, thread};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::count::Trace;
use crate::net::meter::Meter;
use crate::service::Control;

/// How long an instance may take to answer that it turns.
const TURNS_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection is open at most: to ask, to be answered, and to take the answer.
const LIFE: Duration = Duration::from_secs(5);
/// After a failed accept, so that it is not tried in a loop.
const PAUSE: Duration = Duration::from_millis(100);
/// How many connections there are at a time. One more, and the oldest ends: a client that neither asks nor reads keeps none from being served.
const CONNECTIONS: usize = 64;

/// What a [`Service`](crate::Service) tells of itself over HTTP.
///
/// * `/metrics`: the text that Prometheus reads, version 0.0.4.
/// * `/healthz`: 200 while each instance turns, that is: lets the host have its turn within two seconds; else, and while they stop, 503.
#[derive(Clone, Debug)]
pub struct Metrics {
    control: Control,
    meter: Meter,
    trace: Option<Trace>,
}

/// What serves them.
#[derive(Clone)]
struct Server {
    metrics: Metrics,
    /// What asks whether the instances turn.
    questions: Sender<oneshot::Sender<Health>>,
}

impl Metrics {
    /// `meter` and `trace` are those that the runs of the service count in.
    pub fn new(control: Control, meter: Meter, trace: Option<Trace>) -> Metrics {
        Metrics { control, meter, trace }
    }

    /// Serves them on two threads, for as long as the process runs.
    ///
    /// # Errors
    /// If there is no thread to be had, or the listener cannot be used.
    pub fn serve(self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(_entered);
        let (questions, asked) = channel::<oneshot::Sender<Health>>();
        let server = Server { metrics: self.clone(), questions };
        thread::Builder::new().name("health".to_owned()).spawn(move || {
            // Waiting for the instances takes long if one does not turn: what asks meanwhile has the same answer.
            while let Ok(first) = asked.recv() {
                if !first.is_closed() {
                    let health = self.control.health(TURNS_WITHIN);
                    for asker in iter::once(first).chain(asked.try_iter()) {
                        let _ = asker.send(health);
                    }
                }
            }
        })?;
        thread::Builder::new().name("metrics".to_owned()).spawn(move || runtime.block_on(server.accept(listener)))?;
        Ok(())
    }

    /// What `/metrics` answers.
    pub fn text(&self) -> String {
        let (traffic, status) = (self.meter.traffic(), self.control.status());
        let mut text = String::new();
        let mut tell = |name: &str, kind: &str, help: &str, value: u64| {
            let _ =
                write!(text, "# HELP dormouse_{name} {help}\n# TYPE dormouse_{name} {kind}\ndormouse_{name} {value}\n");
        };
        tell(
            "instances",
            "gauge",
            "Instances that run, old ones that have not ended yet among them.",
            status.running as u64,
        );
        tell("restarts_total", "counter", "Instances that were started again after a failure.", status.restarts);
        tell("generation", "gauge", "How often the program was loaded anew.", status.generation as u64);
        tell("stopping", "gauge", "1 if all instances were asked to stop.", status.stops.into());
        tell("connections", "gauge", "Connections that are open.", traffic.connections);
        tell("connections_accepted_total", "counter", "Connections that were accepted.", traffic.accepted);
        tell("connections_made_total", "counter", "Connections that were made.", traffic.opened);
        tell(
            "refused_total",
            "counter",
            "Sockets and addresses that were refused by the policy or a limit.",
            traffic.refused,
        );
        tell("delayed_total", "counter", "Pauses of an instance because of a rate.", traffic.delayed);
        tell("received_bytes_total", "counter", "Bytes that were received.", traffic.received);
        tell("sent_bytes_total", "counter", "Bytes that the system has taken to send.", traffic.sent);
        tell("memory_bytes", "gauge", "Memories and tables of the instances.", traffic.memory);
        if let Some(resident) = resident() {
            tell("process_resident_memory_bytes", "gauge", "What the whole process has resident.", resident);
        }
        if let Some(trace) = &self.trace {
            text.push_str(
                "# HELP dormouse_host_calls_total Host calls, by name.\n# TYPE dormouse_host_calls_total counter\n",
            );
            for (name, count) in trace.counts().iter() {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                let _ = writeln!(text, "dormouse_host_calls_total{{call=\"{name}\"}} {count}");
            }
        }
        text
    }
}

impl Server {
    async fn accept(self, listener: tokio::net::TcpListener) {
        let mut places = VecDeque::with_capacity(CONNECTIONS);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            places.retain(|place: &AbortHandle| !place.is_finished());
            if places.len() == CONNECTIONS
                && let Some(oldest) = places.pop_front()
            {
                oldest.abort();
            }
            let server = self.clone();
            let serving = tokio::spawn(async move {
                let answer = service_fn(|request| server.clone().answer(request));
                // One answer each, so that none asks faster than it reads.
                let mut http = http1::Builder::new();
                let http = http.keep_alive(false).serve_connection(TokioIo::new(stream), answer);
                // What a client has done wrong hyper has told it.
                let _ = tokio::time::timeout(LIFE, http).await;
            });
            places.push_back(serving.abort_handle());
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut answer = Response::new(Full::default());
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                answer.headers_mut().insert(CONTENT_TYPE, TEXT);
                (StatusCode::OK, self.metrics.text())
            }
            (&Method::GET | &Method::HEAD, "/healthz") => match self.health().await {
                Health::Serves => (StatusCode::OK, "serves\n".to_owned()),
                Health::Stops => (StatusCode::SERVICE_UNAVAILABLE, "stops\n".to_owned()),
                Health::Stuck => {
                    (StatusCode::SERVICE_UNAVAILABLE, "an instance does not turn, or does not run\n".to_owned())
                }
            },
            (_, "/metrics" | "/healthz") => {
                answer.headers_mut().insert(ALLOW, GET);
                (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned())
            }
            _ => (StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned()),
        };
        *answer.status_mut() = status;
        *answer.body_mut() = Full::from(text);
        Ok(answer)
    }

    /// What the thread that asks the instances finds.
    async fn health(&self) -> Health {
        let (answer, answered) = oneshot::channel();
        let _ = self.questions.send(answer);
        answered.await.unwrap_or(Health::Stuck)
    }
}

const TEXT: hyper::header::HeaderValue = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
const GET: hyper::header::HeaderValue = hyper::header::HeaderValue::from_static("GET, HEAD");

/// Whether a service does what it is for.
#[derive(Clone, Copy)]
pub(crate) enum Health {
    Serves,
    Stops,
    Stuck,
}

/// Bytes of this process that are in memory, where the system tells that.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
