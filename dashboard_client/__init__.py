"""The results room: the record schema, the run folder and its spool, redaction and upload.

Everything a run leaves behind passes through here. This room imports nothing else of the project, so that a results
folder can be read, shown and pushed by any machine that has this package alone.
"""
