"""Site files: their schema, their loader, and one folder of YAML for each site.

A system is named ``site/system``; its file is ``<site>/<system>.yaml``. Site facts are data: no other package may
branch on a site's name. This package imports nothing else of the project.
"""
