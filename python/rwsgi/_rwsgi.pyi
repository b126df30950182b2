from typing import Any, Final, TypeAlias

__all__ = ["BootError", "ConfigError", "HarakiriTimeout", "__version__", "load_config", "main", "serve"]

__version__: Final[str]

class ConfigError(ValueError):
    """An option is unknown, or its value is wrong. The message names the option and where it was written."""

    file: str | None
    """The file that is wrong, where it is one."""
    line: int | None

class BootError(RuntimeError):
    """The application could not be loaded."""

class HarakiriTimeout(TimeoutError):
    """The request has run longer than harakiri allows; the worker is killed when it goes on."""

_Place: TypeAlias = tuple[str, str | None, int | None]
_Value: TypeAlias = tuple[list[str], bool, bool | int | str, _Place]

def load_config(
    path: str, options: dict[str, Any]
) -> tuple[list[tuple[str, str | None, _Place]], list[_Value], list[tuple[str, _Place]]]:
    """What stands in a configuration, what it means, and the warnings. The documented form is `rwsgi.load_config`."""

def main(argv: list[str]) -> int:
    """Run the command line (without the program's name) and return the exit status. Errors are printed."""

def serve(app: object | str | None, options: dict[str, Any]) -> None:
    """Serve `app` until stopped. The checked and documented form is `rwsgi.serve`."""
