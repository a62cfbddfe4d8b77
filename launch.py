"""Run an experiment: cluster, ask, learn, report; ``python launch.py --help`` says how."""

import sys

from idc_jax.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
