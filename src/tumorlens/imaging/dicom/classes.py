"""SOP classes that can contain an MR image, which a node should accept, and that of a report."""

from typing import Final

from pydicom import uid

MR_CLASSES: Final[tuple[str, ...]] = (
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedMRColorImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
)
REPORT: Final[str] = uid.Comprehensive3DSRStorage
"""Of our reports."""
VERIFICATION: Final = "1.2.840.10008.1.1"
EXPLICIT_LITTLE_ENDIAN: Final[str] = uid.ExplicitVRLittleEndian
