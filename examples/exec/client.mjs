// A client program for avouch (docs/exec.md): MQTT with the npm package `mqtt`, QoS 1, a persistent session. Needs: npm install mqtt
import mqtt from "mqtt";
import readline from "node:readline";

let client, topics;
// Without stores of its own, `end` and `reconnect` of MQTT.js forget what was sent and not answered, and it is never sent again.
const stores = { incomingStore: new mqtt.Store({ clean: false }), outgoingStore: new mqtt.Store({ clean: false }) };
const say = (type, to, fields) => console.log(JSON.stringify({ type, in_reply_to: to, ...fields }));

const init = (asked) => {
  topics = asked.conversations.filter((it) => it.member).map((it) => it.name);
  const clientId = `${asked.run}-${asked.device}-${asked.installation}-${process.pid}`;
  const options = { clientId, clean: false, keepalive: 2, reconnectPeriod: 300, resubscribe: false, manualConnect: true, ...stores };
  client = mqtt.connect(`mqtt://${asked.address}`, options);
  client.on("connect", (connack) => {
    const session = (error) => error || say("session", undefined, { resumed: connack.sessionPresent });
    topics.length ? client.subscribe(topics, { qos: 1 }, session) : session();
  });
  client.on("message", (conversation, payload, packet) =>
    say("delivered", undefined, { conversation, payload: payload.toString("base64"), redelivered: packet.dup }));
  client.on("close", () => say("disconnected"));
  client.on("error", (error) => say("log", undefined, { text: String(error) }));
  say("init_ok", asked.id, { version: 1, reconnects: true });
};

const send = ({ id, conversation, payload }) =>
  client.publish(conversation, Buffer.from(payload, "base64"), { qos: 1 }, (error) =>
    error ? say("error", id, { code: 0, text: error.message }) : say("ack", id, { rung: 2 }));

let isStarted = false;
const connect = () => (isStarted ? client.reconnect(stores) : client.connect(), (isStarted = true));
const disconnect = ({ id }) => client.end(true, {}, () => say("disconnected", id));
const ping = ({ id }) => say("pong", id);
const answers = { init, connect, disconnect, send, ping };
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  answers[asked.type]?.(asked);
}).on("close", () => process.exit());
