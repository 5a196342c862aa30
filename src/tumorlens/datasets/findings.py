"""The findings of an audit as plain structures, which ``audit.json`` contains."""

import msgspec


class Unreadable(msgspec.Struct, frozen=True):
    """A file that cannot be used."""

    path: str
    label: str
    part: str
    problem: str


class Copies(msgspec.Struct, frozen=True):
    """Files of one image: equal decoded pixels, perhaps equal bytes."""

    paths: list[str]
    labels: list[str]
    parts: list[str]
    same_bytes: bool
    crosses: bool
    """Whether they are in more than one part of the split."""


class NearDuplicate(msgspec.Struct, frozen=True):
    """Two files of one image, edited or rotated, in two parts of the split."""

    left: str
    right: str
    parts: tuple[str, str]
    orientation: str
    """How ``right`` must be turned to match ``left``: one of ``fingerprints.ORIENTATIONS``."""
    hash_distance: int
    """Differing bits of 64."""
    correlation: float


class LabelConflict(msgspec.Struct, frozen=True):
    """One image with two labels."""

    path: str
    label: str
    other_label: str
    reason: str
    """``source`` (its primary source says so), ``same pixels`` or ``near-duplicate``."""
    other_path: str = ""
    """The file with the other label; empty where the reason is ``source``."""


class CrossingGroup(msgspec.Struct, frozen=True):
    """A patient, or a cluster whose patient is unknown, in more than one part of the split."""

    group: str
    patient_known: bool
    images: dict[str, int]
    """Images in each part."""


class Outlier(msgspec.Struct, frozen=True):
    """An outlier of its class."""

    path: str
    label: str
    score: float
    """Robust standard deviations above the class's median distance to neighbours."""
    copies: int
    """Files that hold this image, itself included."""


class Control(msgspec.Struct, frozen=True):
    """The score of a classifier that does not look at tumours on this split."""

    name: str
    description: str
    correct: int
    total: int
    accuracy: float
    tumor_accuracy: float
    """Share of images for which "tumour or not" is correct."""


class Leaks(msgspec.Struct, frozen=True):
    """Numbers of test images that are also in another part, and of items in several parts."""

    test_images: int
    test_with_same_bytes: int
    """Test images with a byte-identical file in another part."""
    test_with_same_pixels: int
    test_with_copy: int
    """Test images with a duplicate or near-duplicate in another part."""
    test_with_known_patient: int
    test_with_known_patient_elsewhere: int
    """Of those, images whose patient is also in another part."""
    test_with_group_elsewhere: int
    crossing_copies: int
    crossing_near_duplicates: int
    crossing_groups: int

    @property
    def any(self) -> bool:
        """Whether the split leaks at all."""
        return bool(self.crossing_copies + self.crossing_near_duplicates + self.crossing_groups)


class Audit(msgspec.Struct, frozen=True):
    """All findings of ``tumorlens data audit``."""

    format_version: int
    manifest: str
    """File name of the manifest."""
    manifest_sha256: str
    split: str
    """Name of the split audited; ``published folders`` for the manifest's own column."""
    images: int
    counts: dict[str, dict[str, int]]
    """Images by part and class."""
    leaks: Leaks
    unreadable: list[Unreadable]
    changed: list[str]
    """Files whose bytes are not those the manifest lists."""
    redundant_bytes: int
    """Files that could be dropped because another has the same bytes."""
    redundant_pixels: int
    copies: list[Copies]
    near_duplicate_pairs: dict[str, int]
    """All pairs, within parts too, by orientation."""
    near_duplicates: list[NearDuplicate]
    """Pairs that cross, the most similar first."""
    label_conflicts: list[LabelConflict]
    crossing_groups: list[CrossingGroup]
    """Most images first."""
    outliers: dict[str, list[Outlier]]
    controls: list[Control]
    seconds: float
    """Wall time of the audit."""
