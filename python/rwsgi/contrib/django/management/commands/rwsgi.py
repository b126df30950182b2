"""`python manage.py rwsgi [address] [options of rwsgi]`"""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = (
        "Serves this project with rwsgi, by default as http on 127.0.0.1:8000. An address may come first, "
        "as with runserver. Everything after it goes to rwsgi: see `python -m rwsgi --help`."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", nargs="?", help="port, or address:port")
        parser.add_argument("options", nargs="*", help="options of rwsgi")

    def run_from_argv(self, argv: list[str]) -> None:
        """Options are rwsgi's, not Django's: only a plea for help is left to Django."""
        arguments = argv[2:]
        if arguments in (["-h"], ["--help"]):
            self.print_help(argv[0], argv[1])
            return
        try:
            self.serve(arguments)
        except CommandError as error:
            sys.exit(f"CommandError: {error}")

    def handle(self, *args: str, **options: object) -> None:
        """`call_command("rwsgi", "8001", "--processes=4")`"""
        self.serve([*args])

    def serve(self, arguments: list[str]) -> None:
        """Replace this process by rwsgi.

        manage.py has imported the whole project by now. A master that grew from it would hand its copy to every
        generation of workers, and a reload would never see new code.
        """
        command = [sys.executable, *interpreter_flags(), "-m", "rwsgi", *server_arguments(arguments)]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, command)


def server_arguments(arguments: list[str]) -> list[str]:
    """The command line of rwsgi for that of the management command."""
    rest = without_settings(arguments)
    result = ["--pythonpath", sys.path[0] or os.getcwd(), "--module", application()]
    if rest and not rest[0].startswith("-"):
        result += ["--http", http_address(rest.pop(0))]
    return result + rest


def application() -> str:
    """WSGI_APPLICATION as rwsgi writes it. Django's own loader stands in where a project has none."""
    dotted: str | None = settings.WSGI_APPLICATION
    if dotted is None:
        return "django.core.wsgi:get_wsgi_application()"
    module, _, name = dotted.rpartition(".")
    return f"{module}:{name}"


def http_address(text: str) -> str:
    """`8001` means that port on the loopback, as with runserver."""
    if not any(sign in text for sign in ":/@") and not text.isdecimal():
        raise CommandError(f'"{text}" is no address: write a port, or address:port')
    return f"127.0.0.1:{text}" if text.isdecimal() else text


def without_settings(arguments: list[str]) -> list[str]:
    """Take out `--settings`, which Django has already read and left in the environment."""
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--settings":
            next(given, None)
        elif not argument.startswith("--settings="):
            rest.append(argument)
    return rest


def interpreter_flags() -> list[str]:
    """The -W and -X flags of this interpreter."""
    extra = [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    return [*(f"-W{option}" for option in sys.warnoptions), *extra]
