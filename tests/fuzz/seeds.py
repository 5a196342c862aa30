"""Small valid files to start fuzzing from, drawn here: no image of a person is among them."""

import gzip
import io
import zipfile
from functools import cache
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from tumorlens.imaging.raster import encode

_RING: NDArray[np.uint8] = (
    100 + 99 * np.sin(np.hypot(*np.mgrid[-16:16, -16:16]) / 2)
).astype(np.uint8)  # fmt: skip


@cache
def seeds(name: str) -> list[bytes]:
    """Files for the target ``name``."""
    makers = {"image": _images, "dicom": _dicom, "nifti": _nifti, "mgh": _mgh, "nrrd": _nrrd,
              "series": _dicom, "archive": _archives}  # fmt: skip
    return makers[name]()


def _images() -> list[bytes]:
    wide = _RING.astype(np.uint16) * 257
    made = [encode.png(_RING), encode.png(wide), encode.tiff(_RING), encode.jpeg(_RING)]
    image = Image.fromarray(_RING)
    for kind, mode in (("BMP", "RGB"), ("GIF", "P"), ("WEBP", "RGB"), ("PNG", "LA"), ("TIFF", "1")):
        out = io.BytesIO()
        image.convert("RGB").convert(mode).save(out, kind)
        made.append(out.getvalue())
    out = io.BytesIO()
    image.save(out, "TIFF", save_all=True, append_images=[image, image])
    return [*made, out.getvalue()]


def _dicom() -> list[bytes]:
    wide = _RING.astype(np.uint16) * 16
    window = {"WindowCenter": 1000, "WindowWidth": 900, "PixelPaddingValue": 0, "BitsStored": 12}
    made = [
        _write(_dataset(_RING)), _write(_dataset(wide, **window)),
        _write(_dataset(wide), ImplicitVRLittleEndian),
        _write(_dataset(wide), DeflatedExplicitVRLittleEndian),
        _write(_dataset(np.stack([_RING] * 3), NumberOfFrames=3)),
        _write(_dataset(_RING, PixelData=encapsulate([encode.jpeg(_RING)])), JPEGBaseline8Bit),
    ]  # fmt: skip
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset = _dataset(wide)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
        made.append(_write(dataset, syntax))
    import imagecodecs

    lossless = imagecodecs.jpeg8_encode(wide, lossless=True, bitspersample=16)
    made.append(_write(_dataset(wide, PixelData=encapsulate([bytes(lossless)])), JPEGLosslessSV1))
    return made


def _dataset(pixels: NDArray[np.generic], **tags: Any) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    bits = pixels.dtype.itemsize * 8
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": "1.2.3.4", "Modality": "MR",
        "SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0], "PixelSpacing": [1, 1], "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1], "SamplesPerPixel": 1, "BitsAllocated": bits,
        "BitsStored": bits, "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": 0, "PixelData": pixels.tobytes(),
    }  # fmt: skip
    values |= tags
    values["HighBit"] = values["BitsStored"] - 1
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _write(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    dataset["PixelData"].VR = "OB" if encapsulated or dataset.BitsAllocated == 8 else "OW"
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _nifti() -> list[bytes]:
    voxels = np.moveaxis(np.stack([_RING] * 32), 0, 2)
    kinds: tuple[Any, Any] = (nibabel.Nifti1Image, nibabel.Nifti2Image)
    plain = [kind(voxels, np.diag([1, 1, 1.5, 1])).to_bytes() for kind in kinds]
    plain.append(kinds[0](voxels[..., :2, np.newaxis].astype(np.float32), np.eye(4)).to_bytes())
    return [*plain, *(gzip.compress(data) for data in plain)]


def _mgh() -> list[bytes]:
    voxels = np.moveaxis(np.stack([_RING] * 32), 0, 2)
    several = np.stack([voxels, voxels], axis=-1)
    plain = [nibabel.MGHImage(one, np.eye(4)).to_bytes() for one in (voxels, several)]
    return [*plain, gzip.compress(plain[0])]


def _nrrd() -> list[bytes]:
    header = (
        b"NRRD0004\ntype: %s\ndimension: 3\nspace: left-posterior-superior\nsizes: %s\nkinds: %s\n"
        b"space directions: %s\nendian: little\nencoding: %s\nspace origin: (0,0,0)\n\n"
    )
    volume = np.moveaxis(np.stack([_RING] * 32), 0, 2).tobytes(order="F")
    steps, kinds = b"(1,0,0) (0,1,0) (0,0,1)", b"domain domain domain"
    made = [
        header % (b"uchar", b"32 32 32", kinds, steps, name) + data
        for name, data in ((b"raw", volume), (b"gzip", gzip.compress(volume)))
    ]
    numbers = b" ".join(b"%d" % value for value in _RING.ravel(order="F"))
    made.append(header % (b"short", b"32 32 1", kinds, steps, b"ascii") + numbers)
    colors = np.stack([_RING] * 3).tobytes(order="F")
    steps, kinds = b"none (1,0,0) (0,1,0)", b"RGB-color domain domain"
    return [*made, header % (b"uchar", b"3 32 32", kinds, steps, b"raw") + colors]


def _archives() -> list[bytes]:
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("a/image", encode.png(_RING))
            archive.writestr("a/slice", _dicom()[0])
            archive.writestr("notes", b"text")
        made.append(out.getvalue())
    return made
