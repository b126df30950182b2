//! Files and modules whose change reloads (`touch-reload`, `py-autoreload` and their kin).

use super::{Master, Phase};
use crate::config::Watch;
use crate::shm::scoreboard::RestartRequest;
use crate::worker::application::Application;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What follows when a file is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Reload,
    ReopenLog,
}

#[derive(Debug)]
struct Touch {
    option: &'static str,
    path: PathBuf,
    then: Then,
    /// `None`: it is not there.
    changed: Option<SystemTime>,
}

/// The files that are watched, as they were at the last look.
#[derive(Debug, Default)]
pub struct Touches(Vec<Touch>);

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

impl Touches {
    pub fn new(watch: &Watch) -> Touches {
        let lists = [
            ("touch-reload", &watch.reload, Then::Reload),
            ("touch-workers-reload", &watch.reload_workers, Then::Reload),
            ("touch-chain-reload", &watch.reload_chain, Then::Reload),
            ("touch-logreopen", &watch.reopen_log, Then::ReopenLog),
        ];
        let touch =
            |option, path: &PathBuf, then| Touch { option, path: path.clone(), then, changed: changed(path) };
        let all = lists
            .into_iter()
            .flat_map(|(option, paths, then)| paths.iter().map(move |path| touch(option, path, then)));
        Touches(all.collect())
    }

    /// Files that have changed, or have come, since the last look: what follows, and the cause.
    fn look(&mut self) -> Vec<(Then, String)> {
        let mut found = Vec::new();
        for touch in &mut self.0 {
            let now = changed(&touch.path);
            if now.is_some() && now != touch.changed {
                found.push((touch.then, format!("{} {}", touch.option, touch.path.display())));
            }
            touch.changed = now;
        }
        found
    }
}

impl<R: Application> Master<'_, R> {
    /// Looks at the files, and acts once for all that have changed together.
    pub(super) fn watch_files(&mut self) {
        let found = self.touches.look();
        for then in [Then::ReopenLog, Then::Reload] {
            if let Some((_, cause)) = found.iter().find(|(what, _)| *what == then) {
                match then {
                    Then::ReopenLog => self.reopen_log(cause),
                    Then::Reload => self.reload(cause),
                }
            }
        }
    }

    /// A worker has found a changed module.
    pub(super) fn hear_of_changes(&mut self) {
        if self.phase != Phase::Serving || self.settings.watch.python.is_none() {
            return;
        }
        let up = self.children.iter().filter(|child| child.is_up());
        let slots: Vec<_> = up.map(|child| child.on(&self.scoreboard)).collect();
        let asked = slots.iter().filter(|slot| slot.take_restart_request(RestartRequest::Reload)).count();
        if asked > 0 {
            self.reload("py-autoreload");
        }
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
        assert_eq!(touches.look(), [(Then::Reload, cause.clone())]);
        assert_eq!(touches.look(), []);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(touches.look(), [(Then::Reload, cause)]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(touches.look(), []);
    }
}
