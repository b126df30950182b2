//! The thread that talks to the stats server, so that a server that hangs does not hold up the keys.

use super::client::{Client, Protocol};
use super::document::Document;
use super::stacks;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub enum Wanted {
    Stats,
    Stacks(u64),
}

pub enum Told {
    Stats { document: Result<Box<Document>, String>, at: Instant, protocol: Option<Protocol> },
    Stacks { worker: u64, lines: Result<Vec<String>, String> },
}

pub struct Reader {
    pub wanted: Sender<Wanted>,
    pub told: Receiver<Told>,
}

impl Reader {
    pub fn start(mut client: Client) -> Reader {
        let (wanted, asked) = channel();
        let (tell, told) = channel();
        thread::spawn(move || {
            for question in asked {
                if tell.send(answer(&mut client, &question)).is_err() {
                    break;
                }
            }
        });
        Reader { wanted, told }
    }
}

fn answer(client: &mut Client, question: &Wanted) -> Told {
    match *question {
        Wanted::Stats => {
            let document = sample(client).map(Box::new);
            Told::Stats { document, at: Instant::now(), protocol: client.protocol() }
        }
        Wanted::Stacks(worker) => Told::Stacks { worker, lines: stacks::read(client, worker) },
    }
}

pub fn sample(client: &mut Client) -> Result<Document, String> {
    let bytes = client.stats()?;
    Document::parse(&bytes, now()).map_err(|why| client.about(&why))
}

/// Seconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
