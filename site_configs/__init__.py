"""The site room: the schema of a site file, its loader, and one folder of YAML a site.

A system is named ``site/system``; its file is ``<site>/<system>.yaml``. Site facts are data: no other room may branch
on a site's name. This room imports nothing else of the project.
"""
