//! What was measured, on two processors, before the scheduler was built; the simulation is believed where it predicts it.

use super::engine::Connections::{self, Kept, New};
use super::rules::Rule;
use super::traces::{Clients, Work};
use super::{BEFORE, FCFS, FIRST, PLAIN, Shape, quick_beside};

pub struct Live {
    pub server: &'static str,
    pub work: &'static str,
    pub rule: Rule,
    pub connections: Connections,
    pub shape: Shape,
    pub clients: Vec<Clients>,
    /// Requests a second; 0: of no interest.
    pub throughput: f64,
    /// Which percentile, and its milliseconds.
    pub late: Option<(usize, f64)>,
}

type Server = (&'static str, Rule, Connections);

const UWSGI_SOCKET: Server = ("rwsgi, uwsgi socket", BEFORE, New);
const SINGLE: Server = ("rwsgi, uwsgi socket, one thread", FCFS, New);
const HTTP: Server = ("rwsgi, http", FIRST, New);
const HTTP_KEPT: Server = ("rwsgi, http kept", FIRST, Kept);
const UWSGI: Server = ("uWSGI", PLAIN, New);

pub fn figures() -> Vec<Live> {
    let mut all = short();
    all.extend(many_threads());
    all.extend(pages());
    all.extend(beside());
    all
}

fn live(server: Server, work: &'static str, shape: Shape, clients: Vec<Clients>) -> Live {
    let (server, rule, connections) = server;
    Live { server, work, rule, connections, shape, clients, throughput: 0.0, late: None }
}

fn short() -> Vec<Live> {
    let rows: [(Server, usize, usize, f64, Option<f64>); 13] = [
        (SINGLE, 1, 2, 350.0, None),
        (SINGLE, 1, 4, 374.0, None),
        (SINGLE, 1, 8, 376.0, None),
        (UWSGI_SOCKET, 4, 2, 344.0, None),
        (UWSGI_SOCKET, 4, 4, 370.0, Some(15.0)),
        (UWSGI_SOCKET, 4, 8, 367.0, None),
        (HTTP, 4, 2, 196.0, None),
        (HTTP, 4, 4, 242.0, Some(88.0)),
        (HTTP, 4, 8, 370.0, None),
        (HTTP_KEPT, 1, 2, 381.0, None),
        (HTTP_KEPT, 1, 8, 384.0, Some(39.0)),
        (HTTP_KEPT, 4, 2, 195.0, None),
        (HTTP_KEPT, 4, 8, 380.0, Some(114.0)),
    ];
    let row = |(server, threads, clients, throughput, p99): (Server, _, _, _, Option<f64>)| Live {
        throughput,
        late: p99.map(|ms| (99, ms)),
        ..live(server, "5 ms of CPU", (2, threads), vec![Clients::new(clients, Work::Cpu(5_000))])
    };
    rows.map(row).into()
}

fn many_threads() -> Vec<Live> {
    let rows = [(UWSGI_SOCKET, 6, 14.0), (UWSGI_SOCKET, 16, 55.0), (HTTP, 6, 36.0), (HTTP, 16, 303.0)];
    let row = |(server, clients, p99)| Live {
        late: Some((99, p99)),
        ..live(server, "2–5 ms of CPU", (8, 20), vec![Clients::new(clients, Work::Even(2_000, 5_000))])
    };
    rows.map(row).into()
}

fn pages() -> Vec<Live> {
    let rows = [
        (UWSGI_SOCKET, 8, 308.0, 34.0),
        (UWSGI_SOCKET, 24, 327.0, 99.0),
        (UWSGI_SOCKET, 64, 329.0, 227.0),
        (HTTP_KEPT, 8, 225.0, 56.0),
        (HTTP_KEPT, 24, 379.0, 155.0),
        (HTTP_KEPT, 64, 374.0, 272.0),
        (UWSGI, 8, 296.0, 40.0),
        (UWSGI, 24, 372.0, 119.0),
        (UWSGI, 64, 372.0, 241.0),
    ];
    let row = |(server, clients, throughput, p99)| Live {
        throughput,
        late: Some((99, p99)),
        ..live(server, "typical page", (4, 8), vec![Clients::new(clients, Work::Page)])
    };
    rows.map(row).into()
}

fn beside() -> Vec<Live> {
    let rows = [
        (UWSGI_SOCKET, "quick beside 2 of 3 s", 2, 3_000_000, 785.0),
        (UWSGI_SOCKET, "quick beside 2 of 0.3 s", 2, 300_000, 252.0),
        (UWSGI_SOCKET, "quick beside 4 of 0.3 s", 4, 300_000, 553.0),
        (HTTP, "quick beside 2 of 3 s", 2, 3_000_000, 3.0),
        (HTTP, "quick beside 2 of 0.3 s", 2, 300_000, 7.0),
        (HTTP, "quick beside 4 of 0.3 s", 4, 300_000, 1.0),
        (UWSGI, "quick beside 2 of 3 s", 2, 3_000_000, 4.0),
        (UWSGI, "quick beside 2 of 0.3 s", 2, 300_000, 6.0),
        (UWSGI, "quick beside 4 of 0.3 s", 4, 300_000, 4.0),
    ];
    let row = |(server, work, clients, us, p50)| Live {
        late: Some((50, p50)),
        ..live(server, work, (2, 4), quick_beside(clients, Work::Cpu(us)))
    };
    rows.map(row).into()
}
