"""The page's documents."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template, select_autoescape

_TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> Template:
    """One of the ``templates``."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape())
    return environment.get_template(name)
