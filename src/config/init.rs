//! `rwsgi init`: a commented rwsgi.ini, and the files of nginx, systemd or supervisor that fit.

use std::path::PathBuf;

use super::command::{Outcome, misused, printed};

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
    complete(&mut site);
    let files = render(&site);
    if print {
        return printed(files.iter().map(|(name, text)| format!("==> {name} <==\n{text}\n")).collect());
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let text = format!("Written: {}. Next: rwsgi check rwsgi.ini\n", names.join(", "));
    let files = files.into_iter().map(|(name, text)| (output.join(name), text)).collect();
    Outcome { output: text, files, replace: force, ..Outcome::default() }
}

/// What was not said follows from what was.
fn complete(site: &mut Site) {
    if site.module.is_empty() {
        site.module = if site.django { format!("{}.wsgi", site.name) } else { "app".to_owned() };
    }
    if site.directory.is_empty() {
        site.directory = format!("/srv/{}", site.name);
    }
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

const INI_HEAD: &str = "\
; {name} under rwsgi. Look through it with: rwsgi check rwsgi.ini
[uwsgi]
; The directory of the project, and the module that has the application.
chdir = {directory}
module = {module}
{django}env = DJANGO_SETTINGS_MODULE={settings}

";

const INI_HTTP: &str = "\
; The site itself, for a browser on this machine. Put nginx in front before the world sees it.
http = 127.0.0.1:8000
";

const INI_NGINX: &str = "\
; nginx connects here. It runs as another user, so its group may write to the socket.
socket = {socket}
chmod-socket = 660
chown-socket = {user}:www-data
; Remove the socket at the end.
vacuum = true
";

const INI_SYSTEMD: &str = "\
; systemd holds the socket, so that a restart refuses nobody.
socket = fd://3
";

const INI_WORKERS: &str = "
; As many processes as there are processors is a start; threads serve requests that wait for a database.
master = true
processes = {processes}
threads = {threads}

; A request that takes longer than this is killed, and the log says where in the code it was. Keep it below
; nginx's uwsgi_read_timeout.
harakiri = 50
; Each worker is replaced after this many requests, never all at once.
max-requests = 10000

; Names in ps: {name} master, {name} worker 1, …
auto-procname = true
procname-prefix-spaced = {name}

; Typing errors stop the start instead of being ignored.
strict = true
";

const INI_LOG: &str = "
; The log goes to the standard error; uncomment for a file.
;logto = /var/log/{name}.log
";

const INI_LOG_COLLECTED: &str = "
; The log goes to the standard error, where the service manager collects it.
";

const NGINX: &str = "\
# nginx in front of {name}. Goes into the http { } block, for instance as a file in conf.d or sites-enabled.

upstream {name} {
    server unix:{socket};
}

server {
    listen 80;
    server_name {server_name};

    # Uploads up to this size. nginx reads the body before it asks rwsgi, so a slow client costs no worker.
    client_max_body_size 50m;

    # The server's own deadline (harakiri = 50) comes first, so that its log tells the story.
    uwsgi_read_timeout 60s;

    uwsgi_param QUERY_STRING    $query_string;
    uwsgi_param REQUEST_METHOD  $request_method;
    uwsgi_param CONTENT_TYPE    $content_type;
    uwsgi_param CONTENT_LENGTH  $content_length;
    uwsgi_param REQUEST_URI     $request_uri;
    uwsgi_param PATH_INFO       $document_uri;
    uwsgi_param DOCUMENT_ROOT   $document_root;
    uwsgi_param SERVER_PROTOCOL $server_protocol;
    uwsgi_param REQUEST_SCHEME  $scheme;
    uwsgi_param HTTPS           $https if_not_empty;
    uwsgi_param REMOTE_ADDR     $remote_addr;
    uwsgi_param REMOTE_PORT     $remote_port;
    uwsgi_param SERVER_PORT     $server_port;
    uwsgi_param SERVER_NAME     $server_name;

    location / {
        uwsgi_pass {name};
    }
{django}
{django}    # `python manage.py collectstatic` fills it; the same as STATIC_ROOT and STATIC_URL.
{django}    location /static/ {
{django}        alias {directory}/static/;
{django}    }
}
";

const SERVICE: &str = "\
# {name} under rwsgi, with {name}.socket beside it. Reload with: systemctl reload {name}

[Unit]
Description={name} (rwsgi)
Requires={name}.socket
After=network.target {name}.socket

[Service]
Type=exec
User={user}
Group={user}
WorkingDirectory={directory}
ExecStart={directory}/.venv/bin/rwsgi --ini {directory}/rwsgi.ini
ExecReload=/bin/kill -HUP $MAINPID
# TERM goes to the master alone, which stops its workers gracefully; whatever is left after that is killed.
KillMode=mixed
# Longer than worker-reload-mercy (60 seconds).
TimeoutStopSec=75
Restart=on-failure
PrivateTmp=true
NoNewPrivileges=true

[Install]
WantedBy=multi-user.target
";

const SOCKET: &str = "\
# The socket of {name}: it outlives every restart of the server.

[Unit]
Description=Socket of {name}

[Socket]
ListenStream={socket}
SocketUser={user}
SocketGroup=www-data
SocketMode=0660

[Install]
WantedBy=sockets.target
";

const SUPERVISOR: &str = "\
; {name} under supervisor. Reload with: supervisorctl signal HUP {name}

[program:{name}]
command={directory}/.venv/bin/rwsgi --ini {directory}/rwsgi.ini
directory={directory}
user={user}
; TERM stops gracefully; wait longer than worker-reload-mercy (60 seconds) before the kill.
stopsignal=TERM
stopwaitsecs=75
stopasgroup=false
killasgroup=true
autorestart=unexpected
exitcodes=0
redirect_stderr=true
stdout_logfile=/var/log/{name}.log
";

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Outcome {
        command(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
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
