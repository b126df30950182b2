//! Alarms: what is done when something goes wrong (`alarm`), and what is wrong enough for it (`alarm-backlog`, `log-alarm`, …).

use std::time::Duration;

use regex::bytes::{Regex, RegexBuilder};

use super::{Settings, ValueError};

/// What is done, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarms {
    pub list: Vec<Alarm>,
    /// Alarms by their names, and the events that they are raised for.
    pub subscriptions: Vec<(String, AlarmEvent)>,
    /// In the order in which a line of the log is held against them.
    pub lines: Vec<LineRule>,
    pub descriptors: Vec<AlarmFd>,
    /// The same message does not raise an alarm again before this time is over.
    pub frequency: Duration,
    /// Bytes of a message; what is longer is cut.
    pub message_size: usize,
}

impl Default for Alarms {
    fn default() -> Alarms {
        Alarms {
            list: Vec::new(),
            subscriptions: Vec::new(),
            lines: Vec::new(),
            descriptors: Vec::new(),
            frequency: Duration::from_secs(3),
            message_size: 8192,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    pub name: String,
    pub action: AlarmAction,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmAction {
    /// A command of the shell, which gets the message as its input.
    Command(String),
    /// An entry of the log, with these words in front.
    Log(String),
    /// The event as JSON is posted to this URL.
    Post(String),
}

/// What alarms can be raised for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmEvent {
    /// The backlog of a socket is full.
    Backlog,
    /// A worker died of a fault of its own: SIGSEGV, SIGBUS, SIGFPE, SIGILL.
    Segfault,
    /// A worker was killed by another signal, and not by the server.
    Killed,
    Harakiri,
    /// Workers die so often that the next one waits.
    CrashLoop,
    StartFailed,
    ReloadFailed,
    /// A certificate expires soon.
    Certificate,
}

impl AlarmEvent {
    pub const ALL: [AlarmEvent; 8] = [
        AlarmEvent::Backlog,
        AlarmEvent::Segfault,
        AlarmEvent::Killed,
        AlarmEvent::Harakiri,
        AlarmEvent::CrashLoop,
        AlarmEvent::StartFailed,
        AlarmEvent::ReloadFailed,
        AlarmEvent::Certificate,
    ];

    /// As it stands in the configuration and in what is posted.
    pub fn name(self) -> &'static str {
        match self {
            AlarmEvent::Backlog => "backlog",
            AlarmEvent::Segfault => "segfault",
            AlarmEvent::Killed => "killed",
            AlarmEvent::Harakiri => "harakiri",
            AlarmEvent::CrashLoop => "crash-loop",
            AlarmEvent::StartFailed => "start-failed",
            AlarmEvent::ReloadFailed => "reload-failed",
            AlarmEvent::Certificate => "certificate",
        }
    }
}

/// A regular expression for lines of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LineRule {
    pub alarms: Vec<String>,
    pub pattern: LinePattern,
    /// A line that it finds raises nothing, and no later rule is looked at.
    pub is_exclusion: bool,
}

#[derive(Clone, Debug)]
pub struct LinePattern(pub Regex);

