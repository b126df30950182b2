from typing import Any, Final

__all__ = ["BootError", "ConfigError", "HarakiriTimeout", "__version__", "main", "serve"]

__version__: Final[str]

class ConfigError(ValueError):
    """An option is unknown, or its value is wrong. The message names the option and where it was written."""

class BootError(RuntimeError):
    """The application could not be loaded."""

class HarakiriTimeout(TimeoutError):
    """The request has run longer than harakiri allows; the worker is killed when it goes on."""

def main(argv: list[str]) -> int:
    """Run the command line (without the program's name) and return the exit status. Errors are printed."""

def serve(app: object | str | None, options: dict[str, Any]) -> None:
    """Serve `app` until stopped. The checked and documented form is `rwsgi.serve`."""
