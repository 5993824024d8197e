"""A small OpenID provider on loopback, with an RSA key of its own: discovery, keys, authorization and token endpoint. It signs in whoever `person` says, and
what a test puts into `wrong` makes it lie.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from tillwatch.collector.people.oidc import challenge

CLIENT, SECRET = "console", "a secret of this test"


class SmallProvider:
    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "first", "use": "sig"})
        self.person: dict[str, Any] = {
            "sub": "4711", "preferred_username": "Li.Wei", "name": "李伟", "groups": ["staff", "tellers-it"],
        }  # fmt: skip
        self.wrong: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.get(self)

            def do_POST(self) -> None:
                outer.post(self)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(60)

    def answer(self, handler: BaseHTTPRequestHandler, body: Any, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        self.asked.append(parts.path)
        if parts.path == "/.well-known/openid-configuration":
            self.answer(handler, {
                "issuer": self.wrong.get("issuer_of_discovery", self.issuer), "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
            })  # fmt: skip
        elif parts.path == "/keys":
            self.answer(handler, KeySet([self.key]).as_dict(private=False))
        elif parts.path == "/authorize":
            query = dict(parse_qsl(parts.query))
            assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == (
                "code",
                CLIENT,
                "S256",
            )
            assert "openid" in query["scope"].split()
            code = token_urlsafe()
            self.codes[code] = query
            back = {"code": code, "state": query["state"], "iss": self.issuer} | self.wrong.get("back", {})
            handler.send_response(302)
            handler.send_header("Location", f"{query['redirect_uri']}?{urlencode(back)}")
            handler.end_headers()
        else:
            self.answer(handler, {}, 404)

    def post(self, handler: BaseHTTPRequestHandler) -> None:
        form = {
            k: v[0] for k, v in parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode()).items()
        }
        said = b64decode(handler.headers["Authorization"].removeprefix("Basic ")).decode()
        query = self.codes.pop(form.get("code", ""), None)
        if (
            query is None
            or said != f"{CLIENT}:{SECRET}"
            or challenge(form["code_verifier"]) != query["code_challenge"]
            or form["redirect_uri"] != query["redirect_uri"]
        ):
            self.answer(handler, {"error": "invalid_grant"}, 400)
        elif "token" in self.wrong:
            self.answer(handler, self.wrong["token"])
        else:
            self.answer(handler, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(query["nonce"])})

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = (
            {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
            | self.person
            | self.wrong.get("claims", {})
        )
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.wrong.get("key", self.key)
        if isinstance(key, OctKey):
            return jwt.encode({"alg": "HS256", "kid": "first"}, claims, key, algorithms=["HS256"])
        token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)
        return self.wrong["twist"](token) if "twist" in self.wrong else token
