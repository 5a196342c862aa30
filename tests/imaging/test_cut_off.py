"""Files whose last part is missing, filled with zeros, are noted; images with margins are not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.imaging.written import nifti, nrrd

from tumorlens.imaging import reader
from tumorlens.imaging.samples.cut_off import CUT_OFF, is_cut_off

Head = NDArray[np.uint8]


def cut(stored: NDArray[np.generic], share: float, fill: int = 0) -> NDArray[np.generic]:
    """``stored`` of which only ``share`` was copied."""
    copied = stored.copy()
    copied.reshape(-1)[int(share * copied.size) :] = fill
    return copied


@pytest.mark.parametrize("share", [0.35, 0.501, 0.5025, 0.503, 0.6035, 0.7])
@pytest.mark.parametrize("air", [0, 3])
def test_an_end_in_the_head(head: Head, share: float, air: int) -> None:
    stored = np.where(head == 3, air, head)
    assert not is_cut_off(stored)
    assert is_cut_off(cut(stored, share))
    assert is_cut_off(cut(np.stack([stored, stored, stored]), (1 + share) / 3))


def test_an_end_in_air_that_is_not_zero(head: Head) -> None:
    assert is_cut_off(cut(head, 0.9))
    assert is_cut_off(cut(head, 0.9, fill=7))


def test_margins(head: Head) -> None:
    """Below a whole head, around a part of one, and planes without one."""
    stored = np.where(head == 3, 0, head)
    assert not is_cut_off(np.pad(stored, ((0, 90), (0, 0))))
    assert not is_cut_off(np.pad(stored[60:140], ((60, 60), (0, 0))))
    assert not is_cut_off(np.stack([stored, stored, 0 * stored]))
    assert not is_cut_off(0 * stored)
    band = np.zeros((200, 180), np.int16)
    band[:40] = -2000
    assert not is_cut_off(band)


def test_readers(
    head: Head, write_dicom: Callable[..., bytes], write_tiff: Callable[..., bytes]
) -> None:
    plane = head.astype(np.uint16)
    colors = np.stack([head] * 3, axis=-1)
    volume = np.stack([plane] * 40)
    for write, stored, share in (
        (write_dicom, plane, 0.5025),
        (write_dicom, colors, 0.5025),
        (write_tiff, plane, 0.5025),
        (nifti, volume, 0.6128),
        (nrrd, volume, 0.6128),
    ):
        for of in (stored, cut(stored, share)):
            data = write(of.transpose() if len(of) == 40 else of)
            assert (CUT_OFF in reader.read_bytes(data, "here").notes) == (of is not stored)
