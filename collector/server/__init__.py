"""The server process: the application, its start and stop, error answers, and the static copy of its pages.

May import every room but ``cli``.
"""
