//! What `rwsgi init` fills in: `{name}` and its like stand for values, `{django}` marks lines that only Django needs.

pub const INI_HEAD: &str = "\
; {name} under rwsgi. Look through it with: rwsgi check rwsgi.ini
[uwsgi]
; The directory of the project, and the module that has the application.
chdir = {directory}
module = {module}
{django}env = DJANGO_SETTINGS_MODULE={settings}

";

pub const INI_HTTP: &str = "\
; The site itself, for a browser on this machine. Put nginx in front before the world sees it.
http = 127.0.0.1:8000
";

pub const INI_NGINX: &str = "\
; nginx connects here. It runs as another user, so its group may write to the socket.
socket = {socket}
chmod-socket = 660
chown-socket = {user}:www-data
; Remove the socket at the end.
vacuum = true
";

pub const INI_SYSTEMD: &str = "\
; systemd holds the socket, so that a restart refuses nobody.
socket = fd://3
";

pub const INI_WORKERS: &str = "
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

pub const INI_LOG: &str = "
; The log goes to the standard error; uncomment for a file.
;logto = /var/log/{name}.log
";

pub const INI_LOG_COLLECTED: &str = "
; The log goes to the standard error, where the service manager collects it.
";

pub const NGINX: &str = "\
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

pub const SERVICE: &str = "\
# {name} under rwsgi, with {name}.socket beside it. Reload with: systemctl reload {name}

[Unit]
Description={name} (rwsgi)
Requires={name}.socket
After=network.target {name}.socket

[Service]
Type=notify
NotifyAccess=main
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

pub const SOCKET: &str = "\
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

pub const SUPERVISOR: &str = "\
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
