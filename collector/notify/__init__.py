"""What the collector sends on its own: messages to hooks, their delivery, and the daily digest.

May import ``pages``, ``rendering`` and below.
"""
