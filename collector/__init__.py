"""The collector: the server that receives the results of all sites, its database, and the status pages.

It receives runs and records over HTTP, stores them as facts that are only ever added, updates the roll-ups in the same
transaction, and draws the pages. Of this project it may import only ``dashboard_client.schema``. Nothing imports it:
the harness starts it as a process.
"""
