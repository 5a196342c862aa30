"""Fetch studies from a DICOMweb server (QIDO-RS, WADO-RS; PS3.18 10.6 and 10.4) into the spool."""

import io
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from requests import RequestException

from tumorlens.errors import TumorlensError
from tumorlens.imaging.dicom.derived import finished
from tumorlens.imaging.dicom.instance import identify
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import OtherContentError, Spool
from tumorlens.pacs.web import WebServer, reason

log = logging.getLogger(__name__)

_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"


class PullError(TumorlensError):
    """The server cannot be reached or does not answer as DICOMweb does."""

    kind = "pull"


def pull(server: WebServer, filters: Mapping[str, str], spool: Spool) -> int:
    """Fetch the MR series of the studies that match ``filters``; return how many instances.

    ``filters`` are keywords of attributes and their values, as QIDO-RS takes them. Instances that
    the spool knows are fetched but change nothing. Raises ``PullError``,
    ``SpoolError`` where the disk or the quota is full, ``InputError``.
    """
    count = 0
    try:
        with server.client() as client:
            for study, series in _series(client, filters):
                for dataset in client.retrieve_series(study, series):
                    _keep(spool, study, finished(dataset).data)
                    count += 1
    except (RequestException, OSError, AttributeError, KeyError, ValueError) as error:
        # Not its text: it quotes the query, which may name a patient.
        raise PullError(
            f"the DICOMweb server gave an unexpected answer ({reason(error)})"
        ) from error
    return count


def _keep(spool: Spool, study: str, data: bytes) -> None:
    instance = identify(io.BytesIO(data), "fetched")
    try:
        spool.space.require()
        spool.accept(study, instance.sop_instance_uid, data, instance.digest)
    except OtherContentError as error:
        log.warning("%s", error)
    except OSError as error:
        raise SpoolError(f"{spool.folder}: cannot store more ({error.strerror})") from error


def _series(client: Any, filters: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for study in client.search_for_studies(search_filters=dict(filters), get_remaining=True):
        uid = study[_STUDY_UID]["Value"][0]
        for series in client.search_for_series(uid, search_filters={"Modality": "MR"}):
            yield uid, series[_SERIES_UID]["Value"][0]
