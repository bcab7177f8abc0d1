"""The servers behind the proxy: HTTP/1 with WebSocket (`http1 PORT`), gRPC (`grpc PORT`). Each a process of its own."""
import base64
import hashlib
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"""<!doctype html><title>peers</title><script>
async function run() {
  const said = [];
  const texts = await Promise.all([...Array(60).keys()].map(n => fetch('/echo?' + n).then(r => r.text())));
  said.push('fetch ' + texts.filter((t, n) => t == '/echo?' + n).length);
  const body = 'x'.repeat(1 << 20);
  const back = await fetch('/upload', {method: 'POST', body}).then(r => r.text());
  said.push('upload ' + back);
  said.push('protocol ' + performance.getEntriesByType('resource')[0].nextHopProtocol);
  said.push('websocket ' + await new Promise(done => {
    const w = new WebSocket('wss://' + location.host + '/ws');
    let n = 0;
    w.onopen = () => w.send('hello 0');
    w.onmessage = m => { n++; if (n == 100) { w.close(); done(m.data); } else w.send('hello ' + n); };
    w.onerror = () => done('error');
  }));
  await fetch('/result', {method: 'POST', body: said.join(', ')});
}
run().catch(e => fetch('/result', {method: 'POST', body: 'failed: ' + e}));
</script>"""


class Http1(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    result = None

    def log_message(self, *_):
        pass

    def say(self, body, kind="text/plain"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = b""
        while n := int(self.rfile.readline().split(b";")[0], 16):
            out += self.rfile.read(n)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return out

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket()
        if self.path == "/page":
            return self.say(PAGE, "text/html")
        if self.path == "/1m":
            return self.say(b"m" * (1 << 20))
        if self.path == "/result":
            return self.say((Http1.result or "").encode())
        self.say(self.path.encode())

    def do_POST(self):
        body = self.body()
        if self.path == "/result":
            Http1.result = body.decode()
        self.say(str(len(body)).encode())

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while head := self.rfile.read(2):
            n = head[1] & 127
            n = struct.unpack(">H", self.rfile.read(2))[0] if n == 126 else n
            n = struct.unpack(">Q", self.rfile.read(8))[0] if n == 127 else n
            mask = self.rfile.read(4)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(n)))
            size = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
            self.wfile.write(head[:1] + size + text)
            self.wfile.flush()
            if head[0] & 15 == 8:
                return


def http1(port):
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", port), Http1).serve_forever()


def grpc_server(port):
    import grpc
    from concurrent import futures

    ended = []

    def unary(request, context):
        context.set_trailing_metadata((("said", "all"),))
        return request

    def down(request, context):
        for n in range(int(request)):
            yield b"%d" % n

    def up(requests, context):
        return b"%d" % sum(1 for _ in requests)

    def both(requests, context):
        yield from requests

    def slow(request, context):
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(30)
        ended.append(request)
        return request

    def how_many(request, context):
        until = time.monotonic() + 10
        while request not in ended and time.monotonic() < until:
            time.sleep(0.01)
        return b"%d" % ended.count(request)

    def fail(request, context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is none: \u00e9")

    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Down": grpc.unary_stream_rpc_method_handler(down),
        "Up": grpc.stream_unary_rpc_method_handler(up),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Slow": grpc.unary_unary_rpc_method_handler(slow),
        "Ended": grpc.unary_unary_rpc_method_handler(how_many),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    }
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Peers", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    {"http1": http1, "grpc": grpc_server}[sys.argv[1]](int(sys.argv[2]))
