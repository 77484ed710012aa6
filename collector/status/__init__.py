"""What is known now, derived from the store: the state of cells, figures, metrics, waivers, and queries for lists.

May import ``store`` and ``auth``.
"""
