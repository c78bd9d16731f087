"""A client program for avouch (docs/exec.md): MQTT with paho-mqtt, QoS 1, a persistent session. Needs: pip install paho-mqtt"""
import base64, json, os, sys, threading
import paho.mqtt.client as mqtt

lock, speaking, sent, early, topics, flags = threading.Lock(), threading.Lock(), {}, set(), [], {}   # paho has a thread of its own

def say(kind, to=None, **fields):
    with speaking: print(json.dumps({"type": kind, **fields, **({"in_reply_to": to} if to else {})}), flush=True)

def on_connect(client, _, connect_flags, reason, __):
    flags["resumed"] = connect_flags.session_present
    if reason.is_failure: say("log", text=str(reason))
    elif topics: client.subscribe([(topic, 1) for topic in topics])
    else: say("session", resumed=flags["resumed"])

def on_publish(client, _, packet, *__):   # paho holds a lock of its own here, and in publish: ours is never held around that
    with lock:
        if packet in sent: say("ack", sent.pop(packet), rung=2)
        else: early.add(packet)

def on_message(client, _, message):
    say("delivered", conversation=message.topic, payload=base64.b64encode(message.payload).decode(), redelivered=message.dup)

for line in sys.stdin:
    asked = json.loads(line)
    kind, number = asked["type"], asked["id"]
    if kind == "init":
        topics += [it["name"] for it in asked["conversations"] if it["member"]]
        name = f"{asked['run']}-{asked['device']}-{asked['installation']}-{os.getpid()}"
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, clean_session=False)
        client.reconnect_delay_set(1, 1)
        client.on_connect, client.on_publish, client.on_message = on_connect, on_publish, on_message
        client.on_subscribe = lambda *_: say("session", resumed=flags["resumed"])
        client.on_disconnect = lambda *why: say("disconnected", why=str(why[3]))
        where = asked["host"], asked["port"], 2
        say("init_ok", number, version=1, reconnects=True)
    elif kind == "connect": client.connect_async(*where), client.loop_start()
    elif kind == "disconnect": client.disconnect(), client.loop_stop(), say("disconnected", number)
    elif kind == "ping": say("pong", number)
    elif kind == "send":
        packet = client.publish(asked["conversation"], base64.b64decode(asked["payload"]), 1).mid
        with lock:
            if packet in early: early.remove(packet), say("ack", number, rung=2)
            else: sent[packet] = number
