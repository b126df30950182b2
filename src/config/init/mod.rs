//! `rwsgi init`: a commented rwsgi.ini, and the files of nginx, systemd or supervisor that fit.

mod templates;

use std::path::{Path, PathBuf};

use super::command::{Outcome, misused, printed};
use templates::*;

const USAGE: &str = "\
Usage: rwsgi init [--django[=PROJECT]] [--module MODULE] [--nginx] [--systemd] [--supervisor]
                  [--name NAME] [--directory DIR] [--user USER] [--server-name HOST] [--processes N] [--threads N]
                  [--output DIR] [--force] [--print]

Writes rwsgi.ini, and the configuration of the programs that are named, into the current directory.
";

/// What is known about a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// In names of files and processes.
    pub name: String,
    /// The module with the application.
    pub module: String,
    /// Where the project is on the machine.
    pub directory: String,
    pub user: String,
    /// Names that nginx serves.
    pub server_name: String,
    pub processes: u32,
    pub threads: u32,
    pub django: bool,
    pub nginx: bool,
    pub systemd: bool,
    pub supervisor: bool,
}

impl Default for Site {
    fn default() -> Site {
        Site {
            name: "mysite".into(),
            module: String::new(),
            directory: String::new(),
            user: "www-data".into(),
            server_name: "example.org".into(),
            processes: 4,
            threads: 4,
            django: false,
            nginx: false,
            systemd: false,
            supervisor: false,
        }
    }
}

/// The files of a site: name and content.
pub fn render(site: &Site) -> Vec<(String, String)> {
    let mut files = vec![("rwsgi.ini".to_owned(), ini(site))];
    if site.nginx {
        files.push((format!("{}.nginx.conf", site.name), fill(NGINX, site)));
    }
    if site.systemd {
        files.push((format!("{}.service", site.name), fill(SERVICE, site)));
        files.push((format!("{}.socket", site.name), fill(SOCKET, site)));
    }
    if site.supervisor {
        files.push((format!("{}.supervisor.conf", site.name), fill(SUPERVISOR, site)));
    }
    files
}

fn ini(site: &Site) -> String {
    let listen = match (site.systemd, site.nginx) {
        (true, _) => INI_SYSTEMD,
        (false, true) => INI_NGINX,
        (false, false) => INI_HTTP,
    };
    let log = if site.systemd || site.supervisor { INI_LOG_COLLECTED } else { INI_LOG };
    fill(&[INI_HEAD, listen, INI_WORKERS, log].concat(), site)
}

fn fill(template: &str, site: &Site) -> String {
    let pairs = [
        ("{name}", site.name.as_str()),
        ("{module}", &site.module),
        ("{directory}", &site.directory),
        ("{user}", &site.user),
        ("{server_name}", &site.server_name),
        ("{socket}", &socket(site)),
        ("{processes}", &site.processes.to_string()),
        ("{threads}", &site.threads.to_string()),
        ("{settings}", &site.module.replace(".wsgi", ".settings")),
    ];
    let text = if site.django { template.replace("{django}", "") } else { without_django(template) };
    pairs.iter().fold(text, |text, (key, value)| text.replace(key, value))
}

/// Lines that only concern Django are marked in the templates.
fn without_django(template: &str) -> String {
    template.split_inclusive('\n').filter(|line| !line.starts_with("{django}")).collect()
}

fn socket(site: &Site) -> String {
    format!("/run/{0}/{0}.sock", site.name)
}

/// Reads the flags; the files are for the caller to write.
pub fn command(arguments: &[String]) -> Outcome {
    let mut site = Site::default();
    let mut output = PathBuf::from(".");
    let (mut force, mut print) = (false, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (flag, attached) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value =
            || attached.clone().or_else(|| arguments.next().cloned()).filter(|value| is_plain(value));
        let is_known = match flag {
            "--help" | "-h" => return printed(USAGE.to_owned()),
            "--django" => {
                site.django = true;
                attached.as_deref().is_none_or(|project| set_project(&mut site, project))
            }
            "--nginx" => on(&mut site.nginx),
            "--systemd" => on(&mut site.systemd),
            "--supervisor" => on(&mut site.supervisor),
            "--force" => on(&mut force),
            "--print" => on(&mut print),
            "--module" => put(&mut site.module, value()),
            "--name" => put(&mut site.name, value().filter(|name| is_name(name))),
            "--directory" => put(&mut site.directory, value()),
            "--user" => put(&mut site.user, value()),
            "--server-name" => put(&mut site.server_name, value()),
            "--processes" => number(&mut site.processes, value()),
            "--threads" => number(&mut site.threads, value()),
            "--output" => value().map(|path| output = path.into()).is_some(),
            _ => false,
        };
        if !is_known {
            return misused(&format!("\"{argument}\" is not understood.\n{USAGE}"));
        }
    }
    complete(&mut site, Path::new("."));
    outcome(&site, &output, force, print)
}

