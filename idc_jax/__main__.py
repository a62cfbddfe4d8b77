"""``python -m idc_jax`` is the command ``idc-jax``."""

import sys

from idc_jax.command import main

if __name__ == "__main__":
    sys.exit(main())
