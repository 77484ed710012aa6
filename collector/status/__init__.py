"""The present status, derived from the store: states of cells, figures, metrics, waivers, and queries for the pages.

May import ``store`` and ``auth``.
"""
