"""Forward passes: the only module that uses onnxruntime.

Official builds of onnxruntime from 1.29 on send telemetry (names of models, hashes of weights) to
Microsoft, and write an identifier of the computer into the user's cache folder, unless an
environment variable disables it before the import. It is disabled here, because nothing may leave
the computer. A value of ``ORT_DISABLE_TELEMETRY`` that is set already is kept.
"""

import os
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # reads the environment as it is imported

from tumorlens.bundle import (
    INPUT,
    MODEL_FILE,
    OPTIONAL_OUTPUTS,
    OUTPUTS,
    Bundle,
)
from tumorlens.config import DEVICES, Device
from tumorlens.errors import BundleError, DeviceError
from tumorlens.text import first_line

_ERRORS_ONLY: Final = 3
_NOTHING: Final = 4
_GPU: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"
# If a program imported onnxruntime earlier, this at least disables further events.
onnxruntime.disable_telemetry_events()


class Outputs(NamedTuple):
    """The outputs of the network for N images."""

    logits: NDArray[np.float32]
    """(N, C), before temperature; C classes."""
    cam: NDArray[np.float32]
    """(N, C, h, w): class activation map; its spatial mean plus the bias is the logit."""
    embedding: NDArray[np.float32]
    """(N, D): pooled features, the input of the linear layer."""
    lesion: NDArray[np.float32] | None = None
    """(N, 1, h, w): lesion map, the probability of tumour; None without a lesion head."""
    sequence: NDArray[np.float32] | None = None
    """(N, 5): logits of ``labels.SEQUENCES``; None without a sequence head."""

    @classmethod
    def joined(cls, parts: "Sequence[Outputs]") -> "Outputs":
        """Concatenate the outputs of several batches."""
        columns = dict(zip(cls._fields, zip(*parts, strict=True), strict=True))
        return cls(**{k: np.concatenate(v) for k, v in columns.items() if v[0] is not None})


def open_graph(
    model: bytes, name: str, threads: int = 1, device: Device = "cpu"
) -> onnxruntime.InferenceSession:
    """Build an ONNX graph; raise ``BundleError``, which begins with ``name``.

    A forward pass uses ``threads``. With more than one, small networks like ours are slower,
    because the threads wait for each other at each layer. Raises ``DeviceError`` if ``device`` is
    ``cuda`` and the runtime cannot use a GPU.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    gpu = device != "cpu" and _GPU in onnxruntime.get_available_providers()
    if device == "cuda" and not gpu:
        raise DeviceError(
            "this onnxruntime has no GPU support: install its GPU package (pip uninstall "
            "onnxruntime; pip install onnxruntime-gpu), or choose --device cpu"
        )
    options = onnxruntime.SessionOptions()
    # Without a GPU the runtime would write long messages.
    options.log_severity_level = _NOTHING if gpu else _ERRORS_ONLY
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    # Idle workers would otherwise spin on the cores that decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # TF32 rounds to ten bits: answers would differ visibly from those of the CPU.
    providers = [(_GPU, {"use_tf32": "0"}), _CPU] if gpu else [_CPU]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # the runtime's errors share no base but Exception
        raise BundleError(f"{name} cannot be used ({first_line(error)})") from error
    if device == "cuda" and _GPU not in session.get_providers():
        raise DeviceError(
            "onnxruntime cannot use the GPU: check the driver and the CUDA libraries "
            "that onnxruntime-gpu needs, or choose --device cpu"
        )
    return session


class Graph:
    """An ONNX graph with our names of inputs and outputs. Safe to share between threads."""

    def __init__(
        self,
        model: bytes,
        name: str,
        size: int,
        outputs: Sequence[str],
        optional: Sequence[str] = (),
        threads: int = 1,
        device: Device = "cpu",
    ) -> None:
        """Open a graph that takes images of ``size`` pixels a side; ``name`` begins each error.

        ``optional`` outputs are computed if the graph has them. Errors are those of ``open_graph``,
        and ``BundleError`` if one of ``outputs`` is missing or the graph takes anything else.
        """
        self._name = name
        self._session = open_graph(model, name, threads, device)
        self._outputs = self._check_names(outputs, optional)
        self._check_input(size)

    def __getstate__(self) -> NoReturn:
        """Raise ``TypeError`` that says how to use other processes."""
        raise TypeError(
            "a loaded network, and what refers to it, such as an answer, cannot be pickled or "
            "copied: load the network in each process (tumorlens.load), and pass on the answer as "
            "a dictionary (to_dict)"
        )

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The outputs for (N, 1, S, S), as ``preprocessing.normalize`` makes it. N may be 0.

        One image at a time: how the runtime adds depends on N, and an answer must not depend on
        which images came with it. It is no slower, as one image's values stay in the cache.

        Raises ``BundleError`` if the graph fails or the first output is not finite.
        """
        parts = [images[k : k + 1] for k in range(len(images))] or [images]
        try:
            rows = [self._session.run(self._outputs, {INPUT: part}) for part in parts]
        except Exception as error:  # the runtime's errors share no base but Exception
            raise BundleError(f"{self._name}: {first_line(error)}") from error
        arrays = [np.concatenate(column) for column in zip(*rows, strict=True)]
        if not np.isfinite(arrays[0]).all():
            raise BundleError(f"{self._name}: the network's output is not finite")
        return dict(zip(self._outputs, arrays, strict=True))

    def _check_names(self, outputs: Sequence[str], optional: Sequence[str]) -> list[str]:
        """Names of the outputs to compute."""
        inputs = sorted(node.name for node in self._session.get_inputs())
        present = sorted(node.name for node in self._session.get_outputs())
        if inputs != [INPUT] or not set(present).issuperset(outputs):
            raise BundleError(
                f"{self._name}: the graph takes {inputs} and gives {present}; needed are {[INPUT]} "
                f"and {list(outputs)}"
            )
        return [*outputs, *(name for name in optional if name in present)]

    def _check_input(self, size: int) -> None:
        """Named or missing dimensions are dynamic and fit anything; N must be one of them."""
        node = self._session.get_inputs()[0]
        wanted = [None, 1, size, size]
        fixed = [side if isinstance(side, int) else None for side in node.shape]
        fits = len(fixed) == 4 and all(
            has is None or has == want for has, want in zip(fixed, wanted, strict=True)
        )
        if node.type != "tensor(float)" or not fits:
            raise BundleError(
                f"{self._name}: the graph takes {node.type} {node.shape}; "
                f"needed is tensor(float) (N, 1, {size}, {size})"
            )


class Session:
    """The network of a bundle, ready to run. Safe to share between threads."""

    def __init__(self, bundle: Bundle, threads: int = 1, device: Device = "cpu") -> None:
        """Open the graph; arguments and errors as ``Graph``."""
        name, size = f"bundle {bundle.info.name}: {MODEL_FILE}", bundle.info.preprocess.image_size
        self._graph = Graph(bundle.model, name, size, OUTPUTS, OPTIONAL_OUTPUTS, threads, device)

    def run(self, images: NDArray[np.float32]) -> Outputs:
        """As ``Graph.run``."""
        return Outputs(**self._graph.run(images))
