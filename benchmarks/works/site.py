"""Which Django project the Django works serve."""

from model import REPO, Setup

MYSITE = REPO / "examples" / "mysite"


def setup(**changes: object) -> Setup:
    if (MYSITE / "mysite" / "wsgi.py").exists():
        return Setup(app="mysite.wsgi:application", chdir=MYSITE, **changes)
    return Setup(app="djangojson:application", **changes)
