"""The page in a browser on this machine: it is served to localhost and nowhere else."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `page` at / on localhost."""

    page = b""
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path != "/":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""


def server(port: int = 0) -> Server:
    """A server on localhost whose `page` is yet to be set; port 0 means a free one.

    Raises ValueError for a port that cannot be had.
    """
    try:
        return Server(("127.0.0.1", port), _Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"port {port} cannot be had ({reason}); leave --port out for a free one") from error


def address(running: Server) -> str:
    """Where a browser finds it."""
    return f"http://127.0.0.1:{running.server_port}/"
