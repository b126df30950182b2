"""The application server for Django sites that move on from uWSGI."""

from __future__ import annotations

from rwsgi._rwsgi import BootError, ConfigError, HarakiriTimeout, __version__
from rwsgi._rwsgi import serve as _serve

# Typing costs memory in every process; only a type checker reads this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from _typeshed.wsgi import WSGIApplication

    from rwsgi.config import Config, load_config

__all__ = ["BootError", "Config", "ConfigError", "HarakiriTimeout", "__version__", "load_config", "serve"]


def __getattr__(name: str) -> object:
    """A server needs nothing of `rwsgi.config`, and its start would wait for the import."""
    if name not in ("Config", "load_config"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rwsgi import config

    return getattr(config, name)


def serve(
    app: WSGIApplication | str | None = None,
    /,
    **options: str | int | PathLike[str] | Sequence[str | int | PathLike[str]],
) -> None:
    """Serve a WSGI application. Blocks until the server has stopped.

    ``app`` names the application as ``"package.module:callable"`` (``application`` where no callable is named), or it
    is the application itself. A name is the better choice: then a reload imports the code anew, while an object lives
    on in this process as it is. Without it ``module``, ``wsgi_file``, ``mount`` or a configuration file says what to
    serve.

    ``options`` are those of the command line with underscores for hyphens::

        rwsgi.serve("mysite.wsgi", socket="/run/mysite.sock", chmod_socket=660, processes=4, threads=8)
        rwsgi.serve(app, http=["127.0.0.1:8000", "[::1]:8000"], env=["DEBUG=0", "TZ=UTC"])
        rwsgi.serve(ini="rwsgi.ini", processes=1)

    A value is a str, an int or a path, True or False for an option that is switched on or off, or a list, which
    repeats the option. Where no socket is named it is http on 127.0.0.1:8000.

    Call it from the main thread, before anything has started threads: the server forks.

    Raises ConfigError when an option is unknown or its value is wrong, and BootError when the application cannot be
    loaded.
    """
    _serve(app, options)
