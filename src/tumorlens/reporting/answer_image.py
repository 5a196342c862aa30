"""An answer as an image: the decisive slice with its heatmap and the answer as text.

The answer and the notice are part of the image, because it may be copied from a page or report.
"""

import msgspec

from tumorlens.imaging.facts import AcquisitionFacts, sides_of
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster.overlay import Marks, captioned_png, overlay_png
from tumorlens.inference import heatmap as heatmaps
from tumorlens.inference.record import REJECTED, Answer, Heatmap, ImageAnswer
from tumorlens.inference.volume import slice_of
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.display import displayed_slice


def png_of(image: MedicalImage, answer: ImageAnswer) -> bytes | None:
    """PNG of the decisive slice, with the answer's heatmap if it has one; None if rejected."""
    if answer.decision == REJECTED:
        return None
    return draw(slice_of(image, displayed_slice(answer)), answer, answer.heatmap, image.facts)


def draw(
    plane: MedicalImage,
    answer: Answer,
    heatmap: Heatmap | None,
    facts: AcquisitionFacts | None = None,
) -> bytes:
    """PNG of ``plane`` (H, W) with ``heatmap``, its peak and box, and the answer.

    ``facts`` are those of the image or volume, from which the patient's sides are labelled.
    """
    model = answer.model
    caption = (answer.summary, f"tumorlens {model.name} {model.version}. {RESEARCH_NOTICE}")
    if heatmap is None:
        return captioned_png(plane.pixels, sides_of(facts), caption)
    heat = heatmaps.render(heatmap, (plane.height, plane.width))
    box = None if heatmap.box is None else msgspec.structs.astuple(heatmap.box)
    marks = Marks(msgspec.structs.astuple(heatmap.peak), box)
    return overlay_png(plane.pixels, heat, marks, sides_of(facts), caption)
