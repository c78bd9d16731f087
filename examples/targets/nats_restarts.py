"""What a graceful restart leaves of confirmed acknowledgements, by nats-py (PyPI), without Avouch.

Usage: python3 nats_restarts.py NATS_SERVER ROUNDS

Each round: a fresh server with JetStream in files; one client publishes, another takes messages from a durable consumer and has each
acknowledgement confirmed; the server is asked to stop (SIGTERM) and started again on the same data. Every message whose
acknowledgement was confirmed and which is delivered all the same is counted. One line per round, and one at the end.
"""

import asyncio
import logging
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import nats
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

STOPS_WITHIN_S = 20
GONE = (OSError, asyncio.TimeoutError, nats.errors.Error)


def start(server, folder, port):
    command = [server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(STOPS_WITHIN_S)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def connect(port):
    for _ in range(200):
        try:
            return await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, connect_timeout=2)
        except GONE:
            await asyncio.sleep(0.05)
    raise SystemExit("the server cannot be reached")


async def publish(client):
    try:
        while True:
            await client.jetstream().publish("s", b"x", timeout=2)
            await asyncio.sleep(0.01)
    except GONE:
        pass  # the server was stopped


async def take(client, confirmed):
    taker = await client.jetstream().pull_subscribe_bind("D", "S")
    try:
        while True:
            for message in await taker.fetch(5, timeout=1):
                await message.ack_sync(timeout=2)
                confirmed.add(message.metadata.sequence.stream)
    except GONE:
        pass


async def delivered_again(port, confirmed):
    client = await connect(port)
    floor = (await client.jetstream().consumer_info("S", "D")).ack_floor.stream_seq
    taker = await client.jetstream().pull_subscribe_bind("D", "S")
    again = set()
    try:
        while True:
            for message in await taker.fetch(50, timeout=2.5):
                again |= {message.metadata.sequence.stream} & confirmed
                await message.ack_sync(timeout=5)
    except asyncio.TimeoutError:
        pass  # nothing more comes
    await client.close()
    return floor, len(again)


async def one_round(server, folder):
    port, confirmed = free_port(), set()
    process = start(server, folder, port)
    writer, reader = await connect(port), await connect(port)
    await writer.jetstream().add_stream(StreamConfig(name="S", subjects=["s"], storage=StorageType.FILE))
    consumer = ConsumerConfig(durable_name="D", ack_policy=AckPolicy.EXPLICIT, ack_wait=2)
    await writer.jetstream().add_consumer("S", consumer)
    talk = asyncio.gather(publish(writer), take(reader, confirmed))
    await asyncio.sleep(0.5 + random.random())
    stop(process)
    await talk
    process = start(server, folder, port)
    floor, again = await delivered_again(port, confirmed)
    stop(process)
    return len(confirmed), floor, again


async def main():
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # that a server goes away is what this is about
    server, rounds, bad = sys.argv[1], int(sys.argv[2]), 0
    for number in range(1, rounds + 1):
        folder = tempfile.mkdtemp(prefix="nats-restarts-")
        confirmed, floor, again = await one_round(server, folder)
        shutil.rmtree(folder)
        bad += again > 0
        print(f"{number}: {confirmed} confirmed, ack floor after the restart {floor}, {again} of them again", flush=True)
    print(f"confirmed messages came again in {bad} of {rounds} rounds")


asyncio.run(main())
