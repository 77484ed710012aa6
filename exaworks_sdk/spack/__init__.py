"""Everything about Spack: the tool itself, environments, installations, locks, progress and licences of what it builds.

It may import the other modules of ``exaworks_sdk`` and ``site_configs``, and nothing of ``releasing``.
"""
