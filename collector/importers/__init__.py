"""Convert the reports of other tools to manifests, records and closings; one module for each tool.

The result depends only on the bytes that were sent, so that sending them again changes nothing.
"""
