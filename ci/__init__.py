"""Pipelines generated from the site files: for GitLab if a system has a runner, for cron or scrontab if not.

This package adds the commands ``exaworks ci …``. It works only in a checkout and is not part of the installation. Of
the project it imports only ``site_configs`` and ``exaworks_sdk.paths``. A pipeline runs other ``exaworks`` commands as
processes and reads the files that they write.
"""
