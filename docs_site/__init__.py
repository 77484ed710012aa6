"""The documentation site: built with MkDocs from ``docs/``, with reference pages generated from the code.

This package adds the commands ``exaworks docs …``. It works only in a checkout and is not part of the installation. It
may import every other package, because it describes all of them; no other package imports it. ``build`` runs MkDocs,
``hooks`` is what MkDocs calls, ``reference`` has one module for each generated page, ``versions`` puts the sites of
several releases beside each other, and ``pictures`` makes the pictures.
"""
