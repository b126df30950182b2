//! Files and modules whose change reloads (`touch-reload`, `py-autoreload` and similar options).

use crate::config::{Settings, Watch};
use crate::master::action::{Action, OfCause};
use crate::master::server::{Phase, Server};
use crate::master::service::{EachSecond, Service};
use crate::shm::scoreboard::RestartRequest;
use crate::supervise::{Children, Role};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub struct Files {
    touches: Touches,
    second: EachSecond,
}

impl Files {
    pub fn new(settings: &Settings, now: u64) -> Files {
        Files { touches: Touches::new(&settings.watch), second: EachSecond::starting(now) }
    }
}

impl Service for Files {
    fn configure(&mut self, settings: &Settings) {
        self.touches = Touches::new(&settings.watch);
    }

    fn tick(&mut self, now: u64, server: &Server, children: &mut Children) -> Vec<Action> {
        let mut actions = Vec::new();
        if take_module_changes(server, children) {
            actions.push(Action::Reload("py-autoreload".to_owned()));
        }
        if self.second.pass(now) {
            actions.extend(once(self.touches.look()));
        }
        actions
    }
}

/// Of all files that have changed together one opens the log anew, and one reloads.
fn once(found: Vec<Action>) -> Vec<Action> {
    let (mut reopen, mut reload) = (None, None);
    for action in found {
        let first = if matches!(action, Action::ReopenLog(_)) { &mut reopen } else { &mut reload };
        first.get_or_insert(action);
    }
    reopen.into_iter().chain(reload).collect()
}

/// Has a worker found a changed module? It is reported once.
fn take_module_changes(server: &Server, children: &Children) -> bool {
    if server.phase != Phase::Serving || server.settings().watch.python.is_none() {
        return false;
    }
    let up = children.of(Role::Worker).filter(|child| child.is_up());
    up.filter(|child| server.slot(child).take_restart_request(RestartRequest::Reload)).count() > 0
}

#[derive(Debug)]
struct Touch {
    option: &'static str,
    path: PathBuf,
    /// What follows, with the cause.
    then: OfCause,
    /// `None`: it is not there.
    changed: Option<SystemTime>,
}

/// The files that are watched, as they were at the last look.
#[derive(Debug, Default)]
struct Touches(Vec<Touch>);

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

impl Touches {
    fn new(watch: &Watch) -> Touches {
        let lists = [
            ("touch-reload", &watch.reload, Action::Reload as OfCause),
            ("touch-workers-reload", &watch.reload_workers, Action::Reload as OfCause),
            ("touch-chain-reload", &watch.reload_chain, Action::Reload as OfCause),
            ("touch-logreopen", &watch.reopen_log, Action::ReopenLog as OfCause),
        ];
        let touch =
            |option, path: &PathBuf, then| Touch { option, path: path.clone(), then, changed: changed(path) };
        let all = lists
            .into_iter()
            .flat_map(|(option, paths, then)| paths.iter().map(move |path| touch(option, path, then)));
        Touches(all.collect())
    }

    /// Files that have changed, or have come, since the last look.
    fn look(&mut self) -> Vec<Action> {
        let mut found = Vec::new();
        for touch in &mut self.0 {
            let now = changed(&touch.path);
            if now.is_some() && now != touch.changed {
                found.push((touch.then)(format!("{} {}", touch.option, touch.path.display())));
            }
            touch.changed = now;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_or_changes_is_found_once() {
        let path = std::env::temp_dir().join(format!("rwsgi-touch-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut touches = Touches::new(&Watch { reload: vec![path.clone()], ..Watch::default() });
        assert_eq!(touches.look(), []);
        let file = std::fs::File::create(&path).unwrap();
        let cause = format!("touch-reload {}", path.display());
        assert_eq!(touches.look(), [Action::Reload(cause.clone())]);
        assert_eq!(touches.look(), []);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(touches.look(), [Action::Reload(cause)]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(touches.look(), []);
    }

    #[test]
    fn files_that_change_together_are_one_cause() {
        let of = |text: &str| (Action::Reload(text.to_owned()), Action::ReopenLog(text.to_owned()));
        let ((reload, reopen), (again, _)) = (of("a"), of("b"));
        assert_eq!(once(vec![reload.clone(), again, reopen.clone()]), [reopen, reload]);
        assert_eq!(once(Vec::new()), []);
    }
}
