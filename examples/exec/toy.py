"""A whole example without anything to install: `toy.py serve PORT` is a chat server in memory, `toy.py` a client program of it for
avouch (docs/exec.md). Between them: lines of JSON. The server numbers messages, keeps them, and hands them over from where a device was."""
import json, socket, socketserver, sys, threading

class Server(socketserver.StreamRequestHandler):
    logs, cursors, numbers, connected, lock = {}, {}, {}, {}, threading.RLock()

    def tell(self, message):
        try: self.request.sendall(json.dumps(message).encode() + b"\n")
        except OSError: pass

    def handle(self):
        device = None
        for line in self.rfile:
            message = json.loads(line)
            with self.lock:
                if "hello" in message:
                    device, rooms = message["hello"], message["rooms"]
                    self.tell({"welcome": any(name == device for name, _ in self.cursors)})
                    self.connected[device] = (self, rooms)
                    for room in rooms:
                        self.cursors.setdefault((device, room), 0)
                        for seq, text in enumerate(self.logs.get(room, []), 1):
                            if seq > self.cursors[device, room]: self.tell({"room": room, "seq": seq, "text": text})
                elif "got" in message:
                    self.cursors[device, message["room"]] = message["got"]
                else:
                    key, room = (device, message["number"]), message["room"]
                    if key not in self.numbers:
                        self.logs.setdefault(room, []).append(message["text"])
                        self.numbers[key] = len(self.logs[room])
                        news = {"room": room, "seq": self.numbers[key], "text": message["text"]}
                        [other.tell(news) for name, (other, rooms) in self.connected.items() if name != device and room in rooms]
                    self.tell({"ok": message["number"], "seq": self.numbers[key]})

speaking = threading.Lock()                     # two threads speak, and a line is a line

def say(kind, to=None, **fields):
    with speaking: print(json.dumps({"type": kind, **fields, **({"in_reply_to": to} if to else {})}), flush=True)

class Client:
    line, unanswered, seen, lock = None, {}, {}, threading.Lock()

    def write(self, message):
        try: self.line and self.line.sendall(json.dumps(message).encode() + b"\n")
        except OSError: pass                    # the reading thread will notice

    def connect(self, number):
        try: self.line = socket.create_connection((self.host, self.port), timeout=5)
        except OSError as error: return say("error", number, code=11, text=str(error))
        self.line.settimeout(None)
        self.write({"hello": self.device, "rooms": self.rooms})
        threading.Thread(target=self.read, args=(self.line, number), daemon=True).start()

    def read(self, line, number):
        try:
            for text in line.makefile("rb"): self.heard(json.loads(text), number)
        except (OSError, ValueError): pass
        say("disconnected")

    def heard(self, message, number):
        with self.lock:
            if "welcome" in message:
                say("session", number, resumed=message["welcome"])
                for again, send in self.unanswered.items(): say("retry", again), self.write(send)
            elif "ok" in message:
                if self.unanswered.pop(message["ok"], None): say("ack", message["ok"], rung=2, seq=message["seq"])
            else:
                room, seq = message["room"], message["seq"]
                self.write({"got": seq, "room": room})
                if seq > self.seen.get(room, 0):
                    self.seen[room] = seq
                    say("delivered", conversation=room, seq=seq, payload=message["text"])   # base64 is text enough for this server

    def run(self):
        for line in sys.stdin:
            asked = json.loads(line)
            kind, number = asked["type"], asked["id"]
            if kind == "init":
                self.host, self.port, self.device = asked["host"], asked["port"], f"{asked['device']}-{asked['installation']}"
                self.rooms = [it["name"] for it in asked["conversations"] if it["member"]]
                say("init_ok", number, version=1)
            elif kind == "connect": self.connect(number)
            elif kind == "disconnect":
                try: self.line and self.line.shutdown(socket.SHUT_RDWR)
                except OSError: pass            # it was gone already
                say("disconnected", number)
            elif kind == "ping": say("pong", number)
            elif kind == "send":
                with self.lock:
                    self.unanswered[number] = {"number": number, "room": asked["conversation"], "text": asked["payload"]}
                    self.write(self.unanswered[number])

if sys.argv[1:2] == ["serve"]:
    socketserver.ThreadingTCPServer.daemon_threads = socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[2])), Server).serve_forever()
else:
    Client().run()
