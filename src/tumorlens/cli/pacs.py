"""``tumorlens pacs``: a node in the hospital's network."""

import importlib.util
import logging
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from tumorlens.cli import options, pacs_queue
from tumorlens.cli.terminal import error, is_quiet, note
from tumorlens.errors import (
    EXIT_FAILURE,
    EXIT_SOME_INPUTS_FAILED,
    AddressError,
    MissingExtraError,
)
from tumorlens.labels import RESEARCH_NOTICE

if TYPE_CHECKING:
    from tumorlens.pacs.journal import Journal
    from tumorlens.pacs.spool import Spool
    from tumorlens.pacs.tls import Tls
    from tumorlens.pacs.worker import Worker

_GIB: Final = 1 << 30
_NEEDED = ("dicomweb_client", "highdicom", "pynetdicom")
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _titles(
    _context: click.Context, option: click.Parameter, given: str | tuple[str, ...]
) -> str | tuple[str, ...]:
    """Check an AE title, or several."""
    from tumorlens.pacs.settings import checked_title

    try:
        if isinstance(given, str):
            return checked_title(given)
        return tuple(checked_title(title) for title in given)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from error


@click.group("pacs")
def command() -> None:
    """Receive or fetch studies, and send back structured reports and overlays."""


for _subcommand in (pacs_queue.status, pacs_queue.retry, pacs_queue.drop, pacs_queue.rebuild):
    command.add_command(_subcommand)


def _shared(function: Callable[..., None]) -> Callable[..., None]:
    """Options of both commands."""
    for option in reversed((
        click.option("--spool", "folder", required=True, metavar="DIR",
                     type=click.Path(path_type=Path, file_okay=False),
                     help="Folder of the queue and the received files; use a persistent "
                     "disk."),
        click.option("--send-to", required=True, metavar="TITLE@HOST:PORT|URL",
                     help="DICOM node (C-STORE) or DICOMweb server (STOW-RS) for the answers."),
        click.option("--ae-title", callback=_titles, default="TUMORLENS", show_default=True,
                     metavar="TITLE",
                     help="AE title of this node."),
        options.bundle,
        click.option("--segmentation", is_flag=True,
                     help="Also send the attention map of each tumour, as DICOM "
                     "Segmentation."),
        click.option("--keep-hours", type=options.Number(0), default=24.0, show_default=True,
                     help="Hours after delivery at which images and answers are "
                     "deleted."),
        click.option("--quota-gib", type=options.Number(0, min_open=True), metavar="GIB",
                     help="Maximum size of the spool; beyond it, images are "
                     "refused."),
        click.option("--study-seconds", type=options.Number(1), default=60.0, show_default=True,
                     help="Maximum time for a study, plus 0.5 s for each of its files and "
                     "MiB."),
        click.option("--study-gib", type=options.Number(0.5), default=4.0, show_default=True,
                     help="Maximum memory for a study, in GiB."),
        click.option("--audit-log", type=click.Path(path_type=Path, dir_okay=False),
                     metavar="FILE", help="Audit log. Default: audit.jsonl in the "
                     "spool."),
        click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate for TLS "
            "(PEM)."),
        click.option("--tls-key", type=_FILE, metavar="FILE", help="Private key of the certificate "
            "(PEM)."),
        click.option("--tls-ca", type=_FILE, metavar="FILE",
                     help="Certificate authorities (PEM); peers must present a certificate from "
                     "one of them."),
        click.option("--web-ca", type=_FILE, metavar="FILE",
                     help="Certificate authorities for HTTPS (PEM). Default: those of --tls-ca, or "
                     "else the system's."),
    )):  # fmt: skip
        function = option(function)
    return function


@command.command("listen", short_help="Receive studies by C-STORE and answer them.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to bind.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=11112, show_default=True,
              help="Port to bind; 0 for any free port.")  # fmt: skip
@click.option("--allow", "allowed", callback=_titles, multiple=True, required=True, metavar="TITLE",
              help="AE title that may connect; can be repeated.")  # fmt: skip
@click.option("--quiet-seconds", type=options.Number(0.1), default=30.0, show_default=True,
              help="Seconds without a new image after which a study counts as "
              "complete.")  # fmt: skip
@click.option("--http-port", type=click.IntRange(0, 65535), metavar="PORT",
              help="Serve /healthz and /metrics on this loopback port.")  # fmt: skip
@_shared
def listen(
    host: str, port: int, allowed: tuple[str, ...], quiet_seconds: float, http_port: int | None,
    **shared: Any,
) -> None:  # fmt: skip
    """Receive studies by C-STORE, and answer each study when it is complete.

    Ctrl-C or SIGTERM stops it after the current study; other studies remain in the queue.
    """
    with _prepared(quiet_s=quiet_seconds, **shared) as ready, ExitStack() as closing:
        from tumorlens.pacs import node
        from tumorlens.pacs.health import Health, HealthServer
        from tumorlens.pacs.identifying import Isolated
        from tumorlens.pacs.settings import NodeSettings

        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        identifier = Isolated()
        closing.callback(identifier.close)
        settings = NodeSettings(host, port, shared["ae_title"], allowed, ready.tls)
        with _listening_on(host, port, "--port"):
            server = node.start(settings, ready.spool, identifier.identify, ready.journal)
        closing.callback(server.shutdown)
        if http_port is not None:
            health = Health(ready.spool, ready.worker, server, ready.journal)
            with _listening_on("127.0.0.1", http_port, "--http-port"):
                web = HealthServer(health, http_port)
            closing.callback(web.close)
            note(f"/healthz and /metrics on 127.0.0.1:{web.port}")
        bound = server.server_address[1]
        note(f"{shared['ae_title']} listening on {host}:{bound!s}")
        ready.journal.record("started")
        ready.worker.run(stop)
        ready.journal.record("stopped")


