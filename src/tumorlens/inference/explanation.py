"""A picture and its heatmap, drawn together."""

import msgspec

from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.overlay import Marks, overlay_png
from tumorlens.inference import heatmap
from tumorlens.inference.heatmap import Heatmap


def overlay(image: MedicalImage, found: Heatmap) -> bytes:
    """PNG of ``image`` (H, W) under ``found``, with peak, box and colour bar."""
    heat = heatmap.render(found, (image.height, image.width))
    box = None if found.box is None else msgspec.structs.astuple(found.box)
    return overlay_png(image.pixels, heat, Marks(msgspec.structs.astuple(found.peak), box))