impl PartialEq for LinePattern {
    fn eq(&self, other: &LinePattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A descriptor that was open when the server started: what can be read there raises an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmFd {
    pub alarm: String,
    pub descriptor: i32,
    /// Bytes that are read at a time; an eventfd needs 8.
    pub bytes: usize,
    pub message: String,
}

// ── from text ──

/// What was read, and what is to be said about it.
type Parsed<T> = Result<(T, Option<String>), ValueError>;

/// Alarms of uWSGI that are plugins there.
const PLUGINS: [&str; 4] = ["curl", "xmpp", "speech", "sentry"];
const FORM: &str = "write NAME cmd:COMMAND, NAME url:ADDRESS or NAME log:[WORDS]";

/// `NAME ACTION:ARGUMENT`.
pub fn alarm(text: &str) -> Parsed<Alarm> {
    let wrong = || ValueError::new(format!("\"{text}\" is no alarm"), FORM);
    let (name, action) = text.split_once(' ').ok_or_else(wrong)?;
    let (kind, argument) = action.trim_start().split_once(':').ok_or_else(wrong)?;
    let (action, note) = action_of(kind, argument)?;
    Ok((Alarm { name: name.to_owned(), action }, note))
}

fn action_of(kind: &str, argument: &str) -> Parsed<AlarmAction> {
    let instead = "the message is written to the log; use cmd: or url:";
    Ok(match kind {
        "cmd" if argument.trim().is_empty() => Err(ValueError::new("cmd: names no command", FORM))?,
        "cmd" => (AlarmAction::Command(argument.to_owned()), None),
        "log" => (AlarmAction::Log(argument.to_owned()), None),
        "url" => (AlarmAction::Post(url(argument)?), None),
        "signal" => {
            let number = argument.trim().parse::<u8>();
            let number = number.map_err(|_| {
                ValueError::new(format!("\"{argument}\" is no uwsgi signal"), "write a number from 0 to 255")
            })?;
            let note = format!("uwsgi signals are not there yet: {instead}");
            (AlarmAction::Log(format!("(uwsgi signal {number})")), Some(note))
        }
        "mule" => Err(ValueError::new("there are no mules yet to send an alarm to", FORM))?,
        plugin if PLUGINS.contains(&plugin) => {
            let note = format!("there is no action \"{plugin}:\" here: {instead}");
            (AlarmAction::Log(format!("({plugin})")), Some(note))
        }
        _ => Err(ValueError::new(format!("there is no action \"{kind}:\" for alarms"), FORM))?,
    })
}

fn url(text: &str) -> Result<String, ValueError> {
    let text = text.trim();
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && is_plain(rest) => Ok(text.to_owned()),
        _ => Err(ValueError::new(format!("\"{text}\" is no URL"), "write url:http://… or url:https://…")),
    }
}

/// The value of `alarm-backlog` and `alarm-segfault`: the name of an alarm, or an alarm as `alarm` has it.
pub fn named(text: &str) -> Parsed<(String, Option<Alarm>)> {
    match text.split_once(' ') {
        None => Ok(((text.to_owned(), None), None)),
        Some((name, _)) => {
            let (alarm, note) = alarm(text)?;
            Ok(((name.to_owned(), Some(alarm)), note))
        }
    }
}

/// `NAME[,NAME…] EVENT[,EVENT…]`, or `all`.
pub fn subscriptions(text: &str) -> Result<Vec<(String, AlarmEvent)>, ValueError> {
    let names: Vec<&str> = AlarmEvent::ALL.iter().map(|event| event.name()).collect();
    let remedy = format!("write NAME EVENT[,EVENT…]; events are {} and all", names.join(", "));
    let wrong = |what: String| ValueError::new(what, remedy.clone());
    let (alarms, events) = text.split_once(' ').ok_or_else(|| wrong(format!("\"{text}\" names no event")))?;
    let mut found = Vec::new();
    for event in list(events) {
        let of_name: Vec<AlarmEvent> =
            AlarmEvent::ALL.into_iter().filter(|known| event == "all" || known.name() == event).collect();
        if of_name.is_empty() {
            return Err(wrong(format!("there is no event \"{event}\"")));
        }
        found.extend(of_name);
    }
    let pairs = list(alarms).flat_map(|name| found.iter().map(move |event| (name.to_owned(), *event)));
    Ok(pairs.collect())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The largest program of a regular expression.
const MAX_PATTERN: usize = 1 << 20;

/// `NAME[,NAME…] REGEX`.
pub fn line_rule(text: &str, is_exclusion: bool) -> Result<LineRule, ValueError> {
    let form = "write NAME[,NAME…] and a regular expression behind a blank";
    let (alarms, pattern) = text
        .split_once(' ')
        .ok_or_else(|| ValueError::new(format!("\"{text}\" has no regular expression"), form))?;
    let pattern =
        RegexBuilder::new(pattern).unicode(false).size_limit(MAX_PATTERN).build().map_err(|error| {
            let error = error.to_string();
            let last =
                error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            let fault = format!("\"{pattern}\" cannot be used as a regular expression: {last}");
            ValueError::new(
                fault,
                "look-around and references to groups are not there; not-log-alarm takes lines out",
            )
        })?;
    let alarms = list(alarms).map(str::to_owned).collect();
    Ok(LineRule { alarms, pattern: LinePattern(pattern), is_exclusion })
}

/// The most that is read from a descriptor at a time.
const MAX_READ: usize = 4096;

/// `NAME DESCRIPTOR[:BYTES] MESSAGE`.
pub fn descriptor(text: &str) -> Result<AlarmFd, ValueError> {
    let wrong = || {
        let remedy = format!("write NAME DESCRIPTOR[:BYTES] MESSAGE, at most {MAX_READ} bytes");
        ValueError::new(format!("\"{text}\" is no descriptor of an alarm"), remedy)
    };
    let mut parts = text.splitn(3, ' ');
    let (alarm, place, message) = (parts.next(), parts.next(), parts.next());
    let place = place.ok_or_else(wrong)?;
    let (number, bytes) = place.split_once(':').unwrap_or((place, "1"));
    let descriptor = number.parse().ok().filter(|&number: &i32| number >= 0).ok_or_else(wrong)?;
    let bytes: usize = bytes.parse().ok().filter(|&bytes| bytes <= MAX_READ).ok_or_else(wrong)?;
    let (alarm, message) = (alarm.unwrap_or_default().to_owned(), message.ok_or_else(wrong)?.to_owned());
    Ok(AlarmFd { alarm, descriptor, bytes: bytes.max(1), message })
}

// ── together ──

/// Options that name an alarm which is not there, and that name.
pub fn unknown(settings: &Settings) -> Vec<(&'static str, String)> {
    let alarms = &settings.alarms;
    let is_known = |name: &str| alarms.list.iter().any(|alarm| alarm.name == name);
    let option_of = |event: AlarmEvent| match event {
        AlarmEvent::Backlog => "alarm-backlog",
        AlarmEvent::Segfault => "alarm-segfault",
        _ => "alarm-event",
    };
    let rules = alarms.lines.iter().flat_map(|rule| {
        let option = if rule.is_exclusion { "not-log-alarm" } else { "log-alarm" };
        rule.alarms.iter().map(move |name| (option, name))
    });
    let subscribed = alarms.subscriptions.iter().map(|(name, event)| (option_of(*event), name));
    let descriptors = alarms.descriptors.iter().map(|one| ("alarm-fd", &one.alarm));
    let thresholds = settings.metrics.thresholds.iter().filter_map(|threshold| threshold.alarm.as_ref());
    let thresholds = thresholds.map(|name| ("metric-threshold", name));
    let mut found: Vec<(&str, String)> = Vec::new();
    for (option, name) in subscribed.chain(rules).chain(descriptors).chain(thresholds) {
        if !is_known(name) && !found.iter().any(|(_, known)| known == name) {
            found.push((option, name.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(parsed: Parsed<Alarm>) -> String {
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn alarms_have_a_name_and_an_action() {
        let parsed = |text: &str| alarm(text).unwrap();
        let of = |action| Alarm { name: "a".to_owned(), action };
        assert_eq!(
            parsed("a cmd:mail -s 'x: y' b"),
            (of(AlarmAction::Command("mail -s 'x: y' b".into())), None)
        );
        assert_eq!(parsed("a log:"), (of(AlarmAction::Log(String::new())), None));
        let url = "https://example.org/x?y=z";
        assert_eq!(parsed(&format!("a url:{url}")), (of(AlarmAction::Post(url.into())), None));
        let (alarm, note) = parsed("a signal:17");
        assert_eq!(alarm.action, AlarmAction::Log("(uwsgi signal 17)".into()));
        assert!(note.unwrap().contains("written to the log"));
        assert!(parsed("a curl:http://x;method=PUT").1.unwrap().contains("no action \"curl:\""));
    }

    #[test]
    fn what_is_no_alarm_says_what_to_write() {
        for wrong in ["a", "a cmd", "a cmd: ", "a mule:1", "a signal:x", "a signal:256", "a nonsense:x"] {
            assert!(fault(alarm(wrong)).contains("; write"), "{wrong}");
        }
        for wrong in ["a url:", "a url:example.org", "a url:http:///x", "a url:http://a b", "a url:https://"]
        {
            assert!(fault(alarm(wrong)).contains("is no URL"), "{wrong}");
        }
    }

    #[test]
    fn events_have_names() {
        let pair = |name: &str, event| (name.to_owned(), event);
        assert_eq!(
            subscriptions("a,b backlog, harakiri").unwrap(),
            [
                pair("a", AlarmEvent::Backlog),
                pair("a", AlarmEvent::Harakiri),
                pair("b", AlarmEvent::Backlog),
                pair("b", AlarmEvent::Harakiri)
            ]
        );
        assert_eq!(subscriptions("a all").unwrap().len(), AlarmEvent::ALL.len());
        assert!(subscriptions("a").unwrap_err().to_string().contains("crash-loop"));
        assert!(subscriptions("a nonsense").unwrap_err().text.contains("no event \"nonsense\""));
    }

    #[test]
    fn lines_are_found_by_bytes() {
        let rule = line_rule("a,b ^.*HARAKIRI \\d+$", false).unwrap();
        assert_eq!(rule.alarms, ["a", "b"]);
        assert!(rule.pattern.0.is_match(b"\xff HARAKIRI 12") && !rule.pattern.0.is_match(b"HARAKIRI x"));
        let error = line_rule("a (?<!x)y", false).unwrap_err();
        assert!(error.text.contains("look-around"), "{error}");
        assert!(error.remedy.contains("not-log-alarm"));
        assert!(line_rule("a", true).is_err());
    }

    #[test]
    fn descriptors_have_a_message() {
        let fd = descriptor("a 7:8 memory is short").unwrap();
        assert_eq!((fd.descriptor, fd.bytes, fd.message.as_str()), (7, 8, "memory is short"));
        assert_eq!(descriptor("a 7 x").unwrap().bytes, 1);
        for wrong in ["a", "a 7", "a -1 x", "a x y", "a 7:99999 x"] {
            assert!(descriptor(wrong).is_err(), "{wrong}");
        }
    }
}
