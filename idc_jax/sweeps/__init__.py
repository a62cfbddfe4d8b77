"""Sweeps: a run for every combination of some options' values."""
