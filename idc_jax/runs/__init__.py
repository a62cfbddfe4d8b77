"""Runs: one experiment from its configuration to its report."""
