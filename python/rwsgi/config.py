"""What a configuration means, for scripts, tests and deployment checks: `rwsgi.load_config()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from rwsgi import _rwsgi

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Config", "Option", "Origin", "Warning", "load_config"]


@dataclass(frozen=True)
class Origin:
    """Where something was written; `str()` gives "site.ini:3", "environment variable UWSGI_…" or "default"."""

    text: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Option:
    """A line of the configuration, its references resolved. `value` is None where nothing but the name stands."""

    name: str
    value: str | None
    origin: Origin


@dataclass(frozen=True)
class Warning:
    """Something that does not mean what its writer may think; `str()` gives "site.ini:3: …"."""

    text: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.origin}: {self.text}"


class Config(Mapping[str, Any]):
    """Options and their values, as the server would use them.

    An option is found by any of its names, with hyphens or underscores: ``config["max-requests"]``,
    ``config["max_requests"]``. What is on or off is a bool; numbers, seconds and bytes are ints; anything else is a
    str. An option that can be repeated has a list. Options that nobody wrote are there with their default, if they
    have one; what rwsgi does not do (yet) is not there, but in ``options``.
    """

    options: tuple[Option, ...]
    """Every line that was read, in order, with the unknown ones."""
    warnings: tuple[Warning, ...]
    """What the server would say at its start."""

    def __init__(self, options: Sequence[Option], values: Sequence[_rwsgi._Value], warnings: Sequence[Warning]) -> None:
        self.options = tuple(options)
        self.warnings = tuple(warnings)
        self._values: dict[str, Any] = {}
        self._origins: dict[str, tuple[Origin, ...]] = {}
        self._names: dict[str, str] = {}
        for spellings, repeats, value, place in values:
            name = spellings[0]
            self._names.update(dict.fromkeys(spellings, name))
            self._values[name] = [*self._values.get(name, ()), value] if repeats else value
            self._origins[name] = (*self._origins.get(name, ()), Origin(*place))

    def __getitem__(self, name: str) -> Any:
        return self._values[self._name(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Config({self._values!r})"

    def origin(self, name: str) -> Origin:
        """Where the value was written, the last one of a list."""
        return self.origins(name)[-1]

    def origins(self, name: str) -> tuple[Origin, ...]:
        """Where each item of a list was written."""
        return self._origins[self._name(name)]

    def _name(self, name: str) -> str:
        try:
            return self._names[name.replace("_", "-")]
        except KeyError:
            raise KeyError(name) from None


def load_config(
    path: str | PathLike[str],
    /,
    **options: str | int | PathLike[str] | Sequence[str | int | PathLike[str]],
) -> Config:
    """Read a configuration as the server would, without starting anything.

    ``path`` is a file of any format (ini, XML, YAML, JSON, TOML such as pyproject.toml), perhaps with a section behind
    a colon. The environment (``UWSGI_…``, ``RWSGI_…``) counts as it does for the server, and so do the commands that
    the file reads from (``exec://``). ``options`` come behind the file, as in ``rwsgi.serve()``.

    Raises ConfigError, with ``file`` and ``line``, where the server would not start.
    """
    written, values, warnings = _rwsgi.load_config(fspath(path), options)
    return Config(
        [Option(name, value, Origin(*place)) for name, value, place in written],
        values,
        [Warning(text, Origin(*place)) for text, place in warnings],
    )
