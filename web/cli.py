"""The command `lumbung`: the commands of all three packages, each loaded when it is asked for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import click

from harvester.errors import ConfigError, LumbungError, SchemaChangedError

if TYPE_CHECKING:
    from harvester.settings import Settings

_WITH_PARENT = "_LUMBUNG_WITH_PARENT"  # in the environment of a child of `up`

# Name of the command: where it is, and its one line for `lumbung --help`.
_COMMANDS = {
    "members": ("harvester.members_cli:members", "The members of the network: add, check, set, list, show, remove."),
    "harvest": ("harvester.cli:harvest", "Harvest the members now."),
    "reconcile": ("harvester.reconcile_cli:reconcile", "Find what the members do not list any more, or never gave."),
    "index": ("indexer.cli:index", "Bring the search index up to date."),
    "reindex": ("indexer.cli:reindex", "Build the search index anew and swap it in."),
    "check": ("indexer.cli:check_tiers", "Compare archive, catalogue and index, and mend what differs."),
    "links": ("indexer.cli:links", "Check the links of records that are due."),
    "fulltext": ("indexer.fulltext_cli:fulltext", "Find and fetch the files of records that are due, and read them."),
    "takedown": ("web.takedown_cli:takedown", "Take a record or a file down for ever, or lift that."),
    "records": ("indexer.cli:records", "Print every record of the catalogue."),
    "status": ("harvester.cli:status", "Show each member's last attempt, outcome and counts."),
    "catalogue": ("harvester.catalogue_cli:catalogue", "The catalogue: copy it to another database."),
    "archive": ("harvester.archive_cli:archive", "The archive: copy it to another place."),
    "work": ("web.work_cli:work", "Harvest the members as they are due, until stopped."),
    "serve": ("web.cli:serve", "Serve the site."),
    "up": ("web.cli:up", "Harvest, index and serve, all in one."),
    "sample-members": ("harvester.cli:sample_members", "Serve four small repositories to try Lumbung with."),
}

# A group's command that lives above the group's package.
_MORE = {"members": "indexer.cli:check_member"}


def _load(place: str) -> click.Command:
    module, _, name = place.partition(":")
    command: click.Command = getattr(import_module(module), name)
    return command


class _LazyGroup(click.Group):
    """Loads a command's module only when that command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        command = _load(_COMMANDS[cmd_name][0])
        if cmd_name in _MORE and isinstance(command, click.Group):
            command.add_command(_load(_MORE[cmd_name]))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("lumbung"), message="lumbung %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log every step on stderr.")
@click.pass_context
def lumbung(context: click.Context, verbose: bool) -> None:
    """Lumbung pools the repositories of a library network and makes them searchable.

    \b
    First steps:
      lumbung members add SLUG BASE_URL   add a repository by its OAI-PMH address
      lumbung harvest                     fetch its records
      lumbung index                       make them searchable
      lumbung serve                       open the site on http://127.0.0.1:8080

    State is kept in ./lumbung-data (LUMBUNG_HOME); settings are read from ./lumbung.toml and from the
    environment. `lumbung COMMAND --help` explains each command.
    """
    from harvester.logs import set_up_logging
    from harvester.settings import load_settings

    set_up_logging(verbose=verbose)
    with suppress(ConfigError):  # which the command tells, if it needs settings
        set_up_logging(verbose=verbose, log_format=load_settings().log_format)
    context.obj = _preview


def _preview(url: str) -> tuple[str, bool]:
    """What the check of a repository found is on stderr: its base URL, and whether it can be harvested."""
    from harvester.settings import load_settings
    from indexer.check import check_base_url, to_lines

    settings = load_settings().model_copy(update={"allow_private": True})
    report = check_base_url(url, settings, progress=lambda request: click.echo(request, err=True))
    for line in to_lines(report):
        click.echo(line, err=True)
    return report.base_url if report.usable else "", report.usable


