"""What every request handler needs: the server object, the caller's identity, and links.

May import ``status`` and below.
"""
