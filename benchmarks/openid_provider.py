"""A provider for ``benchmarks.openid``, in a process of its own: every request to it is counted.

``/op/`` makes associations, ``/none/`` makes none, which leaves a relying party stateless. The
endpoint asks nobody: a request with ``name=<name>`` signs that person in.
"""

from __future__ import annotations

import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openid.association import SessionNegotiator
from openid.consumer.discover import OPENID_2_0_TYPE, OPENID_IDP_2_0_TYPE
from openid.extensions import sreg
from openid.server.server import CheckIDRequest, ProtocolError, Server
from openid.store.memstore import MemoryStore

warnings.simplefilter("ignore")

STORE = MemoryStore()
ASSOCIATIONS: dict[str, list[tuple[str, str]]] = {
    "op": [("HMAC-SHA256", "DH-SHA256"), ("HMAC-SHA1", "DH-SHA1")],
    "none": [],
}
XRDS = """<?xml version="1.0" encoding="UTF-8"?>
<xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)"><XRD><Service priority="0">
<Type>{type}</Type><Type>{sreg}</Type><URI>{endpoint}</URI>
</Service></XRD></xrds:XRDS>"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    counted = 0

    def do_GET(self) -> None:
        self.answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(dict(parse_qsl(body)))

    def answer(self, query: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        if path == "/count":
            return self.send(200, str(Handler.counted))
        _, kind, page, *_name = path.split("/")
        root = f"http://{self.headers['Host']}/{kind}"
        if page == "endpoint":
            return self.endpoint(query, kind, root)
        Handler.counted += 1
        document = XRDS.format(
            type=OPENID_2_0_TYPE if page == "id" else OPENID_IDP_2_0_TYPE,
            sreg=sreg.ns_uri_1_1,
            endpoint=f"{root}/endpoint",
        )
        return self.send(200, document, **{"Content-Type": "application/xrds+xml"})

    def endpoint(self, query: dict[str, str], kind: str, root: str) -> None:
        server = Server(STORE, op_endpoint=f"{root}/endpoint")
        server.negotiator = SessionNegotiator(ASSOCIATIONS[kind])
        try:
            message = server.decodeRequest(query)
            if isinstance(message, CheckIDRequest):
                response = self.approve(message, query["name"], root)
            else:
                Handler.counted += 1
                response = server.handleRequest(message)
        except ProtocolError as error:
            return self.send(400, error.encodeToKVForm())
        encoded = server.encodeResponse(response)
        # Section 5.1.2.2 of OpenID 2.0; the library answers an unsupported type with 200.
        refused = "error_code:" in encoded.body
        return self.send(400 if refused else encoded.code, encoded.body, **encoded.headers)

    def approve(self, message: CheckIDRequest, name: str, root: str) -> Any:
        response = message.answer(True, identity=f"{root}/id/{name}")
        values = {"nickname": name, "fullname": f"{name} Person", "email": f"{name}@example.org"}
        asked = sreg.SRegRequest.fromOpenIDRequest(message)
        response.addExtension(sreg.SRegResponse.extractResponse(asked, values))
        return response

    def send(self, status: int, body: str | bytes, **headers: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(provider.server_address[1], flush=True)
    provider.serve_forever()