def main() -> None:
    """Runs the command line; errors that Lumbung names are one sentence on stderr."""
    if os.environ.pop(_WITH_PARENT, None):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        lumbung(prog_name="lumbung", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except LumbungError as error:
        click.echo(f"lumbung: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
_port = click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Port to serve on.")


@click.command()
@_host
@_port
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@click.option("--without-search", is_flag=True, help="Start also where the index is of another version.")
def serve(host: str, port: int, workers: int, *, without_search: bool) -> None:
    """Serve the site until Ctrl-C. Put a reverse proxy with TLS before it on the open internet.

    Where the index was built by another version it does not start, until `lumbung reindex` has built a new one.
    """
    from granian import Granian
    from granian.constants import Interfaces

    from harvester.catalogue import open_catalogue
    from harvester.settings import load_settings
    from indexer.engine.opening import check_schema
    from web.gate import THREADS

    check_port(host, port)
    settings = load_settings()
    _know_address(settings, host, port)
    if not without_search:
        check_schema(settings)
    open_catalogue(settings.catalogue_url).close()  # migrated once, before several processes open it
    Granian(
        "web.app:create_served_app",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        # A Ctrl-C reaches the workers twice, by the terminal and by their parent; granian 2.8 can wait for ever then.
        workers_kill_timeout=2,
        log_enabled=False,
    ).serve()


@click.command()
@_host
@_port
@click.option("--sample-members", is_flag=True, help="Also serve and harvest four repositories of invented records.")
@click.option("--samples-port", default=8090, show_default=True, type=click.IntRange(1, 65535), help="Their port.")
@click.option("--no-work", is_flag=True, help="Harvest now, and not again on schedule.")
def up(host: str, port: int, sample_members: bool, samples_port: int, no_work: bool) -> None:
    """Harvest all members, bring the index up to date and serve the site, until Ctrl-C; go on harvesting as is due.

    The site opens at once where there is an index from before, and after the first harvest where there
    is none.
    """
    from harvester.cli import harvest_now, has_members, register_samples
    from harvester.settings import load_settings
    from indexer.cli import index_now, reindex_now

    settings = load_settings()
    check_port(host, port)
    _know_address(settings, host, port)
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: the children must not outlive us
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        site: subprocess.Popen[bytes] | None = None
        if settings.engine != "embedded:" or settings.index_path.is_dir():
            site = _start(stack, "serve", "--host", host, "--port", str(port), "--without-search")
        if sample_members:
            check_port(host, samples_port)
            _start(stack, "sample-members", "--host", host, "--port", str(samples_port))
            register_samples(host, samples_port)
            _wait_until_open(f"http://{host}:{samples_port}/")
        if site:
            _say_open(host, port)
        if has_members():
            harvest_now()
            try:
                index_now()
            except SchemaChangedError:  # after an update: nothing but our own catalogue is needed to mend it
                click.echo("the index is of an earlier version; a new one is built", err=True)
                reindex_now()
        else:
            click.echo("there are no members yet; `lumbung members add SLUG BASE_URL` adds one", err=True)
        if not site:
            site = _start(stack, "serve", "--host", host, "--port", str(port))
            _say_open(host, port)
        if not no_work:
            # The files of the sample members lie on this machine.
            _start(stack, "work", "--quiet", LUMBUNG_ALLOW_PRIVATE="1" if sample_members else None)
        code = site.wait()
    raise LumbungError(f"the site has stopped by itself (exit status {code}); `lumbung serve` shows why")


def _know_address(settings: Settings, host: str, port: int) -> None:
    """Where nobody said what the site's public address is, it is that which is served, for every process to come."""
    if "base_url" not in settings.model_fields_set:
        name = "127.0.0.1" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host  # noqa: S104 - not bound
        os.environ["LUMBUNG_BASE_URL"] = f"http://{name}:{port}"


def _say_open(host: str, port: int) -> None:
    """The address is on stdout as soon as the site answers there."""
    _wait_until_open(f"http://{host}:{port}/healthz")
    click.echo(f"\nLumbung is open at http://{host}:{port}   (Ctrl-C stops it)\n")


def _start(stack: ExitStack, *arguments: str, **settings: str | None) -> subprocess.Popen[bytes]:
    """A command of ours, with these settings, as a child that ends when the stack does."""
    given = {name: value for name, value in settings.items() if value is not None}
    # A session of its own: Ctrl-C reaches us alone, and we end the child in order. Where we are killed, its
    # stdin ends, and so does it.
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "web", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **given, _WITH_PARENT: "1"},
        start_new_session=True,
    )
    stack.callback(_stop, child)
    return child


def _end_with_parent() -> None:
    """This process and its workers end when the one that started it is gone, however it went."""
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(5)
    os.killpg(0, signal.SIGKILL)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _wait_until_open(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - an address of ours
                return
        except (URLError, OSError) as error:
            if getattr(error, "code", None):  # any answer at all
                return
            if time.monotonic() > deadline:
                raise LumbungError(f"{url} did not open within 30 seconds") from error
            time.sleep(0.05)


def check_port(host: str, port: int) -> None:
    """Returns if the port is free.

    Raises:
        ConfigError: it is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} on {host} cannot be used ({error.strerror}); "
                f"stop what uses it, or choose another: make run PORT={port + 1}, or --port {port + 1}"
            ) from error
