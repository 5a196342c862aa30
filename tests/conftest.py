"""Fixtures shared by all tests."""

import importlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import hypothesis
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import ClassInfo, ClassSet, Code

# A deadline would be a timing assertion: on a busy machine any example can take a second.
hypothesis.settings.register_profile("tumorlens", deadline=None)
hypothesis.settings.load_profile("tumorlens")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets; skips where TUMORLENS_DATA does not name one."""
    value = os.environ.get("TUMORLENS_DATA")
    if not value:
        pytest.skip("needs the public data sets: set TUMORLENS_DATA to their folder")
    folder = Path(value)
    if not (folder / "nickparvar" / "Training").is_dir():
        pytest.skip(f"TUMORLENS_DATA={folder} holds no nickparvar/Training")
    return folder


@pytest.fixture(scope="module")
def load_script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of scripts/, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "scripts")
        yield importlib.import_module


@pytest.fixture(scope="session")
def head() -> NDArray[np.uint8]:
    """A head-like image, uint8 (200, 180): bright rim, textured inside, black around."""
    rows, columns = np.mgrid[-1:1:200j, -1:1:180j]
    radius = np.hypot(rows / 0.8, columns / 0.65)
    texture = 90 + 40 * np.sin(9 * rows) * np.cos(7 * columns) + 15 * np.sin(31 * columns)
    inside = np.where(radius < 0.9, texture, 220.0)
    return np.where(radius < 1.0, inside, 3.0).astype(np.uint8)


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., bytes]:
    """Writes an MR image of (H, W), (F, H, W) or colour (H, W, 3) pixels; see ``_dicom``."""
    return _dicom


@pytest.fixture(scope="session")
def write_series(head: NDArray[np.uint8]) -> Callable[..., list[bytes]]:
    """Writes slices of one series, ``spacing`` millimetres apart, the head brighter each time."""

    def write(
        count: int = 6, spacing: float = 5.0, series: str = "1.2.3", **tags: Any
    ) -> list[bytes]:
        def one(index: int) -> bytes:
            usual: dict[str, Any] = {
                "SeriesInstanceUID": series,
                "SOPInstanceUID": f"{series}.{index + 1}",
                "ImagePositionPatient": [-90, -100, index * spacing],
                "InstanceNumber": count - index,
            }
            return _dicom((head // 2).astype(np.uint16) + 10 * index, **usual | tags)

        return [one(index) for index in range(count)]

    return write


def _dicom(
    pixels: NDArray[np.generic], *, syntax: str = ExplicitVRLittleEndian, **tags: Any
) -> bytes:
    """An axial MR image, uncompressed; ``tags`` by keyword replace or, as None, remove elements.

    With a compressed ``syntax`` the tag PixelData has to be given, encapsulated.
    """
    color = pixels.ndim == 3 and pixels.shape[2] == 3
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    rows, columns = pixels.shape[:2] if color else pixels.shape[-2:]
    bits = 8 * pixels.dtype.itemsize
    values: dict[str, Any] = {
        "SOPClassUID": MRImageStorage, "SOPInstanceUID": "1.2.3.4", "Modality": "MR",
        "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "PatientName": "Phantom",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [-90, -100, 0],
        "PixelSpacing": [1, 1], "SliceThickness": 5, "Rows": rows, "Columns": columns,
        "SamplesPerPixel": 3 if color else 1, "BitsAllocated": bits, "BitsStored": bits,
        "PhotometricInterpretation": "RGB" if color else "MONOCHROME2",
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelData": b"",
    }  # fmt: skip
    if color:
        values["PlanarConfiguration"] = 0
    elif pixels.ndim == 3:
        values["NumberOfFrames"] = len(pixels)
    values |= tags
    values.setdefault("HighBit", (values["BitsStored"] or bits) - 1)
    order: Literal["<", ">"] = "<" if UID(syntax).is_little_endian else ">"
    if values["PixelData"] == b"":
        values["PixelData"] = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if UID(syntax).is_encapsulated or bits == 8 else "OW"
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture(scope="session")
def tiny_onnx() -> Callable[..., bytes]:
    """Makes a small random ONNX network with a bundle's inputs and outputs."""
    return _tiny_onnx


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle with random weights, for 64 x 64 pixels. Do not change it."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    info = bundle.BundleInfo(
        name="tiny",
        version="1.2.3",
        preprocess=PreprocessConfig(image_size=64),
        temperature=1.5,
        network=bundle.NetworkFacts(architecture={"name": "tiny"}, parameters=232, macs=13_000),
        training={"data": "none"},
        metrics={},
    )
    bundle.save(folder, info, _tiny_onnx())
    return folder


