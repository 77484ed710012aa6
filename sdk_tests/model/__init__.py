"""The values that the other packages exchange: cases, attempt results, judgements, metrics and timestamps.

This package may import the record schema of ``dashboard_client``, ``errors``, and nothing else of the project.
"""
