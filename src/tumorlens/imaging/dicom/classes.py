"""SOP classes that can contain an MR picture: what a node should accept."""

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
VERIFICATION: Final = "1.2.840.10008.1.1"
EXPLICIT_LITTLE_ENDIAN: Final[str] = uid.ExplicitVRLittleEndian
