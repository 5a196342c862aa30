"""A secondary capture of an overlay (PS3.3 A.8.1), made with highdicom (extra ``pacs``)."""

import datetime
import io
from collections.abc import Sequence
from typing import Final

import highdicom as hd
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from tumorlens.imaging.dicom.derived import (
    RESEARCH,
    Algorithm,
    DicomObject,
    SliceReference,
    as_mr,
    finished,
    identity,
    making,
    prepared,
)

SERIES_NUMBER: Final = 9102
_LINE: Final = 24
"""Height of a line of text, in pixels."""


def capture(
    headers: Sequence[Dataset],
    reference: SliceReference,
    png: bytes,
    text: str,
    algorithm: Algorithm,
    source: str,
) -> DicomObject:
    """Write the overlay ``png`` of the slice ``reference`` as a secondary capture of its study.

    ``headers`` as in ``report.report``. ``text``, what the map shows, and "RESEARCH ONLY" are
    burned into the image: a viewer that shows no text shows them. Raises ``CorruptInputError``.
    """
    with making("capture", source):
        sources = [prepared(header, source) for header in headers]
        first, pointed = sources[0], sources[reference[0]]
        identifiers = identity("overlay", SERIES_NUMBER, sources, algorithm)
        image = SCImage(
            pixel_array=_marked(png, text),
            photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
            bits_allocated=8,
            coordinate_system=hd.CoordinateSystemNames.PATIENT,
            patient_orientation=("L", "P"),  # asked for here, taken out below
            study_instance_uid=first.StudyInstanceUID,
            patient_id=first.PatientID,
            patient_name=first.PatientName,
            patient_birth_date=first.PatientBirthDate,
            patient_sex=first.PatientSex,
            accession_number=first.AccessionNumber,
            study_id=first.StudyID,
            study_date=first.StudyDate,
            study_time=first.StudyTime,
            referring_physician_name=first.ReferringPhysicianName,
            series_description=f"tumorlens overlay {RESEARCH}",
            **identifiers,
        )
        image.SpecificCharacterSet = first.SpecificCharacterSet
        image.copy_patient_and_study_information(as_mr(first))
        _refer(image, pointed, reference[1])
        return finished(image)


def _refer(image: Dataset, pointed: Dataset, frame: int | None) -> None:
    """State that it is derived, from which image, and that its text names no patient."""
    image.ImageType = ["DERIVED", "SECONDARY", "OVERLAY"]
    image.ConversionType = "WSD"
    image.PatientOrientation = None  # the page is no plane of the patient
    image.Laterality = None  # a head has none
    image.BurnedInAnnotation = "NO"  # of patients: PS3.3 C.7.6.1.1
    image.DerivationDescription = "Class activation map over the picture; research output"
    now = datetime.datetime.now()
    image.ContentDate, image.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    reference = Dataset()
    reference.ReferencedSOPClassUID = pointed.SOPClassUID
    reference.ReferencedSOPInstanceUID = pointed.SOPInstanceUID
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    image.SourceImageSequence = [reference]


def _marked(png: bytes, text: str) -> NDArray[np.uint8]:
    """The image with two lines of text under it: uint8 (H + 48, W, 3)."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    page = Image.new("RGB", (image.width, image.height + 2 * _LINE))
    page.paste(image, (0, 0))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate((text, f"tumorlens: {RESEARCH}, not for diagnosis")):
        middle = (page.width // 2, image.height + _LINE * number + _LINE // 2)
        draw.text(middle, line, (255, 220, 0), ImageFont.load_default(14), anchor="mm")
    return np.asarray(page)
