"""HTML reports: single files in a common style that load nothing from the network."""

import base64
import dataclasses
from functools import cache
from pathlib import Path

import jinja2

from tumorlens import __version__
from tumorlens.evaluation.resampling import LEVEL, MIN_GROUPS
from tumorlens.files import write_file
from tumorlens.imaging.raster import encode
from tumorlens.labels import RESEARCH_NOTICE, label_name
from tumorlens.text import percent, probability_percent


@dataclasses.dataclass(frozen=True, slots=True)
class ReportImage:
    """An image on a page."""

    source: str
    """A data URI."""
    caption: str
    alt: str


def render(template: str, **values: object) -> str:
    """Fill ``templates/{template}`` (which extends ``base.html``); undefined names are errors."""
    return _environment().get_template(template).render(**values)


def write(path: Path, template: str, **values: object) -> Path:
    """Render ``template`` into the file ``path`` and make its folder; return the path.

    A byte of a file name that is not UTF-8 (a lone surrogate, PEP 383) is written as ``\\udcXX``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, render(template, **values).encode("utf-8", "backslashreplace"))
    return path


def embed_png(data: bytes) -> str:
    """PNG bytes as a ``data:`` URI."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tumorlens", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["probability_percent"] = probability_percent
    environment.filters["label"] = label_name
    environment.globals |= {
        "research_notice": RESEARCH_NOTICE, "version": __version__, "level": LEVEL,
        "min_groups": MIN_GROUPS, "embed": embed_png, "data_uri": encode.data_uri,
    }  # fmt: skip
    return environment
