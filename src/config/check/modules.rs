//! Whether the modules that a configuration names are there. Nothing is imported.

use std::path::{Path, PathBuf};

use super::{Report, files};
use crate::config::glob::glob;
use crate::config::{App, Settings};

/// The Python that the server would run in.
#[derive(Clone, Debug)]
pub struct Python {
    pub version: (u8, u8),
    /// sys.path
    pub path: Vec<PathBuf>,
    /// Whether anything, such as the hook of an editable installation, finds a module of that name without a dot.
    pub knows: fn(&str) -> bool,
    /// Loads the applications, in this process; what goes wrong is on the standard error.
    pub load: fn(&Settings) -> bool,
}

pub fn find(report: &mut Report, settings: &Settings, python: Option<&Python>, app: &App, module: &str) {
    let search = Search::new(settings, python);
    let Some(missing) = search.missing(module) else { return };
    let (Some(python), true) = (python, search.is_complete) else {
        let text =
            format!("{missing} in {}; the Python that starts rwsgi must find it elsewhere", search.own());
        return report.warn(&app.origin, text);
    };
    if missing.is_top && (python.knows)(missing.name) {
        return;
    }
    let (major, minor) = python.version;
    let place = match missing.is_top {
        true => format!(" in {}, nor anywhere else where Python {major}.{minor} looks", search.own()),
        false => String::new(),
    };
    report.fail(
        &app.origin,
        format!("{missing}{place}; set chdir or pythonpath to the directory that holds it, or install it"),
    );
}

/// Where modules are looked for, first things first.
struct Search {
    directories: Vec<PathBuf>,
    /// How many of them the configuration names.
    own: usize,
    /// Nobody else can find a module.
    is_complete: bool,
}

impl Search {
    fn new(settings: &Settings, python: Option<&Python>) -> Search {
        let base = files::base(settings);
        let mut directories: Vec<PathBuf> =
            settings.python.pythonpath.iter().map(|path| base.join(path)).collect();
        directories.push(base.to_owned());
        let mut is_complete = true;
        if let Some(virtualenv) = &settings.python.virtualenv {
            is_complete = add_packages(&mut directories, virtualenv, python);
        }
        // "./." is "." too.
        directories.iter_mut().for_each(|path| *path = path.components().collect());
        directories.dedup();
        let own = directories.len();
        match (python, std::env::var_os("VIRTUAL_ENV")) {
            (Some(python), _) => directories.extend(python.path.iter().cloned()),
            (None, Some(active)) => is_complete &= add_packages(&mut directories, Path::new(&active), None),
            (None, None) => {}
        }
        Search { directories, own, is_complete }
    }

    /// What the configuration says of it.
    fn own(&self) -> String {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let own = self.directories[..self.own].iter();
        let shown: Vec<String> = own.map(|path| absolute(path).display().to_string()).collect();
        shown.join(", ")
    }

    /// The first part of `a.b.c` that is not there.
    fn missing<'a>(&self, module: &'a str) -> Option<Missing<'a>> {
        let mut places = self.directories.clone();
        let mut end = 0;
        for part in module.split('.') {
            end += part.len() + usize::from(end > 0);
            let found: Vec<PathBuf> = places.iter().map(|place| place.join(part)).collect();
            let is_last = end == module.len();
            let packages: Vec<PathBuf> = found.iter().filter(|path| path.is_dir()).cloned().collect();
            if packages.is_empty() && !(is_last && found.iter().any(|path| is_module(path))) {
                let name = &module[..end];
                return Some(Missing {
                    module,
                    name,
                    is_top: end == part.len(),
                    place: places.first().cloned(),
                });
            }
            places = packages;
        }
        None
    }
}

struct Missing<'a> {
    module: &'a str,
    /// As much of its name as is missing.
    name: &'a str,
    is_top: bool,
    place: Option<PathBuf>,
}

impl std::fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "module \"{}\" is not there: ", self.module)?;
        let part = self.name.rsplit('.').next().unwrap_or_default();
        match (&self.place, self.is_top) {
            (Some(place), false) => write!(f, "there is no \"{part}\" in {}", place.display()),
            _ => write!(f, "there is no \"{part}\""),
        }
    }
}

/// `name.py`, or a library such as `name.cpython-313-x86_64-linux-gnu.so`.
fn is_module(path: &Path) -> bool {
    let has = |ending: &str| {
        glob(&format!("{}{ending}", path.display()), 100).is_some_and(|found| !found.is_empty())
    };
    let with = |ending: &str| PathBuf::from(format!("{}{ending}", path.display())).is_file();
    with(".py") || with(".pyc") || with(".so") || has(".*.so")
}

/// The packages of a virtualenv, and what its `.pth` files name. `false`: hooks in it may find more.
fn add_packages(directories: &mut Vec<PathBuf>, virtualenv: &Path, python: Option<&Python>) -> bool {
    let version =
        python.map_or("3*".to_owned(), |Python { version: (major, minor), .. }| format!("{major}.{minor}"));
    let pattern = virtualenv.join(format!("lib/python{version}/site-packages"));
    let mut is_complete = true;
    for packages in glob(&pattern.to_string_lossy(), 100).unwrap_or_default().into_iter().map(PathBuf::from) {
        for file in glob(&packages.join("*.pth").to_string_lossy(), 1000).unwrap_or_default() {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
            directories.extend(lines().map(|line| packages.join(line)).filter(|path| path.is_dir()));
            is_complete &= !(file.contains("__editable__") && lines().any(|line| line.starts_with("import")));
        }
        directories.push(packages);
    }
    is_complete
}
