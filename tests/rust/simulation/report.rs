//! Prints what the simulation finds: as CSV for benchmarks/plot_simulation.py, or with `live` as a table beside what was
//! measured. `cargo run --profile quick --no-default-features --example simulation -- live`

#[allow(dead_code)]
mod model;

use model::engine::Connections::{self, Kept, New};
use model::rules::{Admits, Places, Rule};
use model::traces::{Clients, Work};
use model::{AGE, BEFORE, FCFS, FIRST, PLAIN, SHARING, Shape, TWO_CHOICES, live, quick_beside, run};

const SECONDS: f64 = 30.0;
const SHAPES: [Shape; 4] = [(2, 1), (2, 4), (4, 8), (8, 20)];
const CLIENTS: [usize; 8] = [1, 2, 4, 6, 8, 16, 32, 64];
const AGES_MS: [u64; 8] = [0, 2, 5, 8, 12, 20, 30, 40];
const WORKS: [(&str, Work); 6] = [
    ("5 ms", Work::Cpu(5_000)),
    ("10 ms", Work::Cpu(10_000)),
    ("heavy tail", Work::Pareto(1_000, 1_000_000)),
    ("sleep", Work::Sleep(20_000)),
    ("page", Work::Page),
    ("mixed", Work::Mixed),
];
const BESIDE: [(&str, usize, u64); 4] = [
    ("quick beside 2 of 3 s", 2, 3_000_000),
    ("quick beside 2 of 0.3 s", 2, 300_000),
    ("quick beside 4 of 0.3 s", 4, 300_000),
    ("quick beside 4 of 30 ms", 4, 30_000),
];

fn main() {
    if std::env::args().nth(1).as_deref() == Some("live") {
        return print_live();
    }
    println!(
        "part,work,connections,processes,threads,clients,rule,throughput,p50,p95,p99,jain,fairness,looks"
    );
    rules();
    ages();
    shapes();
}

fn print(part: &str, work: &str, connections: Connections, shape: Shape, clients: &[Clients], rule: Rule) {
    let outcome = run(rule, connections, shape, clients, SECONDS);
    let kind = clients.len() - 1;
    let late = [50, 95, 99].map(|percent| format!("{:.1}", outcome.percentile(kind, percent))).join(",");
    println!(
        "{part},{work},{connections:?},{},{},{},{},{:.1},{late},{:.3},{:.2},{:.0}",
        shape.0,
        shape.1,
        clients.iter().map(|clients| clients.count).sum::<usize>(),
        rule.name,
        outcome.throughput(kind),
        outcome.jain(),
        outcome.fairness(),
        outcome.looks as f64 / SECONDS,
    );
}

/// The rules with each kind of work, each shape and number of clients.
fn rules() {
    for rule in [FIRST, PLAIN, BEFORE, FCFS, SHARING, TWO_CHOICES, AGE] {
        for (connections, shape) in [New, Kept].into_iter().flat_map(|kind| SHAPES.map(|shape| (kind, shape)))
        {
            for (name, work) in WORKS {
                for count in CLIENTS {
                    print("rules", name, connections, shape, &[Clients::new(count, work)], rule);
                }
            }
            for (name, count, us) in BESIDE {
                print("rules", name, connections, shape, &quick_beside(count, Work::Cpu(us)), rule);
            }
        }
    }
}

/// Until what age does a computation keep others out?
fn ages() {
    let names = ["0", "2", "5", "8", "12", "20", "30", "40"];
    let ages = AGES_MS.into_iter().zip(names);
    let rules = ages.map(|(ms, name)| Rule::new(name, Admits::Young(ms * 1_000), Places::Better));
    for rule in rules.chain([FCFS]) {
        for connections in [New, Kept] {
            for (name, us) in [("5 ms", 5_000), ("10 ms", 10_000), ("20 ms", 20_000), ("40 ms", 40_000)] {
                print("ages", name, connections, (2, 4), &[Clients::new(8, Work::Cpu(us))], rule);
            }
            let tail = Clients::new(16, Work::Pareto(1_000, 1_000_000));
            print("ages", "heavy tail", connections, (2, 4), &[tail], rule);
            for (name, count, us) in BESIDE {
                print("ages", name, connections, (2, 4), &quick_beside(count, Work::Cpu(us)), rule);
            }
        }
    }
}

/// How many processes, how many threads?
fn shapes() {
    for (name, work) in WORKS {
        for processes in [1, 2, 3, 4, 8] {
            for threads in [1, 2, 4, 8, 16, 32] {
                print("shapes", name, New, (processes, threads), &[Clients::new(64, work)], AGE);
            }
        }
    }
}

fn print_live() {
    println!("| server | work | shape | clients | requests a second | simulated | ms | simulated |");
    println!("|---|---|---|---|---|---|---|---|");
    for row in live::figures() {
        let outcome = run(row.rule, row.connections, row.shape, &row.clients, SECONDS);
        let kind = row.clients.len() - 1;
        let throughput = if row.throughput > 0.0 {
            format!("{:.0} | {:.0}", row.throughput, outcome.throughput(kind))
        } else {
            " | ".to_owned()
        };
        let late = row.late.map_or(" | ".to_owned(), |(percent, ms)| {
            format!("p{percent} {ms:.0} | {:.0}", outcome.percentile(kind, percent))
        });
        let count: usize = row.clients.iter().map(|clients| clients.count).sum();
        println!(
            "| {} | {} | {}×{} | {count} | {throughput} | {late} |",
            row.server, row.work, row.shape.0, row.shape.1
        );
    }
}
