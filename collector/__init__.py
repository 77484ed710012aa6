"""The collector room: the server where all sites meet, its store, and the status pages.

It takes runs and records over HTTP, keeps them as append-only facts, rolls up what the pages show in the same
transaction, and draws the pages. Of the project it may import only ``dashboard_client.schema``; nothing imports it:
the harness starts it as a process.
"""
