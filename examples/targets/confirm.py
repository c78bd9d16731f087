"""Confirms what `avouch audit` says of an MQTT broker by a client of another make (paho-mqtt 2), and says in one line what it saw.

    confirm.py CHECK PORT COMMAND...        the broker is started, on that port, and started again where the check needs it

What each check does stands in its function. Exit code 0: what the name says was seen; 1: it was not; anything else: no answer."""
import os, signal, socket, subprocess, sys, threading, time
import paho.mqtt.client as mqtt

check, port, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
broker = None

def start():
    global broker
    broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try: return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError: time.sleep(0.05)
    sys.exit("the broker does not listen")

def restart():
    broker.send_signal(signal.SIGTERM)
    broker.wait(20)
    start()

class Client:
    """A session of a name; what it received, as (text, DUP) in order."""
    def __init__(self, name, qos, clean=False, v5=False, manual_ack=False, expiry=3600):
        self.got, self.present, self.connections, up = [], None, 0, threading.Event()
        version = mqtt.MQTTv5 if v5 else mqtt.MQTTv311
        arguments = {} if v5 else {"clean_session": clean}
        self.paho = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, manual_ack=manual_ack, **arguments)
        self.qos = qos
        self.paho.on_message = lambda _c, _u, message: self.got.append((message.payload.decode(), message.dup))
        def connected(_client, _user, flags, reason, _properties):
            if reason.is_failure: sys.exit(f"refused: {reason}")
            self.present = flags.session_present
            self.connections += 1
            up.set()
        self.paho.on_connect = connected
        options = {}
        if v5:
            properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            options = {"clean_start": clean, "properties": properties}
        self.paho.connect("127.0.0.1", port, **options)
        self.paho.loop_start()
        if not up.wait(10): sys.exit("no session")

    def subscribe(self):
        done = threading.Event()
        self.paho.on_subscribe = lambda *_: done.set()
        self.paho.subscribe("t", self.qos)
        if not done.wait(10): sys.exit("no SUBACK")
        return self

    def publish(self, first, count):
        infos = [self.paho.publish("t", f"m{first + number}", self.qos) for number in range(count)]
        for info in infos: info.wait_for_publish(20)

    def vanish(self):
        """Without a DISCONNECT: the connection is just gone."""
        self.paho.on_disconnect = None
        self.paho.loop_stop()
        self.paho.socket().shutdown(socket.SHUT_RDWR)

    def leave(self):
        self.paho.disconnect()
        self.paho.loop_stop()

class Packets:
    """MQTT 3.1.1 packet by packet, for what no client library can be asked to do: to leave a handshake half done."""
    def __init__(self, name):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.send(0x10, b"\x00\x04MQTT\x04\x00\x00\x3c" + self.text(name))
        kind, body = self.next()
        if kind != 0x20 or body[1] != 0: sys.exit("no session")
        self.present = bool(body[0])

    @staticmethod
    def text(text): return len(text).to_bytes(2, "big") + text.encode()

    def send(self, kind, body): self.socket.sendall(bytes([kind, len(body)]) + body)

    def publish(self, id, text, again=False):
        self.send(0x3c if again else 0x34, self.text("t") + id.to_bytes(2, "big") + text.encode())

    def next(self, within=2):
        """The next packet, (kind, body); (None, b"") if none comes, or the connection ends."""
        self.socket.settimeout(within)
        try:
            head = self.socket.recv(2, socket.MSG_WAITALL)
            if len(head) < 2: return None, b""
            return head[0], self.socket.recv(head[1], socket.MSG_WAITALL) if head[1] else b""
        except OSError: return None, b""

def texts(client): return [text for text, _ in client.got]

def qos2_twice():
    """QoS 2, nothing goes wrong: does a later session get a message again that an earlier one had?"""
    reader, writer = Client("reader", 2).subscribe(), Client("writer", 2)
    writer.publish(0, 300)
    time.sleep(2)
    reader.leave()
    again = Client("reader", 2)
    time.sleep(3)
    twice = set(texts(reader)) & set(texts(again))
    return bool(twice), f"{len(texts(reader))} messages received, {len(twice)} of them again in the next session"

