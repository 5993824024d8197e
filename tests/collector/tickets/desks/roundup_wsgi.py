"""`roundup_wsgi.py HOME PORT` serves the Roundup instance in HOME below /hw and prints its port when it is ready; port 0 lets the system choose one.

Roundup's own server refuses to run as root, which a test may well be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from roundup.cgi.wsgi_handler import RequestDispatcher

PATH = "/hw"


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


def main(home: Path, port: int) -> None:
    def mounted(environ: dict[str, Any], start_response: Any) -> Any:
        environ["SCRIPT_NAME"] = PATH
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(PATH)
        return dispatcher(environ, start_response)

    with make_server("127.0.0.1", port, mounted, Threaded, Quiet) as server:
        config = home / "config.ini"
        placed = config.read_text().replace("http://127.0.0.1:0/", f"http://127.0.0.1:{server.server_port}/")
        config.write_text(placed)
        dispatcher = RequestDispatcher(str(home))
        print(server.server_port, flush=True)
        server.serve_forever()


main(Path(sys.argv[1]), int(sys.argv[2]))
