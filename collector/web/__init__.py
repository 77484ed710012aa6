"""What every request handler needs: the server object, the identity of the caller, and links.

May import ``status`` and below.
"""
