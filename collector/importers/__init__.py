"""What other tools report, made into this project's manifests, records and closings: one module a tool.

Each is a function of the bytes that were sent alone, so that sending them again changes nothing.
"""
