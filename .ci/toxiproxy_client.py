"""`avouch proxy --api` against an existing client of Toxiproxy's, toxiproxy-python from PyPI: it must not notice a difference.

Usage: python3 toxiproxy_client.py AVOUCH
"""

import errno
import socket
import subprocess
import sys
import threading
import time

from toxiproxy import Toxiproxy
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

PATIENCE_S = 10


class Avouch:
    """The proxy as a process, with its API on a free port."""

    def __init__(self, program, seed):
        command = [program, "proxy", "--quiet", "--api", "127.0.0.1:0", "--seed", str(seed)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        host, port = self.process.stdout.readline().split("http://")[1].strip().split(":")
        self.client = Toxiproxy()
        self.client.update_api_consumer(host, int(port))

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"ended with {code}"


def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


def connect(proxy):
    host, port = proxy.listen.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)), PATIENCE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def read(stream, count):
    data = b""
    while len(data) < count and (more := stream.recv(count - len(data))):
        data += more
    return data


def trip(proxy, data=b"hello", stream=None):
    """Sends, reads what comes back; gives that, and how long it took."""
    began = time.monotonic()
    with stream or connect(proxy) as stream:
        stream.sendall(data)
        return read(stream, len(data)), time.monotonic() - began


def raises(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def proxies(client, upstream):
    assert client.running() and b"2." in client.version()
    proxy = client.create(upstream=upstream, name="echo")
    assert client.proxies()["echo"].listen == proxy.listen and proxy.enabled
    assert trip(proxy)[0] == b"hello"
    raises(ProxyExists, client.create, upstream=upstream, name="echo")
    with proxy.down():
        raises(ConnectionRefusedError, connect, proxy)
    assert trip(proxy)[0] == b"hello"
    made = client.populate([{"name": "other", "listen": "127.0.0.1:0", "upstream": upstream}])
    assert [other.name for other in made] == ["other"] and trip(made[0])[0] == b"hello"
    assert client.destroy(made[0])
    raises(NotFound, client.destroy, made[0])
    return proxy


def toxics(client, proxy):
    def toxic(kind, stream="downstream", **attributes):
        client.reset()
        proxy.add_toxic(type=kind, stream=stream, attributes=attributes)
        shown = proxy.get_toxic(f"{kind}_{stream}")
        assert (shown.type, shown.stream, shown.toxicity) == (kind, stream, 1.0)
        assert shown.attributes == attributes

    toxic("noop")
    assert trip(proxy)[0] == b"hello"
    toxic("latency", latency=200, jitter=50)
    assert 0.15 <= trip(proxy)[1]
    toxic("bandwidth", "upstream", rate=10)
    assert 0.45 <= trip(proxy, b"x" * 5_000)[1]
    toxic("slicer", average_size=16, size_variation=8, delay=1_000)
    data, took = trip(proxy, b"x" * 1_600)
    assert len(data) == 1_600 and 0.06 <= took
    toxic("limit_data", bytes=3)
    assert trip(proxy)[0] == b"hel"
    toxic("timeout", "upstream", timeout=200)
    data, took = trip(proxy)
    assert data == b"" and 0.15 <= took
    toxic("slow_close", delay=300)
    with connect(proxy) as stream:
        stream.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert stream.recv(1) == b"" and 0.25 <= time.monotonic() - began
    toxic("reset_peer", "upstream", timeout=50)
    try:
        trip(proxy)
        raise AssertionError("no reset")
    except OSError as error:
        assert error.errno == errno.ECONNRESET, error
    raises(InvalidToxic, proxy.add_toxic, type="cosmic_rays")
    raises(NotFound, proxy.destroy_toxic, "never there")

    # What is taken away heals, also on a connection that was there.
    client.reset()
    stream = connect(proxy)
    proxy.add_toxic(type="bandwidth", attributes={"rate": 0})
    stream.sendall(b"held")
    stream.settimeout(0.2)
    raises(TimeoutError, stream.recv, 4)
    proxy.destroy_toxic("bandwidth_downstream")
    stream.settimeout(PATIENCE_S)
    assert read(stream, 4) == b"held"
    stream.close()


def metrics(client, proxy):
    """The client has no words for them, but can fetch them."""
    client.reset()
    assert trip(proxy)[0] == b"hello"
    text = APIConsumer.get("/metrics").text
    for way in ("upstream", "downstream"):
        for verb in ("received", "sent"):
            line = f'toxiproxy_proxy_{verb}_bytes_total{{direction="{way}",listener="{proxy.listen}",proxy="echo"'
            assert line in text, text


def pattern(program, upstream, seed):
    """Which of 32 connections a toxic of half toxicity concerns."""
    with Avouch(program, seed) as client:
        proxy = client.create(upstream=upstream, name="echo")
        proxy.add_toxic(type="limit_data", toxicity=0.5, attributes={"bytes": 1})
        return "".join("X" if len(trip(proxy)[0]) == 1 else "." for _ in range(32))


def main():
    program, upstream = sys.argv[1], echo_server()
    with Avouch(program, 1) as client:
        proxy = proxies(client, upstream)
        toxics(client, proxy)
        metrics(client, proxy)
    seven = [pattern(program, upstream, 7) for _ in range(3)]
    assert len(set(seven)) == 1, seven
    assert seven[0] != pattern(program, upstream, 8)
    assert 4 <= seven[0].count("X") <= 28, seven
    print(f"toxiproxy-python: proxies, 8 toxics, healing; seed 7 three times: {seven[0]}")


main()
