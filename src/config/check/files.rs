//! Files, directories and modules that a configuration names: whether they are there, and who may use them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Report, Severity, origin_of};
use crate::config::{Address, App, AppSource, Listener, Settings};

pub fn find(report: &mut Report, settings: &Settings) {
    find_directories(report, settings);
    for app in &settings.apps {
        find_app(report, settings, app);
    }
    for (name, path) in written_files(settings) {
        find_place(report, settings, name, path);
    }
    for listener in &settings.listeners {
        find_socket(report, settings, listener);
    }
    if settings.need_app && settings.apps.is_empty() {
        let text = "no application is named; write module, wsgi-file or mount";
        report.warn(&crate::config::Origin::Default, text);
    }
}

/// Relative paths count from `chdir` on, for what is read after it.
fn base(settings: &Settings) -> &Path {
    settings.chdir.as_deref().unwrap_or(Path::new("."))
}

fn find_directories(report: &mut Report, settings: &Settings) {
    let named = settings.chdir.iter().map(|path| ("chdir", path.clone()));
    let named = named.chain(settings.python.chdir2.iter().map(|path| ("chdir2", path.clone())));
    for (name, path) in named {
        if !path.is_dir() {
            missing(report, settings, name, &format!("directory \"{}\" does not exist", path.display()));
        }
    }
    for path in &settings.pythonpath {
        if !base(settings).join(path).exists() {
            let text = format!("\"{}\" does not exist; nothing is found there", path.display());
            report.warn(&origin_of(settings, "pythonpath"), text);
        }
    }
    if let Some(path) = &settings.virtualenv
        && !path.join("bin/python").exists()
    {
        let text = format!("\"{}\" is no virtualenv: there is no bin/python in it", path.display());
        missing(report, settings, "virtualenv", &text);
    }
}

fn missing(report: &mut Report, settings: &Settings, name: &str, text: &str) {
    let origin = origin_of(settings, name);
    report.findings.push(super::Finding { severity: Severity::Error, origin, text: text.to_owned() });
}

fn find_app(report: &mut Report, settings: &Settings, app: &App) {
    match &app.source {
        AppSource::File(path) if !base(settings).join(path).is_file() => {
            let text =
                format!("file \"{}\" does not exist in \"{}\"", path.display(), base(settings).display());
            report.findings.push(super::Finding {
                severity: Severity::Error,
                origin: app.origin.clone(),
                text,
            });
        }
        AppSource::Module(name) if !is_found(settings, name) => {
            let text = format!(
                "module \"{name}\" is not in {}; it must be installed for the Python that starts rwsgi",
                search_path(settings).iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
            );
            report.warn(&app.origin, text);
        }
        _ => {}
    }
}

/// Where a module is looked for, as far as the configuration says.
fn search_path(settings: &Settings) -> Vec<PathBuf> {
    let mut path: Vec<PathBuf> = settings.pythonpath.iter().map(|p| base(settings).join(p)).collect();
    path.push(base(settings).to_owned());
    let active = settings.virtualenv.clone().or_else(|| std::env::var_os("VIRTUAL_ENV").map(PathBuf::from));
    if let Some(virtualenv) = active {
        let versions = virtualenv.join("lib/python3*/site-packages");
        let found = crate::config::glob::glob(&versions.to_string_lossy(), 100).unwrap_or_default();
        path.extend(found.into_iter().map(PathBuf::from));
    }
    // "./." is "." too.
    path.iter_mut().for_each(|p| *p = p.components().collect());
    path.dedup();
    path
}

/// `a.b.c` is `a/b/c.py`, or a package. Nothing is imported.
fn is_found(settings: &Settings, module: &str) -> bool {
    let relative: PathBuf = module.split('.').collect();
    search_path(settings).iter().any(|directory| {
        let path = directory.join(&relative);
        path.is_dir() || path.with_extension("py").is_file() || has_library(&path)
    })
}

/// `name.cpython-313-x86_64-linux-gnu.so`.
fn has_library(path: &Path) -> bool {
    let pattern = format!("{}*.so", path.display());
    crate::config::glob::glob(&pattern, 100).is_some_and(|found| !found.is_empty())
}

/// Files that the server writes, by option.
fn written_files(s: &Settings) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let files = [
        ("pidfile", &s.pidfile),
        ("logto", &s.logto),
        ("daemonize", &s.daemonize),
        ("pidfile2", &s.pidfiles.second),
        ("safe-pidfile", &s.pidfiles.safe),
        ("logto2", &s.log.to2),
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
        report.findings.push(super::Finding {
            severity: Severity::Error,
            origin: listener.origin.clone(),
            text,
        });
        return;
    }
    if path.exists() && !is_socket(path) {
        let text = format!("\"{}\" exists and is no socket", path.display());
        report.findings.push(super::Finding {
            severity: Severity::Error,
            origin: listener.origin.clone(),
            text,
        });
    }
    if let Some(closed) = first_closed(directory) {
        let text = format!(
            "other users, such as nginx, cannot enter \"{}\"; chmod o+x, or put the socket below /run",
            closed.display()
        );
        report.warn(&listener.origin, text);
    }
    let mode = settings.chmod_socket.unwrap_or(0o755);
    let has_owner = settings.chown_socket.is_some() || settings.gid.is_some();
    if mode & 0o002 == 0 && !(has_owner && mode & 0o020 != 0) {
        let remedy = "write chmod-socket = 660 and chown-socket = USER:www-data, or chmod-socket = 666";
        let text =
            format!("nginx may not write to \"{}\" if it runs as another user; {remedy}", listener.text);
        report.warn(&listener.origin, text);
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
