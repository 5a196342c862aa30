"""The documents say what the records, the commands and the code say."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from tumorlens.cli.main import cli
from tumorlens.demo import phantoms
from tumorlens.errors import EXIT_CODES
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    ROOT / "experiments" / "log.md",
]
GROUPS = {"data", "models", "pacs", "web"}


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.M)


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("script", ["documents.py", "figures.py"])
def test_numbers_are_the_recorded_ones(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


def test_commands_exist() -> None:
    """Each `tumorlens ...` line of a shell block names known commands and options."""
    text = "\n".join(block for page in PAGES for block in blocks(page, "sh"))
    lines = re.findall(r"^(?:.*&& )?tumorlens (.+)$", text.replace("\\\n", " "), re.M)
    assert len(lines) >= 40
    for line in lines:
        words = line.partition(" #")[0].split()
        depth = 2 if words[0] in GROUPS else 1
        result = CliRunner().invoke(cli, [*words[:depth], "--help"])
        assert result.exit_code == 0, line
        for option in (w for w in words if w.startswith("--")):
            assert option in result.output, line


def test_exit_codes_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text, re.M)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES


def test_modules_exist() -> None:
    """What is run by `python -m` or `python scripts/` is there."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES if page.name != "log.md")
    for module in re.findall(r"python -m ((?:experiments|benchmarks|tests)[\w.]+)", text):
        assert find_spec(module), module
    for script in re.findall(r"python (scripts/\w+\.py)", text):
        assert (ROOT / script).exists(), script


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documentation's examples name."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir()
    for i, label in enumerate(CLASSES):
        scan = encode.png(phantoms.make_phantom(rng, label).pixels)
        (folder / "scans" / f"{i}.png").write_bytes(scan)
        place = folder / "my-images" / label
        place.mkdir(parents=True)
        (place / f"{i}.png").write_bytes(scan)
    shutil.copy(folder / "scans" / "0.png", folder / "scan.png")
    (folder / "volumes").mkdir()
    head = rng.integers(0, 900, (40, 48, 12)).astype(np.int16)
    for name, voxels in (("t1ce", head), ("mask", (head > 880).astype(np.uint8))):
        volume = nibabel.Nifti1Image(voxels, np.diag([1, 1, 4, 1]))
        nibabel.save(volume, folder / "volumes" / f"P007_{name}.nii.gz")
    arguments = ["--from", str(folder / "my-images"), "--output", str(folder / "mine.csv")]
    result = CliRunner().invoke(cli, ["data", "import", "folder", *arguments])
    assert result.exit_code == 0, result.output
    batch = ["batch", "scans", "--out", "answers", "--bundle", "phantom", "--processes", "1"]
    command = [sys.executable, "-m", "tumorlens", *batch]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment())
    return folder


def environment() -> dict[str, str]:
    """For processes in other folders: with the modules of this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=names)
def test_python_blocks_run(page: Path, workplace: Path) -> None:
    """The blocks of a page run, one after the other, as one program."""
    program = "\n".join(blocks(page, "python")).replace('"/answers/', '"answers/')
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=workplace, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_slices_of_a_volume_are_saved_as_they_are_predicted(workplace: Path) -> None:
    page = ROOT / "docs" / "train.md"
    program = "\n".join(blocks(page, "python"))
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, cwd=workplace, check=True, env=environment())
    volume = reader.read(workplace / "volumes" / "P007_t1ce.nii.gz").pixels
    saved = sorted((workplace / "slices" / "glioma" / "P007").glob("*.png"))
    assert [file.stem for file in saved] == ["0", "10", "5"]
    for file in saved:
        own, predicted = reader.read(file).pixels, volume[int(file.stem)]
        assert np.corrcoef(own.ravel(), predicted.ravel())[0, 1] > 0.999


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_layers_are_the_enforced_ones() -> None:
    """CONTRIBUTING draws the layers of import-linter's contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    enforced = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawn = re.search(r"^## Layers.*?```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"),
                      re.DOTALL | re.M)  # fmt: skip
    assert drawn
    lines = drawn[1].splitlines()
    assert [re.split(r" {2,}", line)[0] for line in lines] == enforced


def test_site_is_built_without_warnings(tmp_path: Path) -> None:
    """Links, anchors and API reference included; and it asks no other host for anything."""
    if find_spec("mkdocs") is None:
        pytest.skip("the extra `docs` is not installed")
    site = tmp_path / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = r'<(?:script|img|link rel="(?:stylesheet|preconnect|icon)")[^>]*(?:src|href)="https?:'
    for page in site.rglob("*.html"):
        assert not re.search(loaded, page.read_text("utf-8")), page
    assert 'id="tumorlens.load"' in (site / "api.html").read_text("utf-8")


def test_records_name_no_machine() -> None:
    records = [*(ROOT / "experiments").rglob("*.json"), *(ROOT / "benchmarks").rglob("*.json")]
    assert len(records) > 50
    for path in records:
        text = path.read_text("utf-8")
        json.loads(text)
        assert not re.search(r'"/(home|root|tmp|work|Users)/|[A-Z]:\\\\', text), path


def test_checklists_name_every_item_once() -> None:
    text = (ROOT / "docs" / "checklists.md").read_text("utf-8")
    claim, tripod = text.split("## TRIPOD+AI")
    items = [re.findall(r"^\| (\d+[a-g]?) \|", part, re.M) for part in (claim, tripod)]
    assert items[0] == [str(number) for number in range(1, 45)]
    assert len(items[1]) == len(set(items[1])) == 52
    assert {int(re.sub(r"\D", "", item)) for item in items[1]} == set(range(1, 28))
