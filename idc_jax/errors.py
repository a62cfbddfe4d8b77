"""The one error that a user is meant to read."""


class UserError(ValueError):
    """Bad input: one line that says what came and what would do.

    The command line prints the message alone and exits with code 2; a program that imports
    the library gets an ordinary ``ValueError``.
    """
