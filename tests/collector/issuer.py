"""An issuer of identity tokens like GitLab: discovery document, JWKS, and RSA keys that can be rotated."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


class Issuer:
    """Signs with its newest key. ``fetches`` counts how often its keys were fetched; ``down`` makes it fail."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.fetches = 0
        self.down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += self.path == "/oauth/discovery/keys"
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(503 if issuer.down else 200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Print no log lines."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.rotate("first")

    def document(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/oauth/discovery/keys"}
        algorithm = jwt.algorithms.RSAAlgorithm
        keys = [json.loads(algorithm.to_jwk(key.public_key())) for key in self.keys.values()]
        pairs = zip(keys, self.keys, strict=True)
        return {"keys": [{**key, "kid": name, "use": "sig", "alg": "RS256"} for key, name in pairs]}

    def rotate(self, name: str) -> None:
        """Sign with a new key from now on, and stop publishing the old one."""
        self.keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def token(self, **changes: Any) -> str:
        """Return a token for a job on the main branch; a claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "https://status.example.org",
            "sub": "project_path:olcf/validate:ref_type:branch:ref:main",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "project_path": "olcf/validate",
            "ref": "main",
            "ref_type": "branch",
            "ref_protected": "true",
        }
        ((name, key),) = self.keys.items()
        claims = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": name})

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
