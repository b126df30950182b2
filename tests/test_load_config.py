"""rwsgi.load_config(): what a configuration means, from Python."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import rwsgi

SITE = """\
[uwsgi]
module = mysite.wsgi
root = /srv/mysite
socket = %(root)/a.sock
workers = 4
socket = :3031
harakiri = 2m
buffer-size = 32k
reload-on-rss = 512
chmod-socket = 660
master = true
vacuum = no
emperor = /etc/vassals
"""


@pytest.fixture(autouse=True)
def no_options_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("UWSGI", "RWSGI_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.ini"
    path.write_text(SITE)
    return path


def test_values_have_types(site):
    config = rwsgi.load_config(site)
    assert config["module"] == "mysite.wsgi"
    assert config["socket"] == ["/srv/mysite/a.sock", ":3031"]
    assert (config["processes"], config["harakiri"]) == (4, 120)
    assert (config["buffer-size"], config["reload-on-rss"]) == (32768, 512 << 20)
    assert config["chmod-socket"] == "660"
    assert config["master"] is True
    assert config["vacuum"] is False


def test_it_is_a_mapping_by_every_name_of_an_option(site):
    config = rwsgi.load_config(site)
    assert config["workers"] == config["processes"] == 4
    assert config["buffer_size"] == config["buffer-size"]
    assert "workers" in config and "uid" not in config
    assert config.get("uid") is None
    assert dict(config)["threads"] == 1
    assert len(config) == len(list(config))
    # Not built yet: it means nothing.
    assert "emperor" not in config
    with pytest.raises(KeyError, match="procesess"):
        config["procesess"]


def test_every_value_has_an_origin(site):
    config = rwsgi.load_config(site, threads=2)
    assert str(config.origin("workers")) == f"{site}:5"
    assert [origin.line for origin in config.origins("socket")] == [4, 6]
    assert config.origin("socket") == config.origins("socket")[-1]
    default = config.origin("max-requests")
    assert (str(default), default.file, default.line) == ("default", None, None)
    assert (config["threads"], str(config.origin("threads"))) == (2, "rwsgi.load_config()")


def test_the_lines_and_the_warnings(site):
    config = rwsgi.load_config(site)
    lines = [(option.name, option.value, option.origin.line) for option in config.options if option.origin.line]
    assert lines[:3] == [("module", "mysite.wsgi", 2), ("root", "/srv/mysite", 3), ("socket", "/srv/mysite/a.sock", 4)]
    assert lines[-1] == ("emperor", "/etc/vassals", 13)
    (warning,) = config.warnings
    assert str(warning).startswith(f'{site}:13: option "emperor" is not supported yet')
    assert (warning.origin.file, warning.origin.line) == (str(site), 13)


def test_the_environment_counts(site, monkeypatch):
    monkeypatch.setenv("RWSGI_MAX_REQUESTS", "500")
    config = rwsgi.load_config(site)
    assert config["max-requests"] == 500
    assert str(config.origin("max-requests")) == "environment variable RWSGI_MAX_REQUESTS"


FORMATS = {
    "site.xml": "<uwsgi>\n<processes>3</processes>\n<env>A=1</env>\n</uwsgi>\n",
    "site.yaml": "uwsgi:\n  processes: 3\n  env: A=1\n",
    "site.json": '{"uwsgi":\n{"processes": 3,\n"env": ["A=1"]}}\n',
    "pyproject.toml": "[tool.rwsgi]\nprocesses = 3\nenv = { A = 1 }\n",
    "site.ini:blue": "[uwsgi]\nprocesses = 1\n[blue]\nprocesses = 3\nenv = A=1\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_and_sections(tmp_path, name):
    file, _, _ = name.partition(":")
    (tmp_path / file).write_text(FORMATS[name])
    config = rwsgi.load_config(f"{tmp_path}/{name}")
    assert (config["processes"], config["env"]) == (3, ["A=1"])
    lines = FORMATS[name].splitlines()
    assert "3" in lines[(config.origin("processes").line or 0) - 1]
    assert config.origin("env").file == str(tmp_path / file)


def test_a_wrong_value_is_an_error_with_its_place(site):
    site.write_text("[uwsgi]\nprocesses = 4\nharakiri = soon\n")
    with pytest.raises(rwsgi.ConfigError, match='"soon"') as caught:
        rwsgi.load_config(site)
    assert (caught.value.file, caught.value.line) == (str(site), 3)
    assert str(caught.value).startswith(f"{site}:3: ")


def test_errors_of_the_call_have_no_place(tmp_path, site):
    for path, options, text in [
        (tmp_path / "missing.ini", {}, "missing.ini.*No such file"),
        (tmp_path / "site.conf", {}, "does not say what kind of file it is"),
        (tmp_path, {}, "does not say what kind of file it is"),
        (site, {"procesess": 4}, 'did you mean "processes"'),
    ]:
        with pytest.raises(rwsgi.ConfigError, match=text) as caught:
            rwsgi.load_config(path, **options)
        assert (caught.value.file, caught.value.line) == (None, None)
        assert str(caught.value).startswith("rwsgi.load_config(): ")


def test_serve_says_the_place_too(site):
    site.write_text("[uwsgi]\nprocesses = x\n")
    with pytest.raises(rwsgi.ConfigError) as caught:
        rwsgi.serve(ini=site)
    assert (caught.value.file, caught.value.line) == (str(site), 2)


def test_a_server_does_not_import_it():
    """Its modules would lengthen every start."""
    code = "import sys, rwsgi.cli; print(sorted({'rwsgi.config', 'dataclasses', 'typing'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
