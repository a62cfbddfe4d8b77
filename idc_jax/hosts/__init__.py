"""One run by several processes: how they meet, hear what process 0 decides, and end together.

The numbers go through JAX: one mesh over the devices of all processes. Beside it each process
holds a line to process 0. What only one of them may decide (answers, what is read from the
folder, what is asked) comes along it, and so does the end: a process that dies closes its line,
and the others then stop at once instead of waiting in a sum that never comes.

The lines carry MessagePack, never code, and are as open as JAX's own: whoever can reach the ports
can disturb a run, so they belong on a network of one's own.
"""

from idc_jax.hosts.group import (
    by_rows,
    count,
    fail,
    fail_by,
    hear,
    leads,
    leave,
    rows_together,
    share,
    tell,
    told,
    wait_for_all,
)
from idc_jax.hosts.meeting import AUTO, UNSAID, Meeting, meet

__all__ = [
    "AUTO",
    "UNSAID",
    "Meeting",
    "by_rows",
    "count",
    "fail",
    "fail_by",
    "hear",
    "leads",
    "leave",
    "meet",
    "rows_together",
    "share",
    "tell",
    "told",
    "wait_for_all",
]
