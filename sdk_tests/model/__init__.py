"""The values that the other rooms exchange: cases, attempt results, judgements, metrics and timestamps.

May import the record schema of ``dashboard_client``, and nothing else of the project but ``errors``.
"""
