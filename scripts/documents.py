"""Write the documents whose numbers come from records.

    python scripts/documents.py            # write
    python scripts/documents.py --check    # fail where a document is not what the records say

The prose and the tables are templates in docs/templates. A template `page.md.jinja` becomes
docs/page.md; `README.parameters.jinja` fills the part of README.md between the markers
`<!-- parameters -->` and `<!-- /parameters -->`.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

import jinja2
import records
from records import ROOT, Json

from tumorlens.labels import LABEL_NAMES

TEMPLATES: Final = ROOT / "docs" / "templates"
PAGES: Final = ("measurements", "model-card", "results")
BLOCKS: Final = {
    ROOT / "README.md": ("parameters", "table"),
    ROOT / "docs" / "evaluate.md": ("points",),
    ROOT / "docs" / "limits.md": ("memory",),
    ROOT / "docs" / "scale.md": ("cost",),
    ROOT / "docs" / "site.md": ("cases",),
    ROOT / "docs" / "train.md": ("fine-tuning", "own-data"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the documents, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in rendered().items() if _read(path) != text}
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"differs from the records: {names}; run python scripts/documents.py")
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")


def rendered() -> dict[Path, str]:
    """Every document that has numbers from records, and its text."""
    environment = make_environment()
    pages = {
        ROOT / "docs" / f"{name}.md": environment.get_template(f"{name}.md.jinja").render()
        for name in PAGES
    }
    filled = {}
    for path, names in BLOCKS.items():
        filled[path] = _read(path)
        for name in names:
            block = environment.get_template(f"{path.stem}.{name}.jinja").render()
            filled[path] = fill(filled[path], name, block)
    return pages | filled


def fill(text: str, name: str, block: str) -> str:
    """``text`` with ``block`` between the markers called ``name``."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        sys.exit(f"no markers called {name}")
    return re.sub(f"{start}.*?{end}", lambda _: f"{start}{block}{end}", text, flags=re.DOTALL)


def make_environment() -> jinja2.Environment:
    """Jinja with the records as functions and the ways to write a number as filters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is Markdown, from our own records
    )  # fmt: skip
    environment.filters.update(
        fmt=format, interval=interval, mean=fmean, number=number, percent=percent, pick=pick,
        gain=gain, p_value=p_value,
    )  # fmt: skip
    environment.globals.update(
        {
            function.__name__: function
            for function in (
                records.evaluation, records.evaluations, records.run, records.runs,
                records.experiment, records.benchmark, records.bundle,
            )
        },
        label_names=LABEL_NAMES, row=row,
    )  # fmt: skip
    return environment


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def percent(value: float | None, digits: int = 1) -> str:
    """A rate in percent; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}%}"


def interval(estimate: Json) -> str:
    """A rate in percent with its interval; without one where groups are too few."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "–"
    return f"{value:.2%}" + ("" if low is None else f" ({low:.1%}–{high:.1%})")


def number(estimate: Json) -> str:
    """A number with its interval."""
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def gain(estimate: Json) -> str:
    """A difference of two rates with its interval."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return f"{value:+.1%}" + ("" if low is None else f" ({low:+.1%} to {high:+.1%})")


def p_value(value: float) -> str:
    """The p value of a test."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def pick(measured: Iterable[Json], path: str) -> list[float]:
    """The number at ``path`` ("metrics.accuracy.value") in each record."""
    numbers = []
    for record in measured:
        value: Json | float = record
        for key in path.split("."):
            assert isinstance(value, dict)
            value = value[key]
        assert isinstance(value, float | int)
        numbers.append(float(value))
    return numbers


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
