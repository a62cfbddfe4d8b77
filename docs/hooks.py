"""Pages of the site that are written elsewhere: the files of the repository's first folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Where each is on the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# What the README links to and the site doesn't show.
UNSHOWN = {"[examples/](examples)": "`examples/`", "[cite](CITATION.cff)": "cite (`CITATION.cff`)"}
# Roles in docstrings, such as :class:`Selection`.
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(<code>)~?")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, with their links as they are from the site's own folder."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for link, shown in UNSHOWN.items():
            text = text.replace(link, shown)
        for link in ("](", 'src="'):
            text = text.replace(f"{link}docs/", link)
            for other, its_page in PAGES.items():
                text = text.replace(f"{link}{other}", f"{link}{its_page}")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let the links of a page lead to these pages."""
    for name, page in PAGES.items():
        markdown = markdown.replace(f"../{name}", page)
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Show roles as code, and keep a number beside its deviation."""
    return ROLE.sub(r"\1", html).replace(" ± ", "\u00a0±\u00a0")
