"""Pipelines made from the site files: GitLab's for systems with a runner, cron and scrontab for those without.

Used from a checkout only, where it adds the commands ``exaworks ci …``; it is not part of the installed package. It
imports ``site_configs`` and ``exaworks_sdk.paths`` and nothing else of the project: everything a pipeline does beside
generating is done by running ``exaworks`` commands as processes and by reading the files they write.
"""
