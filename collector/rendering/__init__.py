"""What pages are made of: the page base class, markup, plots, badges, lines of runs, templates and style sheets.

May import ``web`` and below.
"""
