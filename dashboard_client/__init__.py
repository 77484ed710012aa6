"""The results package: the record schema, the run folder and its spool, redaction and upload.

Everything that a run stores passes through this package. It imports nothing else of the project, so that a machine with
this package alone can read, display and push a results folder.
"""