@command.command("pull", short_help="Fetch studies by DICOMweb and answer them.")
@click.argument("url", metavar="URL")
@click.option("--study", metavar="UID", help="StudyInstanceUID.")
@click.option("--patient-id", metavar="ID", help="PatientID.")
@click.option("--date", metavar="YYYYMMDD[-YYYYMMDD]", help="StudyDate, or a range of dates.")
@_shared
def pull(
    url: str, study: str | None, patient_id: str | None, date: str | None, **shared: Any
) -> None:
    """Query the DICOMweb server at URL, fetch MR series of matching studies, and answer them."""
    asked = {"StudyInstanceUID": study, "PatientID": patient_id, "StudyDate": date}
    filters = {keyword: value for keyword, value in asked.items() if value}
    if not filters:
        raise click.UsageError("choose the studies with --study, --patient-id or --date")
    with _prepared(quiet_s=0.0, **shared) as ready:
        from tumorlens.pacs import pull as puller
        from tumorlens.pacs.web import WebServer

        server = WebServer(url, ready.tls, shared["web_ca"])
        fetched = puller.pull(server, filters, ready.spool)
        note(f"fetched {fetched.instances} instances")
        ready.worker.once()
        ready.spool.prune(3600 * shared["keep_hours"])
        counts = ready.spool.counts()
    waiting = sum(counts.get(state, 0) for state in ("receiving", "made"))
    if waiting:
        error(f"{waiting} studies are not answered yet; run the command again")
    if aside := counts.get("failed", 0):
        error(f"{aside} studies were set aside; see 'tumorlens pacs status'")
    if fetched.failed:
        error(f"{fetched.failed} studies could not be fetched; run the command again")
    if waiting or aside or fetched.failed:
        incomplete = waiting or fetched.failed
        click.get_current_context().exit(EXIT_FAILURE if incomplete else EXIT_SOME_INPUTS_FAILED)


@contextmanager
def _listening_on(host: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        raise AddressError.for_port(host, port, option, failed) from failed


class _Ready(NamedTuple):
    spool: "Spool"
    worker: "Worker"
    journal: "Journal"
    tls: "Tls | None"


@contextmanager
def _prepared(
    *, folder: Path, send_to: str, ae_title: str, bundle: str, keep_hours: float,
    quota_gib: float | None, study_seconds: float, study_gib: float, audit_log: Path | None,
    tls_cert: Path | None, tls_key: Path | None, tls_ca: Path | None, web_ca: Path | None,
    quiet_s: float, segmentation: bool,
) -> Iterator[_Ready]:  # fmt: skip
    if not all(importlib.util.find_spec(name) for name in _NEEDED):
        raise MissingExtraError("tumorlens pacs", "pacs")
    from tumorlens import bundle as bundles
    from tumorlens.pacs.answering import IsolatedAnswerer
    from tumorlens.pacs.destination import destination
    from tumorlens.pacs.upkeep import lock_spool
    from tumorlens.pacs.worker import Worker

    tls = _tls(tls_cert, tls_key, tls_ca)
    _check_authorities(web_ca)
    try:
        goal = destination(send_to, ae_title, tls, web_ca)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--send-to") from error
    _log_only_our_words()
    note(RESEARCH_NOTICE)
    bundles.load(bundle)  # its faults are reported here, not by a worker process
    os.umask(0o077)
    with ExitStack() as closing:
        spool = pacs_queue.open_spool(folder, int(quota_gib * _GIB) if quota_gib else None)
        closing.callback(spool.close)
        closing.enter_context(lock_spool(spool))
        journal = pacs_queue.open_journal(audit_log or folder / pacs_queue.AUDIT_FILE, rotate=True)
        closing.callback(journal.close)
        answerer = IsolatedAnswerer(
            bundle, study_seconds, int(study_gib * _GIB), segmentation=segmentation
        )
        closing.callback(answerer.close)
        worker = Worker(
            spool, answerer.answer, goal, quiet_s=quiet_s, keep_s=3600 * keep_hours, journal=journal
        )
        yield _Ready(spool, worker, journal, tls)


def _tls(certificate: Path | None, key: Path | None, authorities: Path | None) -> "Tls | None":
    """Load and check the options: a wrong file is reported now, not at the first connection."""
    from tumorlens.pacs.tls import Tls

    if certificate is None or key is None:
        if certificate or key or authorities:
            raise click.UsageError("--tls-ca needs --tls-cert and --tls-key, which go together")
        return None
    tls = Tls(certificate, key, authorities)
    try:
        tls.listening()
        tls.calling()
    except OSError as error:  # ssl's are of this kind
        raise click.UsageError(f"TLS certificate, key or authorities: {error}") from error
    return tls


def _check_authorities(file: Path | None) -> None:
    if file is None:
        return
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise click.BadParameter(f"no certificates: {error}", param_hint="--web-ca") from error


def _log_only_our_words() -> None:
    """Log only our messages, to the error stream; those of libraries quote identifiers."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    own = logging.getLogger("tumorlens")
    own.handlers, own.propagate = [handler], False
    own.setLevel(logging.WARNING if is_quiet() else logging.INFO)
    # Without any handler Python would print the libraries' warnings.
    logging.getLogger().addHandler(logging.NullHandler())
