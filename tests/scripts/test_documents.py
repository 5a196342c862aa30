"""How the documents are rendered from records, and how their links become the site's."""

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def documents(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("documents")


@pytest.fixture(scope="module")
def links(load_script: Callable[[str], ModuleType]) -> ModuleType:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    return load_script("mkdocs_links")


def render(documents: ModuleType, source: str, **values: object) -> str:
    environment = documents.make_environment()
    text: str = environment.from_string(source).render(**values)
    return text


@pytest.mark.parametrize(
    ("estimate", "written"),
    [
        ({"value": 0.98777, "low": 0.98, "high": 0.9944}, "98.78% (98.0%–99.4%)"),
        ({"value": 0.5, "low": None, "high": None}, "50.00%"),
        ({"value": None, "low": None, "high": None}, "–"),
    ],
)
def test_a_rate_has_its_interval_where_there_is_one(
    documents: ModuleType, estimate: dict[str, float | None], written: str
) -> None:
    assert render(documents, "{{ x | interval }}", x=estimate) == written


def test_numbers_are_written_in_one_way(documents: ModuleType) -> None:
    source = "{{ 0.0012 | p_value }} {{ 1e-9 | p_value }} {{ none | percent }} {{ row('a', 1) }}"
    assert render(documents, source) == "0.001 1e-09 – | a | 1 |"


def test_numbers_are_picked_from_deep_in_records(documents: ModuleType) -> None:
    found = [{"a": {"b": 1}}, {"a": {"b": 2.5}}]
    assert render(documents, "{{ x | pick('a.b') | mean }}", x=found) == "1.75"


def test_an_unknown_name_in_a_template_is_an_error(documents: ModuleType) -> None:
    with pytest.raises(documents.jinja2.UndefinedError):
        render(documents, "{{ nobody }}")


def test_only_what_is_between_the_markers_is_replaced(documents: ModuleType) -> None:
    text = "a <!-- x -->old\n<!-- /x --> b"
    assert documents.fill(text, "x", r"new \1") == r"a <!-- x -->new \1<!-- /x --> b"
    with pytest.raises(SystemExit, match="no markers called y"):
        documents.fill(text, "y", "new")


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("results.md", "../experiments/log.md", "experiments/log.md"),
        ("decisions/0012-attention.md", "../measurements.md#seeds", "measurements.md#seeds"),
        ("decisions/0012-attention.md", "../../experiments/log.md", "experiments/log.md"),
        ("CONTRIBUTING.md", "docs/index.md", "index.md"),
    ],
)
def test_links_are_paths_of_the_site(links: ModuleType, page: str, link: str, target: str) -> None:
    assert links.target(page, link) == target
