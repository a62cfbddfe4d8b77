"""What people call groups, and which numbers may stand for them."""

import re
import unicodedata

from idc_jax.errors import representable

# Ids of groups end here: nobody names more, and a number beyond is a slip.
MAX_GROUP = (1 << 20) - 1
# Beyond, floating-point numbers are no longer exact.
_MOST = 1 << 53
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(\.0*)?")


def tidy(name: str) -> str:
    """``name`` on one line, as it is shown; empty where nothing of it can be."""
    name = " ".join(representable(name).split())
    return name if name.isprintable() else ""


def folded(name: str) -> str:
    """``name`` as it is compared: case, the encoding of accents and extra space do not count."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


def whole(written: object) -> int | None:
    """The whole number that ``written`` is, also as 2.0 or "2"; None for anything else."""
    if isinstance(written, str) and _WHOLE.fullmatch(written.strip()):
        return int(written.strip().partition(".")[0])
    if not isinstance(written, int | float) or isinstance(written, bool):
        return None
    return int(written) if abs(written) < _MOST and int(written) == written else None