/// The files of a site, for the caller to write, or all of them as one text.
pub fn outcome(site: &Site, output: &Path, replace: bool, print: bool) -> Outcome {
    let files = render(site);
    if print {
        return printed(files.iter().map(|(name, text)| format!("==> {name} <==\n{text}\n")).collect());
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let ini = output.strip_prefix(".").unwrap_or(output).join("rwsgi.ini");
    let text = format!("Written: {}. Next: rwsgi check {}\n", names.join(", "), ini.display());
    let files = files.into_iter().map(|(name, text)| (output.join(name), text)).collect();
    Outcome { output: text, files, replace, ..Outcome::default() }
}

/// What a person at a terminal wants: `ask` gets a question and its default, and gives an answer, or `None` at the end of
/// the input. Answers that cannot be used are asked for again.
pub fn interview(mut ask: impl FnMut(&str, &str) -> Option<String>) -> Option<Site> {
    let (mut site, mut here) = (Site::default(), Site::default());
    complete(&mut here, Path::new("."));
    let mut answer = |question: &str, default: &str, is_fine: &dyn Fn(&str) -> bool| loop {
        let given = ask(question, default)?;
        let given = if given.trim().is_empty() { default.to_owned() } else { given.trim().to_owned() };
        if is_fine(&given) {
            return Some(given);
        }
    };
    let is_yes = |text: String| text.starts_with(['y', 'Y']);
    let is_yes_or_no = |text: &str| text.starts_with(['y', 'Y', 'n', 'N']);
    site.name = answer("Name of the site", &here.name, &is_name)?;
    site.django = is_yes(answer("Is it a Django project?", "yes", &is_yes_or_no)?);
    let module = match site.django {
        true if here.django => here.module,
        true => format!("{}.wsgi", site.name),
        false => "app:application".to_owned(),
    };
    site.module = answer("Module with the application", &module, &is_plain)?;
    let directory = home(&site.module, Path::new(".")).unwrap_or_else(|| format!("/srv/{}", site.name));
    site.directory = answer("Directory of the project", &directory, &is_plain)?;
    site.user = answer("User that it runs as", "www-data", &is_plain)?;
    site.nginx = is_yes(answer("nginx in front?", "yes", &is_yes_or_no)?);
    if site.nginx {
        site.server_name = answer("Host name", "example.org", &is_plain)?;
    }
    let manager = answer("Started by systemd, supervisor or neither?", "systemd", &|_| true)?;
    (site.systemd, site.supervisor) = (manager == "systemd", manager == "supervisor");
    Some(site)
}

/// What was not said follows from what was, and from what is in the directory.
fn complete(site: &mut Site, here: &Path) {
    if site.module.is_empty() {
        match django_project(here) {
            Some(project) => {
                site.django = true;
                site.module = format!("{project}.wsgi");
                if site.name == Site::default().name {
                    site.name = project;
                }
            }
            None if site.django => site.module = format!("{}.wsgi", site.name),
            None => site.module = "app".to_owned(),
        }
    }
    if site.directory.is_empty() {
        site.directory = home(&site.module, here).unwrap_or_else(|| format!("/srv/{}", site.name));
    }
}

/// The directory, if the module is in it.
fn home(module: &str, here: &Path) -> Option<String> {
    let module = module.split(':').next()?.replace('.', "/");
    let here = std::path::absolute(here).ok().filter(|here| here.join(format!("{module}.py")).is_file())?;
    here.to_str().filter(|here| is_plain(here)).map(str::to_owned)
}

/// The package that manage.py names: `…("DJANGO_SETTINGS_MODULE", "mysite.settings")`.
fn django_project(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("manage.py")).ok()?;
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let settings = rest.split(['"', '\'']).nth(2)?;
    let project = settings.split('.').next()?;
    (is_name(project) && directory.join(project).join("wsgi.py").is_file()).then(|| project.to_owned())
}

