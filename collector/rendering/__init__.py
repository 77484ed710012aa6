"""What pages are made of: the base of a page, markup, plots, badges, rows of runs, templates and the style sheet.

May import ``web`` and below.
"""
