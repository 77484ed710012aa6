"""A service of the pilot: tells on its stdout which port it listens on, and answers each line with a digest of it."""

import hashlib
import socketserver
import sys


class Digest(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().strip()
        self.wfile.write(hashlib.sha256(sys.argv[1].encode() + line).hexdigest().encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Digest) as server:
    print(f"port: {server.server_address[1]}", flush=True)
    server.serve_forever()
