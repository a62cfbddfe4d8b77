"""Annotators: whoever answers the questions, and the store that keeps the answers."""
