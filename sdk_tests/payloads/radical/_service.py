"""A service of the pilot: prints the port on which it listens, and answers each line with a digest of the line."""

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
