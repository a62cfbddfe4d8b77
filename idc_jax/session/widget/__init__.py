"""A session's questions in a notebook."""
