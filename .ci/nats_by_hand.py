"""What another client (nats-py) sees of a NATS server, for the lane `audit`: each command prints one line.

again URL           how often a message is delivered to who acknowledges it, with the acknowledgement confirmed
publish URL COUNT   publishes so many messages, each acknowledged, and says how many were
stored URL          says how many messages the stream has
take URL COUNT PID  takes and acknowledges so many messages, each acknowledgement confirmed, kills the server's process at once, and
                    says how many were taken
left URL            says how many messages are delivered that were not acknowledged for good
"""

import asyncio
import os
import signal
import sys

import nats
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

STREAM, SUBJECT, DURABLE = "BYHAND", "byhand.messages", "taker"
NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}"
ONE = b'{"batch":1,"expires":5000000000}'


async def prepare(jetstream, **consumer):
    await jetstream.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE))
    config = ConsumerConfig(durable_name=DURABLE, ack_policy=AckPolicy.EXPLICIT, **consumer)
    await jetstream.add_consumer(STREAM, config)


async def next_message(subscription):
    try:
        return (await subscription.fetch(1, timeout=2))[0]
    except nats.errors.TimeoutError:
        return None


async def again(url):
    """A client takes a message, asks for the next, and is gone without an acknowledgement. Another one takes over."""
    client = await nats.connect(url)
    jetstream = client.jetstream()
    await prepare(jetstream, ack_wait=0.3, max_ack_pending=1)
    await jetstream.publish(SUBJECT, b"first")
    gone = await nats.connect(url, allow_reconnect=False)
    inbox = await gone.subscribe("gone.>")
    await gone.publish(NEXT, ONE, reply="gone.1")
    await inbox.next_msg(timeout=5)
    await gone.publish(NEXT, ONE, reply="gone.2")
    await gone.flush()
    await gone.close()
    await asyncio.sleep(1)
    taker = await jetstream.pull_subscribe_bind(DURABLE, STREAM)
    deliveries = 0
    while deliveries < 5 and (message := await next_message(taker)):
        await message.ack_sync(timeout=5)
        deliveries += 1
    await client.close()
    return deliveries


async def publish(url, count):
    client = await nats.connect(url)
    jetstream = client.jetstream()
    await prepare(jetstream, ack_wait=1)
    for number in range(int(count)):
        await jetstream.publish(SUBJECT, str(number).encode())
    await client.close()
    return count


async def stored(url):
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(STREAM)
    await client.close()
    return info.state.messages


async def take(url, count, process):
    client = await nats.connect(url, allow_reconnect=False)
    taker = await client.jetstream().pull_subscribe_bind(DURABLE, STREAM)
    taken = 0
    while taken < int(count):
        for message in await taker.fetch(min(10, int(count) - taken), timeout=5):
            await message.ack_sync(timeout=5)
            taken += 1
    os.kill(int(process), signal.SIGKILL)
    return taken


async def left(url):
    client = await nats.connect(url)
    taker = await client.jetstream().pull_subscribe_bind(DURABLE, STREAM)
    count = 0
    while message := await next_message(taker):
        await message.ack_sync(timeout=5)
        count += 1
    await client.close()
    return count


async def main(command, *arguments):
    print(await {"again": again, "publish": publish, "stored": stored, "take": take, "left": left}[command](*arguments))


asyncio.run(main(*sys.argv[1:]))
