//! The commands of the master to workers: a word on the scoreboard, and a signal that makes them read it.

use crate::log;
use crate::master::server::Server;
use crate::shm::scoreboard::{Command, Stage};
use crate::supervise::{Child, Children, Leaving, Role};
use crate::sys::{clock, signal};
use std::sync::atomic::Ordering::*;

/// Tells a worker to finish what it has begun and leave. One that has not begun to serve is killed.
pub fn retire(server: &Server, child: &mut Child, why: Leaving) {
    let now = clock::monotonic_us();
    if child.leaving() == Some(Leaving::Harakiri) {
        return;
    }
    let slot = server.slot(child);
    let leave = if why == Leaving::Stopped { Command::Drain } else { Command::Retire };
    if slot.stage() == Stage::Booting {
        // Before it is given up: one that gets ready in this moment leaves as any other.
        slot.set_command(leave);
        if give_up_boot(server, child) {
            return child.leave(why, Some(now));
        }
    }
    child.leave(why, Some(now + server.mercy().as_micros() as u64));
    // First what the application's own handlers wait for: once the worker knows its command it may be gone.
    forward_signal(server, child, why);
    command(server, child, leave);
}

/// The boot of this child is over, and it is killed. `false`: it is a worker that has got ready in this moment.
pub fn give_up_boot(server: &Server, child: &Child) -> bool {
    child.role != Role::Worker || server.slot(child).end_boot(Stage::Gone)
}

/// The application's own handlers for TERM or HUP run.
fn forward_signal(server: &Server, child: &Child, why: Leaving) {
    let signal = if why == Leaving::Reloaded { signal::SIGHUP } else { signal::SIGTERM };
    if signal::is_in(server.slot(child).app_signals().load(Relaxed), signal) {
        child.signal(signal);
    }
}

pub fn command(server: &Server, child: &Child, command: Command) {
    server.slot(child).set_command(command);
    child.signal(signal::wake());
}

/// Workers stop accepting, or go on; those that leave already get no command.
pub fn toggle_pause(server: &mut Server, children: &Children, cause: &str) {
    server.is_paused = !server.is_paused;
    let (pause, text) = match server.is_paused {
        true => (Command::Pause, "paused; workers accept nothing"),
        false => (Command::Serve, "resumed"),
    };
    for child in children.of(Role::Worker).filter(|child| child.leaving().is_none()) {
        command(server, child, pause);
    }
    log::say(&format!("{cause}: {text}"));
}

/// Makes every worker that serves look at the scoreboard.
pub fn wake_all(children: &Children) {
    children.of(Role::Worker).filter(|child| child.is_up()).for_each(|child| child.signal(signal::wake()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::master::server::tests::{add_worker, serving};

    fn server() -> (Server, Children) {
        let (server, mut children) = (serving(Settings::default()), Children::default());
        (0..3).for_each(|slot| add_worker(&server, &mut children, 1, slot));
        (server, children)
    }

    fn told(server: &Server) -> Vec<Command> {
        (0..3).map(|slot| server.scoreboard().worker(slot).command()).collect()
    }

    #[test]
    fn who_leaves_is_told_how_and_not_paused() {
        let (mut server, mut children) = server();
        let mut of = |slot, why| retire(&server, children.get_mut(Role::Worker, slot).unwrap(), why);
        of(0, Leaving::Reloaded);
        of(1, Leaving::Stopped);
        toggle_pause(&mut server, &children, "test");
        assert_eq!(told(&server), [Command::Retire, Command::Drain, Command::Pause]);
        toggle_pause(&mut server, &children, "test");
        assert_eq!(told(&server), [Command::Retire, Command::Drain, Command::Serve]);
    }

    #[test]
    fn who_boots_is_killed_and_who_is_killed_by_harakiri_stays_so() {
        let (server, mut children) = server();
        server.scoreboard().worker(0).set_stage(Stage::Booting);
        let now = clock::monotonic_us();
        let booting = children.get_mut(Role::Worker, 0).unwrap();
        retire(&server, booting, Leaving::Discarded);
        assert!(booting.kill_at.unwrap() <= clock::monotonic_us() && booting.kill_at.unwrap() >= now);
        let late = children.get_mut(Role::Worker, 1).unwrap();
        late.leave(Leaving::Harakiri, None);
        retire(&server, late, Leaving::Stopped);
        assert_eq!((late.leaving(), late.kill_at), (Some(Leaving::Harakiri), None));
        assert_eq!(told(&server), [Command::Retire, Command::Serve, Command::Serve]);
        assert_eq!(server.scoreboard().worker(0).stage(), Stage::Gone);
    }
}