def backlog_order():
    """QoS 1: is what was sent while a reader was away delivered behind what is sent after its return?"""
    Client("reader", 1).subscribe().leave()
    writer = Client("writer", 1)
    writer.publish(0, 300)
    going = threading.Thread(target=lambda: [writer.publish(300 + 10 * step, 10) for step in range(60)])
    going.start()
    reader = Client("reader", 1)
    going.join()
    time.sleep(3)
    numbers = [int(text[1:]) for text in dict.fromkeys(texts(reader))]
    behind = sum(1 for one, next in zip(numbers, numbers[1:]) if next < one)
    return behind > 0, f"{len(numbers)} distinct messages, {behind} times one came behind a later one"

def no_dup_flag():
    """QoS 1, received and not acknowledged, connection gone: is it sent again without the DUP flag?"""
    reader, writer = Client("reader", 1, manual_ack=True).subscribe(), Client("writer", 1)
    writer.publish(0, 10)
    time.sleep(1)
    reader.vanish()
    time.sleep(1)
    again = Client("reader", 1)
    time.sleep(3)
    before = set(texts(reader))
    bare = [text for text, dup in again.got if text in before and not dup]
    return bool(bare), f"{len(before)} received before, {len(again.got)} again, {len(bare)} of these without DUP"

def qos2_twice_after_restart():
    """QoS 2, the broker is stopped gracefully while a reader takes its backlog: is a message delivered twice to the application?"""
    Client("reader", 2).subscribe().leave()
    writer = Client("writer", 2)
    for batch in range(3): writer.publish(200 * batch, 200)
    writer.leave()
    reader = Client("reader", 2)
    keep = reader.paho.on_message
    reader.paho.on_message = lambda *arguments: (keep(*arguments), time.sleep(0.002))
    reader.paho.reconnect_delay_set(1, 1)
    for _ in range(12):
        time.sleep(0.08)
        connections = reader.connections
        restart()
        for _ in range(100):
            if reader.connections > connections: break
            time.sleep(0.05)
    time.sleep(3)
    all = texts(reader)
    return len(all) > len(set(all)), f"{len(set(all))} of 600 messages, {len(all) - len(set(all))} deliveries too many"

def clean_start_forgotten():
    """MQTT 5.0: is a session that began with Clean Start and an expiry of an hour gone after a graceful restart?"""
    Client("reader", 2, clean=True, v5=True).subscribe().leave()
    writer = Client("writer", 2, v5=True)
    writer.publish(0, 10)
    writer.leave()
    restart()
    again = Client("reader", 2, v5=True)
    time.sleep(2)
    return not again.present, f"session present: {again.present}, {len(again.got)} of 10 messages received"

def clean_start_away():
    """MQTT 5.0: are messages lost for a reader that is away, whose session began with Clean Start and an expiry of an hour?"""
    Client("reader", 1, clean=True, v5=True).subscribe().leave()
    Client("writer", 1, v5=True).publish(0, 10)
    again = Client("reader", 1, v5=True)
    time.sleep(2)
    return len(again.got) < 10, f"session present: {again.present}, {len(again.got)} of 10 messages received"

def qos2_publish_again():
    """QoS 2, the connection ends after PUBLISH, which is sent again with DUP: does a reader get the message twice?"""
    reader = Client("reader", 2).subscribe()
    writer = Packets("writer")
    writer.publish(7, "m0")
    first, _ = writer.next()
    writer.socket.close()
    time.sleep(0.5)
    writer = Packets("writer")
    writer.publish(7, "m0", again=True)
    answer, _ = writer.next()
    writer.send(0x62, b"\x00\x07")
    last, _ = writer.next()
    time.sleep(1)
    names = {0x50: "PUBREC", 0x70: "PUBCOMP", None: "nothing, or the end"}
    said = [names.get(kind, hex(kind or 0)) for kind in (first, answer, last)]
    return len(reader.got) > 1, f"answered by {', '.join(said)}; received {len(reader.got)} times"

