"""Settings as frozen structures, read strictly from TOML: an unknown key is an error."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

import msgspec
from msgspec import Meta

from tumorlens.errors import RecipeError, did_you_mean
from tumorlens.labels import ClassSet

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
MAX_SEED: Final = 2**32 - 1
Seed = Annotated[int, Meta(ge=0, le=MAX_SEED)]
NonNegative = Annotated[float, Meta(ge=0.0)]
Device = Literal["auto", "cpu", "cuda"]
"""Where a network runs; ``auto``: on a GPU where there is one that can be used."""
DEVICES: Final[tuple[Device, ...]] = get_args(Device)
_UNKNOWN_KEY: Final = re.compile(r"unknown field `(.+?)`(?: - at `\$\.(.+?)`)?")


class PreprocessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parameters of ``preprocessing.preprocess``; they travel in the bundle."""

    version: Literal[1] = 1
    """Bumped when the same parameters would give other pixels."""
    image_size: Annotated[int, Meta(ge=32, le=1024)] = 160
    """Side of the square the network sees, in pixels."""
    window_percentiles: tuple[Share, Share] = (0.005, 0.995)
    """Intensity quantiles mapped to 0 and 1; what lies outside is clipped."""
    crop: bool = True
    """Cut the empty margin around the head away."""
    crop_level: Share = 0.12
    """Windowed intensity above which a pixel counts as tissue."""
    crop_occupancy: Share = 0.04
    """Share of tissue pixels a row or column needs to belong to the head."""
    crop_margin: Share = 0.02
    """Margin kept around the head, as a share of its longer side."""
    mean: float = 0.25
    std: Annotated[float, Meta(gt=0.0)] = 0.25


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ``SepSENet`` by its dimensions; see ``training.network``."""

    name: str
    widths: tuple[Positive, ...]
    """Output channels of each stage."""
    depths: tuple[Positive, ...]
    """Blocks in each stage."""
    strides: tuple[Annotated[int, Meta(ge=1, le=2)], ...]
    """Stride of the first block of each stage."""
    kernel_size: Literal[3, 5, 7] = 5
    """Side of the depthwise kernels."""
    stem_stride: Annotated[int, Meta(ge=1, le=4)] = 2
    activation: Literal["relu", "silu"] = "silu"
    se_reduction: Positive = 8
    """Channels per hidden unit of a squeeze-and-excitation gate."""
    residual: bool = True
    max_pool: bool = False
    """Downsample by 2x2 max pooling after a stage instead of by strided convolution."""
    dropout: Share = 0.2
    sequence_head: bool = False
    """A linear layer on the evenly pooled last map that tells the sequence."""
    lesion_head: bool = False
    """A 1x1 convolution on the last feature map that learns where the tumour is."""
    lesion_finer: bool = False
    """The lesion head also sees the map before the last halving, and answers on its grid."""
    lesion_attention: bool = False
    """Features are pooled where the lesion head sees tumour, not evenly over the image."""
    mirror_symmetric: bool = False
    """An image and its mirror image get the same answer; see ``networks.symmetry``."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless every stage has a width, a depth and a stride."""
        if not len(self.widths) == len(self.depths) == len(self.strides):
            raise ValueError("widths, depths and strides must have one entry per stage")
        if (self.lesion_finer or self.lesion_attention) and not self.lesion_head:
            raise ValueError("lesion_finer and lesion_attention need lesion_head")
        if self.lesion_finer and 2 not in self.strides[1:]:
            raise ValueError("lesion_finer needs a stage after the first that halves the map")
        if self.mirror_symmetric and any(width % 2 for width in self.widths):
            raise ValueError("mirror_symmetric needs even widths: channels come in pairs")


class StyleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How another scanner or sequence might have shown the same head. All off by default."""

    probability: Share = 0.0
    """Probability that an image gets a change, separately for each kind of change."""
    bias_field: NonNegative = 0.4
    """Largest logarithm of a smooth gain over the image, as of a surface coil."""
    tone: NonNegative = 0.7
    """Largest logarithm of the exponent of the tone curve."""
    knots: Annotated[int, Meta(ge=2, le=16)] = 5
    """Points of a random rising intensity curve."""
    invert: Share = 0.1
    """Probability that tissue is inverted: what was bright is dark, the air stays dark."""
    resolution: Annotated[float, Meta(ge=1.0)] = 2.5
    """Largest factor by which detail is lost."""
    sharpen: NonNegative = 1.5
    """Largest amount of an unsharp mask; half of the images are blurred instead."""
    frame: Share = 0.1
    """Widest outer band that is blackened, as a share of the side."""
    background: Share = 0.08
    """Highest intensity that counts as air when the background is set to black."""
    strip_skull: Share = 0.0
    """Probability that scalp and skull are cut away, so that their absence tells nothing."""


class LesionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done with experts' outlines of tumours. All off by default."""

    mask_loss: NonNegative = 0.0
    """Weight of the second task: where the tumour is. Needs a network with a lesion head."""
    paste: Share = 0.0
    """Share of healthy images that get another image's tumour, and its class."""
    erase: Share = 0.0
    """Share of outlined tumours that are covered by the mirrored other side: then ``notumor``."""


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Random changes to a training batch; every range is symmetric around "no change"."""

    rotation_degrees: NonNegative = 20.0
    scale: Share = 0.15
    shift: Share = 0.12
    """As a share of the side."""
    shear: Share = 0.05
    horizontal_flip: Share = 0.5
    """Probability. Left and right carry no class information in these images."""
    brightness: Share = 0.15
    contrast: Share = 0.25
    gamma: Share = 0.25
    noise: Share = 0.02
    """Largest standard deviation of added Gaussian noise; white is 1."""
    erase: Share = 0.25
    """Probability of filling one random rectangle with its own mean."""
    mixup: NonNegative = 0.2
    """Alpha of the Beta distribution; 0 switches mixup off."""
    mixup_off_after: Share = 1.0
    """Share of the epochs after which mixup and erasing stop, so that the last see whole images."""
    style: StyleConfig = StyleConfig()
    lesions: LesionConfig = LesionConfig()


class OptimizerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """AdamW under linear warm-up and cosine decay."""

    learning_rate: Annotated[float, Meta(gt=0.0)] = 4e-3
    weight_decay: NonNegative = 0.05
    warmup_epochs: NonNegative = 3.0
    label_smoothing: Share = 0.05
    clip_norm: NonNegative = 5.0
    """Gradient norm above which gradients are scaled down; 0 for never."""
    ema_decay: Share = 0.998
    """Decay a step of the exponential moving average of weights; 0 switches it off."""


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run: what ``RECIPE.toml`` says."""

    model: str | ModelConfig = "small"
    """A name that ``tumorlens models`` lists, or a table of dimensions."""
    epochs: Positive = 30
    batch_size: Positive = 64
    seed: Seed = 0
    extra_share: Share = 0.0
    """Share of each batch that is drawn from extra manifests, balanced by source and class."""
    kind_prior: Share = 0.0
    """How far the shares of kinds in a source are taken as its prior, in the kind's loss.

    For the extra manifests only. With 0 the kind is learnt from every source alike. The nearer to
    1, the less a source with a single kind teaches about it: that its tumours are gliomas follows
    from the source, not from the image.
    """
    distillation_weight: NonNegative = 0.0
    """Weight of the teachers' probabilities, where the labels' is 1; with `--teacher` only."""
    cross_fit: Annotated[int, Meta(ge=1, le=10)] = 1
    """Networks to train, each without one of so many parts of the patients; for teachers."""
    sequence_weight: NonNegative = 0.0
    """Weight of the loss of the sequence output; 0: the network has none."""
    flip_at_test: bool = False
    """Average logits over the image and its mirror inside the exported graph."""
    classes: ClassSet | None = None
    """Names, display names and codes of the classes, and which one means "no finding"; by default
    they follow from the labels of the images."""
    preprocess: PreprocessConfig = PreprocessConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe; raise ``RecipeError`` naming the file or override and the key at fault.

        ``overrides`` are `KEY=VALUE` with dots between the parts of a key and the value as in TOML;
        anything else is taken as a string.
        """
        try:
            settings = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: {error}") from error
        config = _converted(settings, cls, str(path))
        for override in overrides:
            _override(settings, override)
            changed = _converted(settings, cls, f"--set {override}")
            # A later override may correct an earlier one; if none does, the error names the first.
            both_wrong = isinstance(config, RecipeError) and isinstance(changed, RecipeError)
            config = config if both_wrong else changed
        if isinstance(config, RecipeError):
            raise config
        return config


_Table = TypeVar("_Table", bound=msgspec.Struct)


def _converted(settings: dict[str, Any], recipe: type[_Table], origin: str) -> _Table | RecipeError:
    """``settings`` as a recipe, or the error that names ``origin`` and the key at fault."""
    try:
        return msgspec.convert(settings, recipe)
    except msgspec.ValidationError as error:
        return RecipeError(f"{origin}: {error}{_nearest_key(str(error), recipe)}")


def _nearest_key(message: str, recipe: type[msgspec.Struct]) -> str:
    """A suggestion where msgspec's ``message`` is about a key that no table of a recipe has."""
    match = _UNKNOWN_KEY.search(message)
    if match is None:
        return ""
    name, table = match.groups()
    keys = list(_keys(recipe))
    elsewhere = [key for key in keys if key.rpartition(".")[2] == name]
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    above = f"{table}." if table else ""
    beside = [key for key in keys if key.rpartition(".")[0] == (table or "")]
    begun = [key for key in beside if key.startswith(above + name)]
    if begun:
        return f"; did you mean {' or '.join(begun)}?"
    last = {key.removeprefix(above): key for key in beside}
    near = did_you_mean(name, last)
    if near:
        return near.replace("did you mean ", f"did you mean {above}")
    return f"; there are: {', '.join(last)}"


