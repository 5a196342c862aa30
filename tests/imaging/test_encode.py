"""What is encoded can be read back."""

import base64

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging import reader
from tumorlens.imaging.formats import registry
from tumorlens.imaging.raster import encode


def test_lossless_round_trips(head: NDArray[np.uint8]) -> None:
    wide = head.astype(np.uint16) * 200
    color = np.stack([head, head // 2, 255 - head], axis=-1)
    for encoder in (encode.png, encode.tiff):
        np.testing.assert_array_equal(reader.read_bytes(encoder(head)).pixels, head)
        np.testing.assert_array_equal(reader.read_bytes(encoder(wide)).pixels, wide)
        assert reader.read_bytes(encoder(color)).mode == "RGB"
    share = (head / 255).astype(np.float32)
    np.testing.assert_array_equal(reader.read_bytes(encode.tiff(share)).pixels, share)


def test_data_uri_holds_a_jpeg(head: NDArray[np.uint8]) -> None:
    prefix, _, payload = encode.data_uri(head[:, ::-1]).partition(",")
    assert prefix == "data:image/jpeg;base64"
    assert registry.sniff(base64.b64decode(payload)) == "jpeg"
