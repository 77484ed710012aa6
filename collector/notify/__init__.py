"""What the collector sends by itself: hooks, their delivery, and the daily digest.

May import ``pages``, ``rendering`` and below.
"""
