"""A DICOMweb server that gives odd answers: one line for a person, and the other studies come."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.pull import PullError, pull
from tumorlens.pacs.space import Space
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.web import WebServer

_TYPE = 'multipart/related; type="application/dicom"; boundary=B'


class _Server:
    """Answers each path with what ``answers`` holds for it, and others with 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                found = server.answers.get(path)
                if "offset=" in query and "offset=0" not in query:  # all were given
                    found = []
                self.send_response(404 if found is None else 200)
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                kind = _TYPE if data is found else "application/dicom+json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever).start()
        self.web = WebServer(f"http://127.0.0.1:{self._server.server_address[1]}")

    def add(self, study: str, *instances: bytes) -> None:
        series = f"{study}.1"
        self.answers.setdefault("/studies", []).append({"0020000D": _uid(study)})
        self.answers[f"/studies/{study}/series"] = [{"0020000E": _uid(series)}]
        out = io.BytesIO()
        for data in instances:
            out.write(b"--B\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n")
        out.write(b"--B--\r\n")
        self.answers[f"/studies/{study}/series/{series}"] = out.getvalue()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _uid(*values: object) -> dict[str, Any]:
    return {"vr": "UI", "Value": values}


@pytest.fixture
def server() -> Iterator[_Server]:
    running = _Server()
    yield running
    running.close()


@pytest.mark.parametrize(
    "studies",
    [["a"], [{"0020000D": _uid()}], [{"0020000D": {}}], [None], None, {"a": 1}],
    ids=["text", "no value", "no list", "null", "404", "object"],
)
def test_a_search_that_is_answered_oddly_is_an_error_in_words(
    server: _Server, spool: Spool, studies: object
) -> None:
    server.answers["/studies"] = studies
    with pytest.raises(PullError, match="unexpected answer"):
        pull(server.web, {"PatientID": "1"}, spool)


def _no_series(server: _Server) -> None:
    server.answers["/studies/1.5/series"] = None


def _odd_series(server: _Server) -> None:
    server.answers["/studies/1.5/series"] = [{"0020000E": _uid()}]


def _no_dicom(server: _Server) -> None:
    good = server.answers["/studies/1.5/series/1.5.1"]
    odd = b"--B\r\nContent-Type: application/dicom\r\n\r\nnot DICOM\r\n"
    server.answers["/studies/1.5/series/1.5.1"] = good.replace(b"--B--\r\n", odd + b"--B--\r\n")


@pytest.mark.parametrize("damage", [_no_series, _odd_series, _no_dicom])
def test_a_study_that_cannot_be_fetched_is_left_out_as_a_whole_and_the_others_come(
    server: _Server, spool: Spool, write_series: Callable[..., list[bytes]],
    damage: Callable[[_Server], None],
) -> None:  # fmt: skip
    for study in ("1.5", "1.6"):
        server.add(study, *write_series(2, series=f"{study}.1", StudyInstanceUID=study))
    damage(server)
    found = pull(server.web, {"PatientID": "1"}, spool)
    assert (found.instances, found.failed) == (2, 1)
    assert [one.key for one in spool.due(0)] == [spool.key("1.6")]
    assert not list(spool.incoming.iterdir())


def test_a_full_disk_ends_a_pull_in_words_and_leaves_no_half_study(
    server: _Server, spool: Spool, write_series: Callable[..., list[bytes]]
) -> None:
    server.add("1.5", *write_series(2, series="1.5.1", StudyInstanceUID="1.5"))
    spool.space = Space(spool.folder, quota_bytes=0)
    with pytest.raises(SpoolError, match="cannot store more"):
        pull(server.web, {"PatientID": "1"}, spool)
    assert not list(spool.incoming.iterdir())
    assert spool.due(0) == []


def test_a_pull_counts_what_it_keeps_until_the_quota_is_full(
    server: _Server, spool: Spool, write_series: Callable[..., list[bytes]]
) -> None:
    sent = write_series(2, series="1.5.1", StudyInstanceUID="1.5")
    server.add("1.5", *sent)
    before = spool.space.used_bytes
    pull(server.web, {"PatientID": "1"}, spool)
    (folder,) = (spool.folder / "studies").iterdir()
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert spool.space.used_bytes == before + size
    pull(server.web, {"PatientID": "1"}, spool)  # all of it is known
    assert spool.space.used_bytes == before + size
    server.add("1.6", *write_series(2, series="1.6.1", StudyInstanceUID="1.6"))
    spool.space.measure()  # the database has grown too
    spool.space = Space(spool.folder, quota_bytes=spool.space.used_bytes + 1)
    with pytest.raises(SpoolError, match="cannot store more"):
        pull(server.web, {"PatientID": "1"}, spool)
    assert not list(spool.incoming.iterdir())
    assert spool.space.has_room()


def test_an_instance_that_comes_again_with_other_pixels_is_told_and_the_first_is_kept(
    server: _Server, spool: Spool, write_series: Callable[..., list[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    first, second = write_series(2, series="1.5.1", StudyInstanceUID="1.5")
    server.add("1.5", first)
    pull(server.web, {"PatientID": "1"}, spool)
    (kept,) = [path.read_bytes() for path in spool.study_folder(spool.key("1.5")).iterdir()]
    server.add("1.5", first[:-1] + bytes([first[-1] ^ 0xFF]), second)
    pull(server.web, {"PatientID": "1"}, spool)
    assert "sent again with different pixels; the first is kept" in caplog.text
    stored = [path.read_bytes() for path in spool.study_folder(spool.key("1.5")).iterdir()]
    assert kept in stored
    assert len(stored) == 2
    assert not list(spool.incoming.iterdir())
