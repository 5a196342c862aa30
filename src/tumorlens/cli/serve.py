"""``tumorlens serve``: the web page and the HTTP API."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import is_quiet, note
from tumorlens.errors import needing
from tumorlens.labels import RESEARCH_NOTICE

if TYPE_CHECKING:
    from tumorlens.server.settings import Settings

_MAX_TOKEN_BYTES = 1 << 20


@click.command("serve",
               epilog="\b\nExample:\n  tumorlens serve --port 8000")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to bind. Any address but loopback needs --token-file or "
              "--open.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port to bind; 0 for any free port.")  # fmt: skip
@options.bundle
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="File with one bearer token per line; requests to /v1 and /metrics then need a "
              "token.")  # fmt: skip
@click.option("--open", "open_", is_flag=True,
              help="Allow an address that is not loopback without tokens: everyone who can reach "
              "it gets answers.")  # fmt: skip
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
              help="Host name that clients may use; can be repeated, or * for any.")  # fmt: skip
@click.option("--root-path", default="", metavar="PATH",
              help="Path under which a reverse proxy serves the application.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 256),
              help="Number of worker processes, one image each. Default: the number of "
              "processors.")  # fmt: skip
@click.option("--file-seconds", type=options.Number(0.1, 3600), default=10.0, show_default=True,
              help="Maximum processing time of a file, plus 1 s for each MiB.")  # fmt: skip
@click.option("--study-seconds", type=options.Number(0.1, 86400), default=30.0,
              show_default=True,
              help="Maximum processing time of a study, plus 1 s for each MiB.")  # fmt: skip
@click.option("--worker-memory", type=click.IntRange(256, 1 << 20), default=2048,
              show_default=True, metavar="MIB",
              help="Maximum memory to process a file or study.")  # fmt: skip
@click.option("--queue", type=click.IntRange(1, 100_000), default=512, show_default=True,
              help="Maximum number of waiting images; beyond it, requests get the status "
              "503.")  # fmt: skip
@click.option("--max-files", type=click.IntRange(1, 10_000), default=256, show_default=True,
              help="Maximum number of files in a request.")  # fmt: skip
@click.option("--max-body", type=click.IntRange(1, 4096), default=256, show_default=True,
              metavar="MIB", help="Maximum size of a request.")  # fmt: skip
@click.option("--max-pixels", type=click.IntRange(1024), default=4096 * 4096, show_default=True,
              help="Maximum number of pixels in an image.")  # fmt: skip
def command(**chosen: Any) -> None:
    """Serve the web page and, for programs, the HTTP API (documented at /docs).

    By default it binds the loopback address, which other computers cannot reach. Ctrl-C or SIGTERM
    stops it after the accepted requests are answered.
    """
    settings = _settings(**chosen)
    with needing("serve", "tumorlens serve"):
        from tumorlens.server.run import serve
    level = logging.WARNING if is_quiet() else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    note(RESEARCH_NOTICE)
    serve(settings, lambda address: note(f"listening on {address}"))


def _settings(
    *, open_: bool, token_file: Path | None, max_files: int, max_body: int, max_pixels: int,
    queue: int, file_seconds: float, study_seconds: float, worker_memory: int, **chosen: Any,
) -> "Settings":  # fmt: skip
    from tumorlens.server.settings import MIB, Limits, Settings, is_loopback

    tokens = () if token_file is None else _tokens(token_file)
    if not is_loopback(chosen["host"]) and not tokens and not open_:
        raise click.UsageError(
            f"--host {chosen['host']} can be reached from other computers: "
            "use --token-file, or --open to answer everyone"
        )
    if max_files > queue:
        raise click.UsageError("--max-files must not be more than --queue")
    limits = Limits(
        files=max_files, body_bytes=max_body * MIB, queue_bytes=2 * max_body * MIB,
        pixels=max_pixels, queue_images=queue, file_seconds=file_seconds,
        study_seconds=study_seconds, worker_bytes=worker_memory * MIB,
    )  # fmt: skip
    return Settings(tokens=tokens, limits=limits, **chosen)


def _tokens(path: Path) -> tuple[str, ...]:
    """Read one token from each line; a short one could be guessed.

    The file may be a pipe, but not longer than ``_MAX_TOKEN_BYTES``.
    """
    with path.open("rb") as file:
        text = file.read(_MAX_TOKEN_BYTES + 1)
    if len(text) > _MAX_TOKEN_BYTES:
        raise click.UsageError(f"--token-file is larger than {_MAX_TOKEN_BYTES} bytes")
    lines = [line.strip() for line in text.decode("utf-8-sig", "replace").splitlines()]
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    # Clients differ in how they send a token that is not ASCII, which RFC 6750 does not allow.
    if not tokens or not all(len(token) >= 16 and token.isascii() for token in tokens):
        raise click.UsageError(
            "--token-file needs tokens of at least 16 characters, all ASCII, one per line"
        )
    return tokens
