"""Which Django project the Django works serve."""

from model import REPO, Setup
from venvs import cache

MYSITE = REPO / "examples" / "mysite"


def setup(protocol: str) -> Setup:
    if not (MYSITE / "mysite" / "wsgi.py").exists():
        return Setup(app="djangojson:application", protocol=protocol)
    env = (("DEBUG", "0"), ("MYSITE_DATA", str(cache() / "mysite")))
    return Setup(app="mysite.wsgi:application", protocol=protocol, chdir=MYSITE, env=env)
