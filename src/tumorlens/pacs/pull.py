"""Fetch studies from a DICOMweb server (QIDO-RS, WADO-RS; PS3.18 10.6 and 10.4) into the spool."""

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from tumorlens.errors import InputError, TumorlensError
from tumorlens.imaging.dicom.derived import finished
from tumorlens.imaging.dicom.instance import Instance, identify
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import OtherContentError, Spool
from tumorlens.pacs.web import WebServer, reason

log = logging.getLogger(__name__)

_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"


class PullError(TumorlensError):
    """The server cannot be reached or does not answer as DICOMweb does."""

    kind = "pull"


class Fetched(NamedTuple):
    """Result of a pull."""

    instances: int
    failed: int
    """Studies that could not be fetched as a whole, of which nothing is kept."""


def pull(server: WebServer, filters: Mapping[str, str], spool: Spool) -> Fetched:
    """Fetch the MR series of the studies that match ``filters``.

    ``filters`` are keywords of attributes and their values, as QIDO-RS takes them. Instances that
    the spool knows are fetched but change nothing. A study that cannot be fetched is logged, and
    the others are fetched. Raises ``PullError`` where the server cannot be searched, and
    ``SpoolError`` where the disk or the quota is full.
    """
    count = failed = 0
    with server.client() as client:
        with _answering():
            studies = list(_studies(client, filters))
        for study in studies:
            try:
                with _answering():
                    count += _fetch(client, study, spool)
            except (InputError, PullError) as error:
                # Not the text of the former: it may quote the file.
                said = error if isinstance(error, PullError) else error.kind
                log.warning("study %s: not fetched (%s)", spool.key(study), said)
                failed += 1
    return Fetched(count, failed)


@contextmanager
def _answering() -> Iterator[None]:
    """Turn errors that odd answers cause, here or in the client, into ``PullError``."""
    try:
        yield
    except TumorlensError:
        raise
    except Exception as error:  # a server may send anything, and the client checks little
        # Not its text: it quotes the query, which may name a patient.
        raise PullError(
            f"the DICOMweb server gave an unexpected answer ({reason(error)})"
        ) from error


def _fetch(client: Any, study: str, spool: Spool) -> int:
    """Keep all MR instances of a study, or none: it is answered from what is there."""
    fetched: list[tuple[Instance, Path, int]] = []
    unused_bytes = 0
    try:
        for series in _series(client, study):
            for dataset in client.retrieve_series(study, series):
                data = finished(dataset).data
                instance = identify(io.BytesIO(data), "fetched")
                fetched.append((instance, _written(spool, data), len(data)))
                unused_bytes += len(data)
        for instance, path, size in fetched:
            unused_bytes -= size * _keep(spool, study, instance, path)
    finally:
        for _, path, _ in fetched:
            path.unlink(missing_ok=True)
        spool.space.add(-unused_bytes)
    return len(fetched)


def _written(spool: Spool, data: bytes) -> Path:
    """A file of ``incoming`` with ``data``, which counts as used."""
    with _storing(spool):
        spool.space.require()
        path = spool.incoming_file(data)
    spool.space.add(len(data))
    return path


def _keep(spool: Spool, study: str, instance: Instance, path: Path) -> bool:
    """Whether the instance is new, and kept."""
    try:
        with _storing(spool):
            return spool.accept(study, instance.sop_instance_uid, path, instance.digest)
    except OtherContentError as error:
        log.warning("%s", error)
        return False


@contextmanager
def _storing(spool: Spool) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{spool.folder}: cannot store more ({error.strerror})") from error


def _studies(client: Any, filters: Mapping[str, str]) -> Iterator[str]:
    for study in client.search_for_studies(search_filters=dict(filters), get_remaining=True):
        yield str(study[_STUDY_UID]["Value"][0])


def _series(client: Any, study: str) -> Iterator[str]:
    for series in client.search_for_series(study, search_filters={"Modality": "MR"}):
        yield str(series[_SERIES_UID]["Value"][0])