fn set_project(site: &mut Site, project: &str) -> bool {
    site.name = project.to_owned();
    site.module = format!("{project}.wsgi");
    is_name(project)
}

/// Values go into four kinds of files, each with quotes and signs of its own.
fn is_plain(value: &str) -> bool {
    let is_fine = |c: char| c.is_alphanumeric() || "-_./: @".contains(c);
    !value.is_empty() && value.chars().all(is_fine)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn on(flag: &mut bool) -> bool {
    *flag = true;
    true
}

fn put(slot: &mut String, value: Option<String>) -> bool {
    value.map(|value| *slot = value).is_some()
}

fn number(slot: &mut u32, value: Option<String>) -> bool {
    let value = value.and_then(|value| value.parse().ok()).filter(|&number| (1..=4096).contains(&number));
    value.map(|value| *slot = value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Outcome {
        command(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn questions() {
        let mut answers = vec!["shop/x", "shop", "", "", "", "", "maybe", "n", "supervisor"].into_iter();
        let site = interview(|_, _| answers.next().map(str::to_owned)).unwrap();
        assert_eq!(answers.next(), None);
        assert_eq!((site.module.as_str(), site.directory.as_str()), ("shop.wsgi", "/srv/shop"));
        assert!(site.django && site.supervisor && !site.nginx && !site.systemd);
        assert_eq!(interview(|_, _| None), None);
    }

    #[test]
    fn the_project_that_is_here() {
        let here = std::env::temp_dir().join(format!("rwsgi-init-{}", std::process::id()));
        std::fs::create_dir_all(here.join("shop")).unwrap();
        std::fs::write(here.join("shop/wsgi.py"), "").unwrap();
        let completed = |site: Site| {
            let mut site = site;
            complete(&mut site, &here);
            (site.name, site.module, site.directory, site.django)
        };
        let place = here.to_str().unwrap().to_owned();
        let usual = |name: &str, module: &str, directory: &str, django| {
            (name.to_owned(), module.to_owned(), directory.to_owned(), django)
        };
        assert_eq!(completed(Site::default()), usual("mysite", "app", "/srv/mysite", false));
        let named = Site { module: "shop.wsgi:app".into(), ..Site::default() };
        assert_eq!(completed(named), usual("mysite", "shop.wsgi:app", &place, false));
        let manage = "os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", 'shop.settings.live')\n";
        std::fs::write(here.join("manage.py"), manage).unwrap();
        assert_eq!(completed(Site::default()), usual("shop", "shop.wsgi", &place, true));
        let named = Site { name: "live".into(), ..Site::default() };
        assert_eq!(completed(named), usual("live", "shop.wsgi", &place, true));
        std::fs::write(here.join("manage.py"), "DJANGO_SETTINGS_MODULE").unwrap();
        assert_eq!(completed(Site::default()), usual("mysite", "app", "/srv/mysite", false));
        std::fs::remove_dir_all(&here).unwrap();
    }

    #[test]
    fn flags() {
        let outcome = run("--django=shop --nginx --systemd --supervisor --processes 2 --output /x --force");
        let names: Vec<String> = outcome.files.iter().map(|(p, _)| p.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "/x/rwsgi.ini",
                "/x/shop.nginx.conf",
                "/x/shop.service",
                "/x/shop.socket",
                "/x/shop.supervisor.conf"
            ]
        );
        assert!(outcome.output.ends_with("Next: rwsgi check /x/rwsgi.ini\n"), "{}", outcome.output);
        assert!(run("").output.ends_with("Next: rwsgi check rwsgi.ini\n"));
        assert!(outcome.replace && outcome.files[0].1.contains("\nprocesses = 2\n"));
        for (_, text) in &outcome.files {
            let left = ["{name}", "{module}", "{directory}", "{user}", "{socket}", "{django}", "{settings}"];
            assert!(left.iter().all(|key| !text.contains(key)), "{text}");
        }
        let plain = run("--module a:b --print");
        assert!(
            plain.files.is_empty() && plain.output.contains("module = a:b\n\n; The site itself"),
            "{}",
            plain.output
        );
        for wrong in ["--nonsense", "--name", "--name=a/b", "--user=a;b", "--processes 0", "--django=a/b"] {
            assert_eq!(run(wrong).status, 2, "{wrong}");
        }
    }
}
