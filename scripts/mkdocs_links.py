"""A hook of MkDocs that adds files outside docs/ to the site.

In the repository, a page links to such a file by its path (`../experiments/log.md`), so that the
link works there too. In the site the file lies below the root (`experiments/log.md`), and the link
is rewritten.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ("CONTRIBUTING.md", "CHANGELOG.md", "experiments/log.md")
"""Pages of the navigation that are not in docs/."""
LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])[^)\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and the files that pages link to."""
    for path in PAGES:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    for page in [page.src_uri for page in files.documentation_pages()]:
        for link in LINK.findall((ROOT / in_repository(page)).read_text("utf-8")):
            path = target(page, link).partition("#")[0]
            source = ROOT / in_repository(path)
            if files.get_file_from_path(path) is None and source.is_file():
                files.append(File.generated(config, path, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point the links of a page at their targets in the site."""
    here = page.file.src_uri
    return LINK.sub(
        lambda link: posixpath.relpath(target(here, link[0]), posixpath.dirname(here) or "."),
        markdown,
    )


def in_repository(path: str) -> str:
    """Where a path of the site lies in the repository."""
    return f"docs/{path}" if (ROOT / "docs" / path).exists() else path


def target(page: str, link: str) -> str:
    """A link of ``page`` (a path of the site) as a path of the site."""
    folder = posixpath.dirname(in_repository(page))
    return posixpath.normpath(posixpath.join(folder, link)).removeprefix("docs/")
