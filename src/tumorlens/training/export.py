"""From weights to ``model.onnx``, with parity between torch and onnxruntime asserted."""

import copy
import hashlib
import logging
import warnings
from typing import Final, TypeVar

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tumorlens.bundle import INPUT, LESION_OUTPUT, OUTPUTS, SEQUENCE_OUTPUT, BundleInfo
from tumorlens.errors import BundleError
from tumorlens.networks.sepsenet import Network, SeparableBlock, SepSENet

_N = TypeVar("_N", bound=Network)

PARITY_TOLERANCE: Final = 1e-3
"""Largest difference allowed between torch and onnxruntime, in any logit."""


class _Graph(nn.Module):
    """What the ONNX file computes: all outputs, averaged with those of the mirrored image."""

    def __init__(self, network: Network, flip: bool) -> None:
        super().__init__()
        self.network, self.flip = network, flip

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        output = self.network.explain(torch.cat([x, x.flip(3)]) if self.flip else x)
        present = (tensor for tensor in output if tensor is not None)
        return tuple(_averaged(tensor, x.shape[0]) if self.flip else tensor for tensor in present)


def _averaged(both: Tensor, count: int) -> Tensor:
    """Mean of ``count`` outputs and those of the mirrored images behind them; maps turned back."""
    plain, mirrored = both[:count], both[count:]
    return (plain + (mirrored.flip(3) if both.ndim == 4 else mirrored)) / 2


def fuse_norms(network: _N) -> _N:
    """A copy in evaluation mode whose batch normalisations are folded into the convolutions.

    Those of networks that are not ours stay as they are: the runtime folds them when it loads the
    file.
    """
    fused = copy.deepcopy(network).cpu().eval()
    if not isinstance(fused, SepSENet):
        return fused
    convolution, norm = fused.stem[0], fused.stem[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    fused.stem[0], fused.stem[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    for block in fused.modules():
        if isinstance(block, SeparableBlock):
            for name in ("depthwise", "pointwise"):
                merged = fuse_conv_bn_eval(getattr(block, name), getattr(block, f"{name}_norm"))
                setattr(block, name, merged)
                setattr(block, f"{name}_norm", nn.Identity())
    return fused


def to_onnx(network: Network, image_size: int, *, flip: bool = False) -> bytes:
    """Export for any batch size; float32 (N, 1, S, S) in, logits, cam and embedding out."""
    graph = _Graph(fuse_norms(network), flip).eval()
    names = [*OUTPUTS]
    names += [LESION_OUTPUT] if network.lesion is not None else []
    names += [SEQUENCE_OUTPUT] if network.sequence is not None else []
    return export_graph(graph, torch.zeros(2, 1, image_size, image_size), names)


def export_graph(graph: nn.Module, example: Tensor, outputs: list[str]) -> bytes:
    """ONNX of ``graph``, of one input, for any batch size, without traces of how it was built."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=[INPUT],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _remove_build_traces(model)
    exported: bytes = model.SerializeToString()
    return exported


def with_metadata(model: bytes, info: BundleInfo) -> bytes:
    """The ONNX file ``model`` with what it is, for programs that have no ``bundle.json``.

    Strings, with JSON for lists and tables: name, version, classes, preprocessing, licence,
    intended use, and the SHA-256 of the file without them. No answer changes.
    """
    proto = onnx.load_from_string(model)
    del proto.metadata_props[:]
    stated = {
        "name": info.name,
        "version": info.version,
        "classes": msgspec.json.encode(info.classes.names).decode(),
        "preprocess": msgspec.json.encode(info.preprocess).decode(),
        "licence": info.licence,
        "intended_use": info.intended_use,
        "graph_sha256": hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest(),
    }
    onnx.helper.set_model_props(proto, stated)
    described: bytes = proto.SerializeToString(deterministic=True)
    return described


def check_parity(
    network: Network, logits: NDArray[np.float32], inputs: NDArray[np.float32], *, flip: bool
) -> float:
    """Return the largest difference between torch's logits and ``logits`` of the ONNX file.

    ``inputs`` is the normalised batch (N, 1, S, S) that made them. Raises ``BundleError`` above
    ``PARITY_TOLERANCE``.
    """
    graph = _Graph(copy.deepcopy(network).cpu().eval(), flip)
    with torch.no_grad():
        expected = graph(torch.from_numpy(inputs))[0].numpy()
    difference = float(np.abs(expected - logits).max())
    if not difference <= PARITY_TOLERANCE:
        raise BundleError(
            f"the exported network differs from the trained one by {difference:.2g} in a logit"
        )
    return difference


def _remove_build_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about the machine and the source code that built the graph."""
    del model.metadata_props[:]
    for node in [*model.graph.node, *(n for f in model.functions for n in f.node)]:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
