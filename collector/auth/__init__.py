"""Access control: tokens, identity tokens of CI systems (OIDC), rate limits, and which sites a reader may see.

May import ``store`` and the base modules.
"""
