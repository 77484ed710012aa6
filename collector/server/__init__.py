"""The server process: the application, its start and stop, its error responses, and the export of its pages.

May import every package but ``cli``.
"""
