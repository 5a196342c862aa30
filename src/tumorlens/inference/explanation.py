"""A picture and its heatmap, drawn together."""

import msgspec

from tumorlens.imaging.facts import AcquisitionFacts, sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.overlay import Marks, overlay_png
from tumorlens.inference import heatmap
from tumorlens.inference.heatmap import Heatmap


def overlay(image: MedicalImage, found: Heatmap, facts: AcquisitionFacts | None = None) -> bytes:
    """PNG of ``image`` (H, W) under ``found``, with peak, box and colour bar.

    ``facts``, its own or those of the volume that it is a slice of, name the patient's sides.
    """
    heat = heatmap.render(found, (image.height, image.width))
    box = None if found.box is None else msgspec.structs.astuple(found.box)
    marks = Marks(msgspec.structs.astuple(found.peak), box)
    return overlay_png(image.pixels, heat, marks, sides_of(facts))
