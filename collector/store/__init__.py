"""The database: tables, migrations, ingest, roll-ups, retention, backup and recomputation.

May import ``importers``, whose results it stores, and the base modules.
"""
