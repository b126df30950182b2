//! `rwsgi profile`: where the time of the workers goes, as a picture or for another tool.

use super::arguments::Arguments;
use super::folded::Profile;
use super::outcome::{Failure, Outcome};
use super::{flame, speedscope};
use crate::base::reason::reason;
use crate::top::client::Client;
use std::time::Duration;

pub const USAGE: &str = "\
Usage: rwsgi profile [--seconds S] [--hz H] [--worker N] [-o FILE] ADDR

Samples the Python stacks of the threads of all workers. ADDR is a stats server with stats-http:
HOST:PORT, http://HOST:PORT/, /PATH of a unix socket, or @NAME of an abstract one.

  --seconds S        how long, 0.1 to 60 (default: 10)
  --hz H             samples a second, 1 to 250 (default: 100)
  --worker N         this worker alone
  -o, --output FILE  FILE.svg is a flame graph, FILE.json is for https://www.speedscope.app, any other name gets a line
                     for each stack (\"folded\"), as the standard output does without this option
  --help             this text

Exit status: 0, 1 where the stats server cannot be read, 2 where the arguments are wrong.
";

const SECONDS: f64 = 10.0;
const HZ: f64 = 100.0;
/// Beside the time of the profile itself.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(words: &[String]) -> Result<Outcome, Failure> {
    let arguments = Arguments::parse(words, &["--seconds", "--hz", "--worker", "-o", "--output"], &[])?;
    let seconds = arguments.number("--seconds", (0.1, 60.0))?.unwrap_or(SECONDS);
    let hz = arguments.number("--hz", (1.0, 250.0))?.unwrap_or(HZ).trunc();
    let worker = arguments.worker()?.map_or_else(String::new, |worker| format!("&{worker}"));
    let document = format!("profile?seconds={seconds}&hz={hz}{worker}");
    let patience = Duration::from_secs_f64(seconds) + PATIENCE;
    let mut client = Client::new(arguments.address.clone());
    let answer = client.get_within(&document, patience)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let profile = Profile::parse(&text);
    if profile.total() == 0 {
        return nothing(&text).map_err(|why| client.about(why).into());
    }
    match arguments.value("-o").or_else(|| arguments.value("--output")) {
        None | Some("-") => Ok(Outcome::Text(profile.folded())),
        Some(file) => Ok(Outcome::Written(write(file, &profile, hz)?)),
    }
}

/// There is no stack in the answer.
fn nothing(answer: &str) -> Result<Outcome, &'static str> {
    if answer.is_empty() {
        Ok(Outcome::Written(
            "nothing ran meanwhile: no request, and no other thread of the application\n".to_owned(),
        ))
    } else {
        Err("its answer is no profile: this is no stats server of rwsgi")
    }
}

fn write(file: &str, profile: &Profile, hz: f64) -> Result<String, Failure> {
    let text = match file.rsplit_once('.').map(|(_, kind)| kind) {
        Some("svg") => flame::svg(profile, hz),
        Some("json") => speedscope::json(profile, hz),
        _ => profile.folded(),
    };
    std::fs::write(file, text).map_err(|error| format!("{file}: {}", reason(error)))?;
    let total = profile.total() as f64 / hz;
    Ok(format!("{file}: {} stacks, {total:.2} s of threads\n", profile.stacks().count()))
}
