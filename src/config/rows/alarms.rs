//! Alarms: what is done when something goes wrong.

use super::Table;
use crate::config::alarms::{self, AlarmEvent};
use crate::config::row::{Arg, Arg::*, Row, Setter};
use crate::config::value::{flag, put, seconds, size, text};
use crate::config::{Draft, Origin, ValueError};

pub const TABLE: Table = Table {
    theme: "Alarms",
    rows: &[
        many(
            "alarm",
            alarm,
            "what is done when it is raised: NAME cmd:COMMAND, NAME url:ADDRESS or NAME log:[WORDS]",
        ),
        many(
            "alarm-event",
            event,
            "raise an alarm for events: NAME[,NAME…] EVENT[,EVENT…]; backlog, segfault, killed, harakiri, crash-loop, start-failed, reload-failed, certificate, all",
        ),
        many(
            "alarm-backlog",
            |d, v, _| subscribe(d, v, AlarmEvent::Backlog),
            "raise this alarm when the backlog of a socket is full; NAME ACTION:… makes the alarm, too",
        )
        .alias(&[
            "backlog-alarm",
            "lq-alarm",
            "alarm-lq",
            "alarm-listen-queue",
            "listen-queue-alarm",
        ]),
        many(
            "alarm-segfault",
            |d, v, _| subscribe(d, v, AlarmEvent::Segfault),
            "raise this alarm when a worker dies of a segmentation fault; NAME ACTION:… makes the alarm, too",
        )
        .alias(&["segfault-alarm"]),
        many(
            "log-alarm",
            |d, v, _| line(d, v, false),
            "raise alarms for entries of the log: NAME[,NAME…] REGEX",
        )
        .alias(&["alarm-log"]),
        many(
            "not-log-alarm",
            |d, v, _| line(d, v, true),
            "entries that raise none of the alarms that follow: NAME[,NAME…] REGEX",
        )
        .alias(&["not-alarm-log"]),
        many(
            "alarm-fd",
            descriptor,
            "raise an alarm when an inherited descriptor can be read: NAME DESCRIPTOR[:BYTES] MESSAGE",
        ),
        one(
            "alarm-freq",
            Seconds,
            |d, v, _| put(&mut d.settings.alarms.frequency, seconds(v)),
            "seconds before the same message raises an alarm again",
        )
        .default("3"),
        one(
            "alarm-msg-size",
            Size,
            |d, v, _| put(&mut d.settings.alarms.message_size, size(v)),
            "bytes of a message; a longer one is cut",
        )
        .default("8192"),
        Row::accepted("alarm-list", Flag, "log the actions of alarms", "the log has them at the start")
            .setter(list)
            .alias(&["alarms-list"]),
        Row::accepted(
            "alarm-cheap",
            Required,
            "threads for alarms",
            "alarms run in processes of their own, not in threads of the master",
        ),
    ],
};

const fn one(name: &'static str, arg: Arg, set: Setter, help: &'static str) -> Row {
    Row::works(name, arg, set, help)
}

const fn many(name: &'static str, set: Setter, help: &'static str) -> Row {
    Row::works(name, Required, set, help).many()
}

type Done = Result<(), ValueError>;

fn alarm(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Done {
    let (alarm, note) = alarms::alarm(text(value)?)?;
    draft.notes.extend(note);
    define(draft, alarm);
    Ok(())
}

/// As in uWSGI the first alarm of a name is the one that counts.
fn define(draft: &mut Draft, alarm: alarms::Alarm) {
    if draft.settings.alarms.list.iter().any(|known| known.name == alarm.name) {
        draft.note(format!("there is an alarm \"{}\" already, which counts", alarm.name));
    }
    draft.settings.alarms.list.push(alarm);
}

fn subscribe(draft: &mut Draft, value: Option<&str>, event: AlarmEvent) -> Done {
    let ((name, alarm), note) = alarms::named(text(value)?)?;
    draft.notes.extend(note);
    alarm.into_iter().for_each(|alarm| define(draft, alarm));
    draft.settings.alarms.subscriptions.push((name, event));
    Ok(())
}

fn event(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Done {
    let subscriptions = alarms::subscriptions(text(value)?)?;
    draft.settings.alarms.subscriptions.extend(subscriptions);
    Ok(())
}

fn line(draft: &mut Draft, value: Option<&str>, is_exclusion: bool) -> Done {
    let rule = alarms::line_rule(text(value)?, is_exclusion)?;
    draft.settings.alarms.lines.push(rule);
    Ok(())
}

fn descriptor(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Done {
    let descriptor = alarms::descriptor(text(value)?)?;
    draft.settings.alarms.descriptors.push(descriptor);
    Ok(())
}

fn list(draft: &mut Draft, value: Option<&str>, _: &Origin) -> Done {
    if flag(value)? {
        draft.messages.push("actions of alarms: cmd, url, log, signal (to the log)".to_owned());
    }
    Ok(())
}
