//! Children of a process without Python and without a server: forked, timed, killed, reaped, started again.

use rwsgi::shm::scoreboard::Scoreboard;
use rwsgi::supervise::exit::{self, Circumstances};
use rwsgi::supervise::{self, Child, Children, Due, Ended, Leaving, Role, Stage};
use rwsgi::sys::process::{self, ForkHooks};
use rwsgi::sys::{io, signal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

struct NoHooks;

impl ForkHooks for NoHooks {
    fn before(&self) {}
    fn after_in_parent(&self) {}
    fn after_in_child(&self) {}
}

/// Whoever reaps gets every child of the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reap() -> (i32, Ended) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match supervise::reap() {
            Some(reaped) => return reaped,
            None => assert!(Instant::now() < until, "nobody has ended"),
        }
        process::yield_now();
    }
}

fn worker(id: u32) -> Child {
    Child::new(Role::Worker, id, id as usize, 1)
}

/// Forks a child that waits until this end of a pipe is closed.
fn fork_waiting(children: &mut Children, child: Child) -> (i32, OwnedFd) {
    let (reading, writing) = io::pipe(false).unwrap();
    let pid = children.fork(child, &NoHooks, &[writing.as_raw_fd()], || {
        io::read(reading.as_fd(), &mut [0]).map_or(1, |_| 0)
    });
    (pid.unwrap(), writing)
}

#[test]
fn a_child_is_forked_without_what_is_private_and_reaped() {
    let _alone = alone();
    let (private, _other) = io::pipe(false).unwrap();
    let number = private.as_raw_fd();
    let mut children = Children::default();
    let body = || i32::from(std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    let pid = children.fork(worker(1), &NoHooks, &[number], body).unwrap();
    assert_eq!(children.get(Role::Worker, 1).unwrap().name(), format!("worker 1 (pid {pid})"));
    let (reaped, ended) = reap();
    assert_eq!((reaped, ended), (pid, Ended::Exited(0)));
    let child = children.take(reaped).unwrap();
    assert!(children.is_empty() && children.take(reaped).is_none());
    let told = exit::message(&child, ended, Circumstances { served: 0, is_stopping: false });
    assert_eq!(told.unwrap(), format!("worker 1 (pid {pid}) has ended by itself; replacing it"));
}

#[test]
fn who_is_late_is_killed() {
    let _alone = alone();
    let mut children = Children::default();
    let mut booting = worker(1);
    booting.begin(1000, Some(Duration::from_millis(1)));
    let (pid, _waits) = fork_waiting(&mut children, booting);
    let (_, waits_too) = fork_waiting(&mut children, worker(2));
    assert_eq!(children.deadline(), Some(2000));
    children.kill_overdue(1999, Duration::ZERO, |_| true);
    assert_eq!(children.get(Role::Worker, 1).unwrap().stage, Stage::Booting);
    children.kill_overdue(2000, Duration::ZERO, |_| false);
    let child = children.get_mut(Role::Worker, 1).unwrap();
    assert_eq!((child.stage, child.was_killed, child.kill_at), (Stage::Booting, false, Some(1_002_000)));
    children.kill_overdue(1_002_000, Duration::ZERO, |_| true);
    assert_eq!(reap(), (pid, Ended::Killed(signal::SIGKILL)));
    let child = children.take(pid).unwrap();
    assert_eq!((child.leaving(), child.was_killed), (Some(Leaving::Discarded), true));
    drop(waits_too);
    let (other, ended) = reap();
    assert_eq!((children.take(other).unwrap().id, ended), (2, Ended::Exited(0)));
}

#[test]
fn a_zygote_that_is_late_stays_the_one_that_its_generation_waits_for() {
    let _alone = alone();
    let mut children = Children::default();
    let mut zygote = Child::new(Role::Zygote, 0, 9, 1);
    zygote.begin(0, Some(Duration::ZERO));
    let (pid, _waits) = fork_waiting(&mut children, zygote);
    children.kill_overdue(0, Duration::ZERO, |_| true);
    assert_eq!(reap(), (pid, Ended::Killed(signal::SIGKILL)));
    assert_eq!(children.take(pid).unwrap().leaving(), None);
}

#[test]
fn a_child_whose_pid_comes_late_is_told_late() {
    let _alone = alone();
    let assignment = Scoreboard::new(1, 1).unwrap().next_assignment();
    let mut children = Children::default();
    children.expect(Child { assignment, parent: Some(5), ..worker(1) });
    children.assigned_mut(assignment).unwrap().leave(Leaving::Discarded, Some(0));
    // Nobody can be killed whose pid is unknown.
    assert_eq!(children.deadline(), None);
    children.kill_overdue(10, Duration::ZERO, |_| true);
    let (mut forked_elsewhere, mut others) = (worker(2), Children::default());
    forked_elsewhere.parent = Some(5);
    let (pid, _waits) = fork_waiting(&mut others, forked_elsewhere);
    children.assigned_mut(assignment).unwrap().set_pid(pid, 10);
    assert_eq!(reap(), (pid, Ended::Killed(signal::SIGKILL)));
    assert!(children.take(pid).is_some());
}

#[test]
fn what_a_dead_parent_was_to_fork_never_comes() {
    let mut children = Children::default();
    children.expect(Child { parent: Some(5), ..worker(1) });
    children.expect(Child { parent: Some(5), pid: Some(77), ..worker(2) });
    children.expect(Child { parent: Some(6), ..worker(3) });
    let unforked: Vec<u32> = children.take_unforked(5).into_iter().map(|child| child.id).collect();
    assert_eq!(unforked, [1]);
    assert_eq!(children.of(Role::Worker).count(), 2);
}

#[test]
fn children_are_started_when_they_are_due() {
    let mut children = Children::default();
    children.start_at(Role::Worker, 1, 500);
    children.start_unless_due(Role::Worker, 1, 100);
    children.start_unless_due(Role::Worker, 2, 400);
    assert_eq!(children.deadline(), Some(400));
    assert_eq!(children.take_due(450), [Due { role: Role::Worker, id: 2, at_us: 400 }]);
    children.cancel(Role::Zygote);
    assert_eq!(children.deadline(), Some(500));
    children.cancel(Role::Worker);
    assert_eq!(children.take_due(u64::MAX), []);
}

#[test]
fn each_number_backs_off_on_its_own() {
    let mut children = Children::default();
    let waits: Vec<_> = (0..3).map(|_| children.backoff(&worker(1), 1000)).collect();
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert_eq!((children.early_deaths(&worker(1)), children.early_deaths(&worker(2))), (3, 0));
    let mut killed = worker(2);
    killed.leave(Leaving::Harakiri, None);
    assert_eq!(children.backoff(&killed, 1000), Duration::ZERO);
}