def _keys(table: type[msgspec.Struct], above: str = "") -> Iterator[str]:
    """All keys of a table of a recipe and of the tables in it, as an override writes them."""
    for field in msgspec.structs.fields(table):
        yield f"{above}{field.name}"
        for kind in (field.type, *get_args(field.type)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                yield from _keys(kind, f"{above}{field.name}.")


def _override(settings: dict[str, Any], override: str) -> None:
    """Change one key of a recipe's tables in place; raise ``RecipeError`` if it is malformed."""
    key, separator, text = override.partition("=")
    *tables, name = key.strip().split(".")
    if not separator or not all((*tables, name)):
        raise RecipeError(f"--set {override}: must be KEY=VALUE, such as epochs=20")
    for table in tables:
        settings = settings.setdefault(table, {})
        if not isinstance(settings, dict):
            raise RecipeError(f"--set {override}: {table} is not a table of the recipe")
    try:
        settings[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        settings[name] = text.strip()


def bundled_recipes() -> list[Path]:
    """The files of the bundled recipes, by name."""
    return sorted(Path(str(files("tumorlens").joinpath("recipes"))).glob("*.toml"))


def recipe_path(name_or_path: str | Path) -> Path:
    """The file of a bundled recipe, by its name, or the path of an existing file.

    Raises ``RecipeError`` where it is neither, and suggests the nearest name.
    """
    bundled = {path.stem: path for path in bundled_recipes()}
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if path.is_file():
        return path
    raise RecipeError(
        f"{name_or_path}: neither a bundled recipe ({', '.join(bundled)}) nor a file"
        f"{did_you_mean(str(name_or_path), bundled)}"
    )
