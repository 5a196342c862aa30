"""The DICOM node: C-ECHO and C-STORE (PS3.4 annexes A and B) into the spool."""

import logging
from typing import Final, cast

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, events, evt

from tumorlens.errors import InputError
from tumorlens.imaging.dicom.classes import MR_CLASSES, VERIFICATION
from tumorlens.imaging.dicom.parse import parse
from tumorlens.pacs.acceptor import Acceptor, guard
from tumorlens.pacs.reception import discard_unfinished, incoming, receive_into
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool

log = logging.getLogger(__name__)

# Status of C-STORE, PS3.4 table B.2-1.
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000


def start(settings: NodeSettings, spool: Spool) -> Acceptor:
    """Listen in threads of its own; ``shutdown`` of the result ends that.

    Raises ``ValueError`` where nobody is allowed to call: to pynetdicom an empty list means all.
    """
    if not settings.allowed:
        raise ValueError("no AE title is allowed to call")
    # pynetdicom quotes what it is sent, names of patients among it.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    receive_into(spool.incoming)
    entity = AE(settings.ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.allowed)
    entity.add_supported_context(VERIFICATION)
    for kind in MR_CLASSES:
        entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
    server = cast(
        "Acceptor",
        entity.make_server(
            (settings.host, settings.port),
            ssl_context=settings.tls.listening() if settings.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, guard),
                (evt.EVT_CONN_CLOSE, discard_unfinished),
                (evt.EVT_C_STORE, _store, [spool]),
                (evt.EVT_REJECTED, _rejected),
            ],
            server_class=Acceptor,
        ),
    )
    server.start()
    return server


def _store(event: events.Event, spool: Spool) -> int:
    """Keep the instance, then say so."""
    try:
        file = incoming(event).finish()
        with file.open("rb") as stream:
            dataset = parse(stream, "received", pixels=False)
        study, instance = dataset.get("StudyInstanceUID"), dataset.get("SOPInstanceUID")
        if not study or instance != getattr(event.request, "AffectedSOPInstanceUID", None):
            return DOES_NOT_MATCH
        spool.accept(str(study), str(instance), file)
    except InputError as error:
        log.warning("refused an instance: %s", error.kind)
        return CANNOT_UNDERSTAND
    except OSError as error:
        log.error("could not keep an instance: %s", error.strerror)
        return OUT_OF_RESOURCES
    return SUCCESS


def _rejected(event: events.Event) -> None:
    """Tell both titles: one of them is why, and whoever sets up the PACS needs to know which."""
    peer = event.assoc.requestor
    called = peer.primitive.called_ae_title if peer.primitive else ""
    log.warning(
        "rejected an association from %s: it calls itself %a, and this node %a",
        peer.address,
        peer.ae_title,
        called,
    )