def qos2_release_refused():
    """QoS 2, a writer's connection ends when it has sent PUBREL, which it sends again in the next: is that left without a PUBCOMP?"""
    writer = Packets("writer")
    writer.publish(7, "m0")
    writer.next()
    writer.send(0x62, b"\x00\x07")
    writer.socket.close()
    time.sleep(0.5)
    writer = Packets("writer")
    writer.send(0x62, b"\x00\x07")
    kind, _ = writer.next()
    try: is_over = kind is None and writer.socket.recv(1) == b""
    except OSError as error: is_over = not isinstance(error, TimeoutError)
    return kind != 0x70, f"session present: {writer.present}; PUBCOMP: {kind == 0x70}; the server ended the connection: {is_over}"

def qos2_other_id():
    """QoS 2, a reader's connection ends before it has sent PUBREC: is the message sent again under another packet identifier?"""
    reader = Packets("reader")
    reader.send(0x82, b"\x00\x01" + Packets.text("t") + b"\x02")
    reader.next()
    Client("writer", 2).publish(0, 5)
    before = [reader.next()[1] for _ in range(5)]
    for body in before[:2]:
        reader.send(0x50, body[3:5])
        reader.next()
        reader.send(0x70, body[3:5])
    reader.socket.close()
    time.sleep(1)
    reader, after = Packets("reader"), []
    while (packet := reader.next())[0] is not None: after.append(packet[1])
    ids = lambda bodies: {body[5:].decode(): int.from_bytes(body[3:5], "big") for body in bodies if len(body) > 5}
    first, second = ids(before), ids(after)
    other = [text for text in second if first.get(text) != second[text]]
    return bool(other), f"session present: {reader.present}; ids {first}, two of them released; then {second}"

def qos2_release_forgotten():
    """QoS 2, a reader's connection ends when it has sent PUBREC: is its PUBREL never sent again?"""
    reader = Packets("reader")
    reader.send(0x82, b"\x00\x01" + Packets.text("t") + b"\x02")
    reader.next()
    writer = Client("writer", 2)
    writer.publish(0, 1)
    kind, body = reader.next()
    if kind is None or kind & 0xf0 != 0x30: sys.exit("no PUBLISH")
    id = body[3:5]
    reader.send(0x50, id)
    reader.socket.close()
    time.sleep(1)
    reader = Packets("reader")
    seen = []
    while (packet := reader.next())[0] is not None: seen.append(packet)
    writer.publish(1, 1)
    later = reader.next()
    released = any(kind & 0xf0 == 0x60 and body == id for kind, body in seen)
    reused = later[0] is not None and later[0] & 0xf0 == 0x30 and later[1][3:5] == id
    words = f"session present: {reader.present}, PUBREL sent again: {released}, the id given to the next message: {reused}"
    return not released, words

def away_forgotten():
    """QoS 1, nothing goes wrong with the broker: are messages for a reader that is away never delivered?"""
    Client("reader", 1).subscribe().leave()
    Client("writer", 1).publish(0, 10)
    again = Client("reader", 1)
    time.sleep(3)
    return len(again.got) < 10, f"session present: {again.present}, {len(again.got)} of 10 messages received"

def wiped_present():
    """Is a session called present though its client ended a clean one just before?"""
    Client("reader", 1, clean=True).leave()
    again = Client("reader", 1)
    return again.present, f"session present: {again.present}"

def restart_forgets():
    """QoS 1: are messages for a reader that is away gone after a graceful restart?"""
    Client("reader", 1).subscribe().leave()
    writer = Client("writer", 1)
    writer.publish(0, 10)
    writer.leave()
    restart()
    again = Client("reader", 1)
    time.sleep(2)
    return len(again.got) < 10, f"session present: {again.present}, {len(again.got)} of 10 messages received"

checks = {name.replace("_", "-"): check for name, check in globals().items() if callable(check) and check.__doc__ and "?" in check.__doc__}
start()
try: seen, words = checks[check]()
finally:
    broker.kill()
    broker.wait()
print(f"{check}: {'seen' if seen else 'not seen'}: {words}", flush=True)
os._exit(0 if seen else 1)      # threads of paho may still try to connect
