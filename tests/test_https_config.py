"""What can be wrong with the files of a TLS socket, and what the other options come to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from signal import Signals

import pytest

from harness.http import request
from harness.tls import Authority, Connection

pytestmark = pytest.mark.core


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def refuse(start, *words: str, **options) -> str:
    """What a server says that does not start."""
    server = start(None, *words, uwsgi=False, module="hello", **options)
    server.status = 1
    assert server.wait_exit() == 1
    server.log.accept_anything()
    return server.log.text


def refusals(authority: Authority) -> dict[str, tuple[str, str]]:
    """What is written behind the address, and what is said about it."""
    directory = authority.directory
    good = authority.sign()
    certificate, key = good.split(",")
    other = authority.sign("other.example").split(",")[1]
    (directory / "empty.pem").write_text("")
    (directory / "cut.pem").write_text(Path(certificate).read_text()[:200])
    command = ["openssl", "pkey", "-in", key, "-aes128", "-passout", "pass:x", "-out", str(directory / "locked.key")]
    subprocess.run(command, check=True, capture_output=True)
    return {
        "no key": (certificate, "certificate or key is missing; write :8443,site.crt,site.key"),
        "missing": (f"{directory}/none.crt,{key}", 'none.crt": No such file .*; check the path'),
        "missing key": (f"{certificate},{directory}/none.key", 'none.key": No such file .*; check the path'),
        "directory": (f"{directory},{key}", "is no PEM file; name the file itself"),
        "empty": (f"{directory}/empty.pem,{key}", "holds no certificate; name a PEM file with a certificate"),
        "cut": (f"{directory}/cut.pem,{key}", "is damaged: "),
        "key of another": (
            f"{certificate},{other}",
            "is not that of the certificate .*; name the key that it was made",
        ),
        "no key inside": (f"{certificate},{certificate}", "holds no private key; name the PEM file with the key"),
        "locked": (f"{certificate},{directory}/locked.key", "is encrypted; take the passphrase off it: openssl pkey"),
        "no authority": (f"{good},,{directory}/none.pem", 'none.pem": No such file .*; check the path'),
        "empty authority": (f"{good},,!{directory}/empty.pem", "holds no certificate; name a PEM file"),
        "nothing behind the mark": (f"{good},HIGH,!", '"!" names no file; write !ca.pem'),
    }


def test_what_cannot_be_used_is_an_error_with_its_place(authority, tmp_path):
    """The same from the server and from rwsgi check."""
    ini = tmp_path / "site.ini"
    for name, (value, complaint) in refusals(authority).items():
        ini.write_text(f"[uwsgi]\nmodule = hello\nhttps = 127.0.0.1:0,{value}\n")
        for words, status, place in (["--ini"], 1, f"{ini}:3: "), (["check"], 2, "error: "):
            done = run(*words, str(ini), cwd=tmp_path)
            text = done.stdout + done.stderr
            assert done.returncode == status, f"{name}: {text}"
            assert_says(text, rf'{place}option "https": .*{complaint}', name)


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rwsgi", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20, env=environment())


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RWSGI_", "UWSGI_"))}


def assert_says(text: str, pattern: str, name: str) -> None:
    assert re.search(pattern, " ".join(text.split())), f"{name}: {pattern!r} is not in\n{text}"


def test_the_example_of_uwsgis_documentation(boot, tmp_path):
    """A key, a request, a certificate of version 1 signed with its own key; names without a directory."""
    assert shutil.which("openssl"), "openssl makes the certificate"
    for command in (
        "openssl genrsa -out foobar.key 2048",
        "openssl req -new -key foobar.key -out foobar.csr -subj /CN=localhost",
        "openssl x509 -req -days 365 -in foobar.csr -signkey foobar.key -out foobar.crt",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "site.ini").write_text(
        f"[uwsgi]\nmaster = true\nhttps = :0,foobar.crt,foobar.key,HIGH\nmodule = hello\n"
        f"pythonpath = {Path(__file__).parent / 'apps'}\nchdir = /\n"
    )
    server = boot(None, ini="site.ini", uwsgi=False, cwd=tmp_path)
    url = f"https://localhost:{port_of(server)}/"
    done = subprocess.run(["curl", "-fsSk", "--max-time", "5", url], capture_output=True, timeout=20)
    assert done.stdout == b"hello", done.stderr


def port_of(server) -> int:
    """The one that the kernel has chosen."""
    return int(server.log.wait(r"serves .* on https://\S+:(\d+) \(master")[1])


@pytest.mark.root
def test_the_key_may_be_roots_alone(boot, authority, public):
    """It is read before the master becomes another user; a reload reads it as that one."""
    files = authority.sign()
    authority.directory.chmod(0o700)
    server = boot(module="hello", uwsgi=False, https=files, uid="nobody", **public.options)
    server.signal(Signals.SIGHUP)
    server.log.wait(
        r'SIGHUP: the configuration is not valid: command line: option "https": cannot read ".*": Permission denied '
        r"\(os error 13\); let this user read it; .*; generation 1 serves on"
    )
    with Connection(server.https_address, authority.context()) as connection:
        connection.send(request())
        assert connection.answer().body == b"hello"


def test_https2(boot, authority):
    certificate, key = authority.sign().split(",")
    value = f"addr=127.0.0.1:0,cert={certificate},key={key},ciphers=HIGH,client_ca=!{authority.file},spdy=1"
    server = boot("hello", uwsgi=False, https2=value)
    own = authority.context(own=authority.sign("client.example"))
    with Connection(("127.0.0.1", port_of(server)), own) as connection:
        connection.send(request())
        assert connection.answer().body == b"hello"


def test_https_socket_on_a_unix_socket(boot, authority, tmp_path):
    path = tmp_path / "s"
    server = boot("environ", uwsgi=False, https_socket=f"{path},{authority.sign()}", vacuum=True)
    with Connection(str(path), authority.context()) as connection:
        connection.send(request())
        assert b'"HTTPS": "on"' in connection.answer().body
    server.gone.append(path)


@pytest.mark.parametrize(
    ("not_before", "not_after", "complaint"),
    [(-20, -10, "has expired on .* GMT; clients refuse it"), (10, 20, "counts only from .* GMT on; clients refuse it")],
    ids=["expired", "early"],
)
def test_a_certificate_outside_its_time_is_a_warning(boot, authority, not_before, not_after, complaint):
    now = datetime.now(timezone.utc)
    files = authority.sign(not_before=now + timedelta(not_before), not_after=now + timedelta(not_after))
    server = boot("hello", uwsgi=False, https=files)
    server.log.wait(f'warning: command line: option "https": certificate ".*localhost.crt" {complaint}')
    done = run("check", f"--https=:0,{files}", "--wsgi-file=none.py", cwd=authority.directory)
    assert_says(done.stdout, complaint, "check")


def test_ciphers_that_are_not_there_are_told(boot, authority):
    server = boot("hello", uwsgi=False, https=f"{authority.sign()},AES256-SHA:RC4")
    server.log.wait('option "https": none of the ciphers "AES256-SHA:RC4" is offered; those of TLS 1.3 and six of')
    with Connection(server.https_address, authority.context()) as connection:
        connection.send(request())
        assert connection.answer().status == 200


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("ssl-enable3", "SSL 3 is broken"),
        ("ssl-enable-sslv3", "SSL 3 is broken"),
        ("ssl-enable-tlsv1", "TLS 1.0 is broken"),
        ("ssl-option", "OpenSSL's numbers mean nothing to rustls"),
        ("https-socket-modifier1=1", "applications are chosen by mount"),
    ],
)
def test_options_of_openssl_are_answered(boot, authority, option, complaint):
    server = boot("hello", f"--{option}", uwsgi=False, https=authority.sign())
    server.log.wait(f'option "{option.partition("=")[0]}" is not supported: {complaint}')


def test_options_with_nothing_to_do(boot, authority):
    boot(
        "hello",
        uwsgi=False,
        https=authority.sign(),
        https_session_context="x",
        ssl_sessions_use_cache=True,
        ssl_sessions_timeout=300,
        ssl_verify_depth=3,
        ssl_tmp_dir="/tmp",
    )


def test_a_name_without_files_is_an_error(start, authority):
    for option in ("sni", "sni_regexp"):
        assert "a blank stands between name and certificate; write NAME site.crt,site.key" in refuse(
            start, https=authority.sign(), **{option: "one.example"}
        )
    text = refuse(start, https=authority.sign(), sni_dir=authority.directory / "none")
    assert 'option "sni-dir": cannot read' in text
