"""The DICOM node: C-ECHO and C-STORE (PS3.4 annexes A and B) into the spool."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, cast

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, _config, events, evt
from pynetdicom.dimse_primitives import C_CANCEL, C_STORE

from tumorlens.imaging.decoding import shared
from tumorlens.imaging.dicom.classes import MR_CLASSES, VERIFICATION
from tumorlens.isolation.pool import WorkerFaultError
from tumorlens.pacs.acceptor import Acceptor, closed, guard
from tumorlens.pacs.connections import end
from tumorlens.pacs.identifying import Identify, UnreadableError, identify_here
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.reception import Incoming, discard_data, incoming, receive_into
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import OtherContentError, Spool
from tumorlens.text import reason_of

log = logging.getLogger(__name__)

# Status of C-STORE, PS3.4 table B.2-1.
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
OTHER_CONTENT: Final = 0xC111
"""One of the codes for "cannot understand": the UID is known, with other pixels."""
_ANSWER: Final = 0x8000
"""Of a command field: the message is an answer (PS3.7 E.1)."""
_NO_LIMIT: Final = 1 << 30
"""pynetdicom counts connections as associations; ``Acceptor`` counts better."""


class _Reception:
    """The event handlers and what they share."""

    def __init__(
        self, settings: NodeSettings, spool: Spool, identify: Identify, journal: Journal
    ) -> None:
        self._settings, self._spool = settings, spool
        self._identify, self._journal = identify, journal
        self.acceptor: Acceptor | None = None

    def requested(self, event: events.Event) -> None:
        if self.acceptor is not None:
            self.acceptor.admit(event, self._settings.allowed)

    def accepted(self, event: events.Event) -> None:
        peer = event.assoc.requestor
        self._journal.record(
            "association", peer=str(peer.address), title=str(peer.ae_title)
        )  # fmt: skip

    def note_data(self, event: events.Event) -> None:
        if self.acceptor is not None:
            self.acceptor.note_data(event)

    def rejected(self, event: events.Event) -> None:
        """Log both titles: one is the reason, and whoever sets up the PACS must know which."""
        peer = event.assoc.requestor
        called = peer.primitive.called_ae_title if peer.primitive else ""
        log.warning(
            "rejected an association from %s: calling AE title %a, called AE title %a",
            peer.address,
            peer.ae_title,
            called,
        )
        self._journal.record(
            "association_rejected", peer=str(peer.address), title=str(peer.ae_title)
        )

    def received(self, event: events.Event) -> None:
        """Answer a request that lacks something, which pynetdicom ignores; for ``EVT_DIMSE_RECV``.

        The peer would wait for an answer. Without a number of the message there can be none.
        """
        message = event.message
        request = message.message_to_primitive()
        is_answer = message.command_set.CommandField & _ANSWER
        if is_answer or isinstance(request, C_CANCEL) or request.is_valid_request:
            return
        discard_data(event)
        peer = str(event.assoc.requestor.address)
        if not isinstance(request, C_STORE) or request.MessageID is None:
            log.warning("closed a connection from %s: a request lacks elements", peer)
            end(event.assoc)
            return
        answer = C_STORE()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        answer.Status = self._refuse(CANNOT_UNDERSTAND, peer, "the request lacks elements")
        event.assoc.dimse.send_msg(answer, cast("int", message.context_id))

    def store(self, event: events.Event) -> int:
        """Store the instance, then confirm it."""
        if self.acceptor is None:
            return self._store(event)
        with self.acceptor.associations.busy(event.assoc):
            return self._store(event)

    def _store(self, event: events.Event) -> int:
        peer = str(event.assoc.requestor.address)
        try:
            received = incoming(event)
        except OSError:
            return self._refuse(CANNOT_UNDERSTAND, peer, "no data set came")
        status, in_spool = self._keep(
            received, getattr(event.request, "AffectedSOPInstanceUID", None), peer
        )
        if not in_spool:
            received.discard()
        return status

    def _keep(self, received: Incoming, announced: object, peer: str) -> tuple[int, bool]:
        """Status, and whether the file is in the spool now."""
        try:
            file = received.finish()
            instance = self._identify(file, peer)
            if not instance.study_uid or instance.sop_instance_uid != announced:
                return self._refuse(DOES_NOT_MATCH, peer, "not what was announced"), False
            new = self._spool.accept(
                instance.study_uid, instance.sop_instance_uid, file, instance.digest
            )
        except UnreadableError as error:
            return self._refuse(CANNOT_UNDERSTAND, peer, str(error)), False
        except OtherContentError as error:
            return self._refuse(OTHER_CONTENT, peer, str(error)), False
        except (OSError, SpoolError, WorkerFaultError) as error:
            why = reason_of(error) if isinstance(error, OSError) else type(error).__name__
            return self._refuse(OUT_OF_RESOURCES, peer, f"could not be kept: {why}"), False
        key = self._spool.key(instance.study_uid)
        self._journal.record("received" if new else "received_again", study=key, peer=peer)
        return SUCCESS, new

    def _refuse(self, status: int, peer: str, why: str) -> int:
        log.warning("refused an instance from %s (status %04X): %s", peer, status, why)
        self._journal.record("refused", peer=peer, status=f"{status:04X}", reason=why)
        return status


def start(
    settings: NodeSettings, spool: Spool, identify: Identify = identify_here,
    journal: Journal | None = None,
) -> Acceptor:  # fmt: skip
    """Listen in threads of its own; ``shutdown`` of the result ends that.

    Headers are read by ``identify``. Raises ``ValueError`` where nobody is allowed to call: to
    pynetdicom an empty list means all.
    """
    if not settings.allowed:
        raise ValueError("no AE title is allowed to call")
    with ExitStack() as undo:
        undo.enter_context(_without_logs())
        undo.callback(receive_into(spool.incoming, spool.space))
        server = _server(settings, spool, identify, journal or Journal())
        server.ended = undo.pop_all().close
    server.start()
    return server


@shared
@contextmanager
def _without_logs() -> Iterator[None]:
    """Turn off the logs of pynetdicom while this process has a node.

    pynetdicom quotes what it is sent, names of patients among it. Where that lacks something, its
    own handlers fail, and those behind them are not called.
    """
    logger = logging.getLogger("pynetdicom")
    before = logger.level, _config.LOG_HANDLER_LEVEL
    logger.setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    try:
        yield
    finally:
        level, _config.LOG_HANDLER_LEVEL = before
        logger.setLevel(level)


def _server(settings: NodeSettings, spool: Spool, identify: Identify, journal: Journal) -> Acceptor:
    """It listens, and answers once it is started."""
    entity = AE(settings.ae_title)
    entity.maximum_associations = _NO_LIMIT
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.allowed)
    entity.add_supported_context(VERIFICATION)
    for kind in MR_CLASSES:
        entity.add_supported_context(kind, ALL_TRANSFER_SYNTAXES)
    reception = _Reception(settings, spool, identify, journal)
    server = cast(
        "Acceptor",
        entity.make_server(
            (settings.host, settings.port),
            ssl_context=settings.tls.listening() if settings.tls else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, guard),
                (evt.EVT_CONN_CLOSE, closed),
                (evt.EVT_REQUESTED, reception.requested),
                (evt.EVT_ACCEPTED, reception.accepted),
                (evt.EVT_DATA_RECV, reception.note_data),
                (evt.EVT_DIMSE_RECV, reception.received),
                (evt.EVT_C_STORE, reception.store),
                (evt.EVT_REJECTED, reception.rejected),
            ],
            server_class=Acceptor,
        ),
    )
    reception.acceptor = server
    return server
