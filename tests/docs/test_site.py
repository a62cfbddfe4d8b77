"""The site is built with no warning, names no other host for what it shows, and has every page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site was not built: pip install '.[docs]'")

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
LINK = re.compile(r"(?:\]\(|src=\")(?!https?:|#|mailto:)([^)\"#]+)")
# Scripts, styles, fonts and pictures from elsewhere.
ELSEWHERE = re.compile(
    r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//|<link[^>]+href=\"(?:https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A build that does not show its warnings does not count them either.
    assert "INFO" in done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert pages <= built
    assert {Path("index.md"), Path("contributing.md"), Path("changelog.md")} <= built


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not ELSEWHERE.search(page.read_text(encoding="utf-8")), page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_docstrings_are_shown_and_not_their_markup(site: Path) -> None:
    text = (site / "api" / "selectors.html").read_text(encoding="utf-8")
    assert 'id="idc_jax.selectors.idc.idc"' in text
    for page in (site / "api").glob("*.html"):
        assert not re.search(r":(class|func|meth|data|mod|attr):", page.read_text()), page.name


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_links_between_files_lead_somewhere(source: Path) -> None:
    # Of the pages in docs/ the strict build asks as much.
    text = source.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (source.parent / link).exists()]
    assert missing == []
