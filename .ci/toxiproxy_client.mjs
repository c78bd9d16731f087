// `avouch proxy --api` against an existing client of Toxiproxy's, toxiproxy-node-client from npm: it must not notice a difference.
//
// Usage: node toxiproxy_client.mjs AVOUCH FOLDER, where FOLDER has node_modules.

import assert from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";

const [program, folder] = process.argv.slice(2);
const { Toxiproxy } = createRequire(path.resolve(folder, "x.js"))("toxiproxy-node-client");

const avouch = spawn(program, ["proxy", "--quiet", "--api", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
const [line] = await once(avouch.stdout, "data");
const client = new Toxiproxy(String(line).match(/http:\S+/)[0]);

const server = net.createServer((stream) => stream.on("error", () => {}).pipe(stream)).listen(0, "127.0.0.1");
await once(server, "listening");
const upstream = `127.0.0.1:${server.address().port}`;

async function trip(proxy) {
    const stream = net.connect({ host: "127.0.0.1", port: Number(proxy.listen.split(":")[1]) });
    const began = Date.now();
    stream.write("hello");
    const [answer] = await once(stream, "data");
    stream.destroy();
    return [String(answer), Date.now() - began];
}

assert.match(await client.getVersion(), /2\./);
const proxy = await client.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream });
assert.equal((await trip(proxy))[0], "hello");
const asked = { name: "slow", type: "latency", stream: "upstream", toxicity: 1, attributes: { latency: 200, jitter: 0 } };
const latency = await proxy.addToxic(asked);
assert.ok((await trip(proxy))[1] >= 190);
const changed = await latency.update({ attributes: { latency: 1 } });
assert.deepEqual(changed.toJson(), { ...asked, attributes: { latency: 1, jitter: 0 } });
assert.deepEqual((await proxy.getToxic("slow")).toJson(), changed.toJson());
await changed.remove();
await assert.rejects(proxy.getToxic("slow"));
assert.equal((await proxy.update({ enabled: false })).enabled, false);
await assert.rejects(trip(proxy));
assert.equal((await proxy.update({ enabled: true })).listen, proxy.listen);
const { other } = await client.populate([{ name: "other", listen: "127.0.0.1:0", upstream }]);
assert.equal((await trip(other))[0], "hello");
assert.deepEqual(Object.keys(await client.getAll()).sort(), ["echo", "other"]);
await client.reset();
await other.remove();
await assert.rejects(client.get("other"));

avouch.kill("SIGTERM");
const [code] = await once(avouch, "exit");
assert.equal(code, 0);
console.log("toxiproxy-node-client: proxies, a toxic added, changed and removed, populate, reset");
process.exit(0);