@pytest.fixture(scope="session")
def forty_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of forty classes, none of which means "no finding"; one has a code."""
    folder = tmp_path_factory.mktemp("bundles") / "forty"
    members = [ClassInfo(name=f"kind_{k:02d}", display_name=f"kind {k}") for k in range(40)]
    code = Code(value="50960005", scheme="SCT", meaning="Hemorrhage")
    members[0] = ClassInfo(name="kind_00", display_name="haemorrhage", code=code)
    classes = ClassSet(members=tuple(members))
    info = msgspec.structs.replace(bundle.load(tiny_bundle).info, name="forty", classes=classes)
    bundle.save(folder, info, _tiny_onnx(classes=40))
    return folder


@pytest.fixture(scope="session")
def classifier(tiny_bundle: Path) -> Classifier:
    """Random weights."""
    return Classifier.load(tiny_bundle, threads=1)


@pytest.fixture(scope="session")
def brightness_gate() -> bytes:
    """A gate whose score is the mean of the normalised image: bright images pass."""
    onnx = pytest.importorskip("onnx", reason="needs the train extra")
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    axes = onnx.numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["image", "axes"], ["head"], keepdims=0)],
        "brightness",
        [value("image", kind, ["N", 1, 48, 48])],
        [value("head", kind, ["N"])],
        [axes],
    )
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def _tiny_onnx(
    size: int | str = 64,
    image: str = "image",
    logits: str = "logits",
    element: str = "FLOAT",
    scale: float = 1.0,
    classes: int = 4,
) -> bytes:
    """Depthwise-free convolution, ReLU, global mean, linear: logits, map and embedding agree."""
    onnx = pytest.importorskip("onnx", reason="needs the train extra")
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    random = np.random.default_rng(7)
    kernels = (random.normal(0, 0.3, (8, 1, 5, 5)) * scale).astype(np.float32)
    last = random.normal(0, 1.0, (classes, 8, 1, 1)).astype(np.float32)
    weights = {"kernels": kernels, "classes": last, "axes": np.array([2, 3], np.int64)}
    kind = getattr(onnx.TensorProto, element)
    graph = onnx.helper.make_graph(
        [
            node("Cast", [image], ["float_image"], to=onnx.TensorProto.FLOAT),
            node("Conv", ["float_image", "kernels"], ["filtered"], strides=[8, 8]),
            node("Relu", ["filtered"], ["features"]),
            node("ReduceMean", ["features", "axes"], ["embedding"], keepdims=0),
            node("Conv", ["features", "classes"], ["cam"]),
            node("ReduceMean", ["cam", "axes"], [logits], keepdims=0),
        ],
        "tiny",
        [value(image, kind, ["N", 1, size, size])],
        [
            value(logits, onnx.TensorProto.FLOAT, ["N", classes]),
            value("cam", onnx.TensorProto.FLOAT, ["N", classes, "h", "w"]),
            value("embedding", onnx.TensorProto.FLOAT, ["N", 8]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def unreadable_folder(tmp_path: Path) -> Path:
    """A folder below ``tmp_path`` that not even root can list: its path is too long."""
    path, name = tmp_path, "d" * 200
    place = os.open(path, os.O_RDONLY)
    while len(str(path)) <= os.pathconf("/", "PC_PATH_MAX"):
        os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place, path = below, path / name
    os.close(place)
    return path
