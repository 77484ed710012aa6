"""A stand-in for the design that the collector replaces: a CherryPy handler that receives one record per request,
checks the sender's key against a bcrypt hash each time, and stores each record in a transaction.

``benchmarks/ingest.py`` runs it in a separate environment with CherryPy and bcrypt:

    python standin.py FOLDER
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

import bcrypt
import cherrypy

KEY = b"a key of a site"


class Results:
    """Receive ``{id, key, data}`` by POST, as the first SDK and psij-python send it."""

    def __init__(self, file):
        self.file = file
        self.hashes = {"site": bcrypt.hashpw(KEY, bcrypt.gensalt())}
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE results (id TEXT, at REAL, body TEXT)")

    @cherrypy.expose
    @cherrypy.tools.json_in()
    @cherrypy.tools.json_out()
    def result(self):
        sent = cherrypy.request.json
        if not bcrypt.checkpw(sent["key"].encode(), self.hashes[sent["id"]]):
            raise cherrypy.HTTPError(403)
        connection = sqlite3.connect(self.file)
        with connection:
            row = (sent["id"], time.time(), json.dumps(sent["data"]))
            connection.execute("INSERT INTO results VALUES (?, ?, ?)", row)
        connection.close()
        return {"success": True}


if __name__ == "__main__":
    cherrypy.config.update({"server.socket_port": 0, "server.thread_pool": 4, "log.screen": False, "checker.on": False})
    cherrypy.tree.mount(Results(str(Path(sys.argv[1], "standin.db"))))
    cherrypy.engine.start()
    print(cherrypy.server.bound_addr[1], flush=True)
    cherrypy.engine.block()
