//! Files, directories and modules that a configuration names: whether they are there, and which users may use them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Python, Report, modules};
use crate::config::{Address, App, AppSource, Listener, Settings, StatsSocket, statics};

pub fn find(report: &mut Report, settings: &Settings, python: Option<&Python>) {
    find_directories(report, settings, python);
    for app in &settings.apps.mounts {
        find_app(report, settings, python, app);
    }
    for warning in statics::missing(settings) {
        report.warn(&warning.origin, warning.text);
    }
    for (name, path) in written_files(settings) {
        find_place(report, settings, name, path);
    }
    for listener in &settings.listeners {
        find_socket(report, settings, listener);
    }
    for socket in &settings.instance.stats {
        find_stats_socket(report, settings, socket);
    }
    if settings.apps.need_app && settings.apps.mounts.is_empty() {
        let text = "no application is named; write module, wsgi-file or mount";
        report.warn(&crate::config::Origin::Default, text);
    }
}

/// Relative paths count from `chdir` on, for what is read after it.
pub fn base(settings: &Settings) -> &Path {
    settings.instance.chdir.as_deref().unwrap_or(Path::new("."))
}

fn find_directories(report: &mut Report, settings: &Settings, python: Option<&Python>) {
    let named = settings.instance.chdir.iter().map(|path| ("chdir", path.clone()));
    let named = named.chain(settings.python.chdir2.iter().map(|path| ("chdir2", path.clone())));
    for (name, path) in named {
        if !path.is_dir() {
            missing(report, settings, name, &format!("directory \"{}\" does not exist", path.display()));
        }
    }
    for path in &settings.python.pythonpath {
        if !base(settings).join(path).exists() {
            let text = format!("\"{}\" does not exist; nothing is found there", path.display());
            report.warn(&settings.origin_of("pythonpath"), text);
        }
    }
    if let Some(path) = &settings.python.virtualenv {
        find_virtualenv(report, settings, python, path);
    }
}

fn find_virtualenv(report: &mut Report, settings: &Settings, python: Option<&Python>, path: &Path) {
    let shown = path.display();
    if !path.join("bin/python").exists() {
        let text = format!("\"{shown}\" is no virtualenv: there is no bin/python in it");
        return missing(report, settings, "virtualenv", &text);
    }
    let Some((major, minor)) = python.map(|python| python.version) else { return };
    if !path.join(format!("lib/python{major}.{minor}/site-packages")).is_dir() {
        let text = format!(
            "\"{shown}\" is no virtualenv of Python {major}.{minor}, in which this rwsgi runs; install rwsgi into it and start {shown}/bin/rwsgi"
        );
        missing(report, settings, "virtualenv", &text);
    }
}

fn missing(report: &mut Report, settings: &Settings, name: &str, text: &str) {
    report.fail(&settings.origin_of(name), text);
}

fn find_app(report: &mut Report, settings: &Settings, python: Option<&Python>, app: &App) {
    match &app.source {
        AppSource::File(path) if !base(settings).join(path).is_file() => {
            let text =
                format!("file \"{}\" does not exist in \"{}\"", path.display(), base(settings).display());
            report.fail(&app.origin, text);
        }
        AppSource::Module(name) => modules::find(report, settings, python, app, name),
        _ => {}
    }
}

/// Files that the server writes, by option.
fn written_files(s: &Settings) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let files = [
        ("pidfile", &s.instance.pidfiles.first),
        ("logto", &s.instance.logto),
        ("daemonize", &s.instance.daemonize),
        ("pidfile2", &s.instance.pidfiles.second),
        ("safe-pidfile", &s.instance.pidfiles.safe),
        ("logto2", &s.instance.logto2),
    ];
    files.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)))
}

fn find_place(report: &mut Report, settings: &Settings, name: &str, path: &Path) {
    if path.is_dir() {
        missing(report, settings, name, &format!("\"{}\" is a directory; name a file in it", path.display()));
    } else if !parent(path).is_dir() {
        let text = format!(
            "directory \"{}\" does not exist; create it, or choose another path",
            parent(path).display()
        );
        missing(report, settings, name, &text);
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// nginx is another user: it needs x on each directory above the socket, and w on the socket.
fn find_socket(report: &mut Report, settings: &Settings, listener: &Listener) {
    let Address::Unix(path) = &listener.address else { return };
    let directory = parent(path);
    if !directory.is_dir() {
        let text = format!("directory \"{}\" of the socket does not exist; create it", directory.display());
        report.fail(&listener.origin, text);
        return;
    }
    if path.exists() && !is_socket(path) {
        let text = format!("\"{}\" exists and is no socket", path.display());
        report.fail(&listener.origin, text);
    }
    if let Some(closed) = first_closed(directory) {
        let text = format!(
            "other users, such as nginx, cannot enter \"{}\"; chmod o+x, or put the socket below /run",
            closed.display()
        );
        report.warn(&listener.origin, text);
    }
    let mode = settings.instance.chmod_socket.unwrap_or(0o755);
    let has_owner = settings.instance.chown_socket.is_some() || settings.instance.gid.is_some();
    if mode & 0o002 == 0 && !(has_owner && mode & 0o020 != 0) {
        let remedy = "write chmod-socket = 660 and chown-socket = USER:www-data, or chmod-socket = 666";
        let text =
            format!("nginx may not write to \"{}\" if it runs as another user; {remedy}", listener.text);
        report.warn(&listener.origin, text);
    }
}

/// Readers are the user's own tools: nobody else has to get there.
fn find_stats_socket(report: &mut Report, settings: &Settings, socket: &StatsSocket) {
    let Address::Unix(path) = &socket.address else { return };
    let (origin, directory) = (settings.origin_of_end(socket.option, &socket.text), parent(path));
    if !directory.is_dir() {
        let text = format!("directory \"{}\" of the socket does not exist; create it", directory.display());
        report.fail(&origin, text);
    } else if path.exists() && !is_socket(path) {
        report.fail(&origin, format!("\"{}\" exists and is no socket", path.display()));
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|m| m.file_type().is_socket())
}

/// The first directory above, or this one, that others cannot enter.
fn first_closed(directory: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(directory).ok()?;
    let mut above: Vec<&Path> = absolute.ancestors().collect();
    above.reverse();
    above.into_iter().find(|path| is_closed(path)).map(Path::to_owned)
}

fn is_closed(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| {
        let mode = m.permissions().mode();
        // A group of its own is how people let nginx in.
        mode & 0o001 == 0 && (mode & 0o010 == 0 || m.gid() == 0)
    })
}
