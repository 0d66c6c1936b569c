// Drives a playground server (tests/socketio/test_npm_client.py) with the npm client and prints what came of it.
//
// node socketio_client.mjs URL '["polling","websocket"]'

import { io } from "socket.io-client";

const [url, transports] = [process.argv[2], JSON.parse(process.argv[3])];
const seen = {};

const once = (target, name) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${name} in time`)), 5000);
    target.once(name, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
const open = (namespace, auth) => io(url + namespace, { transports, auth, forceNew: true, reconnectionDelay: 10 });
const ask = (socket, event, ...args) =>
  new Promise((resolve, reject) => {
    socket.timeout(5000).emit(event, ...args, (error, ...answer) => (error ? reject(error) : resolve(answer)));
  });
const plain = (value) =>
  value instanceof Uint8Array || value instanceof ArrayBuffer ? { bytes: [...new Uint8Array(value)] } : value;

const refused = open("/play", { token: "bad" });
const [error] = await once(refused, "connect_error");
seen.refused = [error.message, error.data];
const [unknown] = await once(open("/nowhere", {}), "connect_error");
seen.unknown = unknown.message;

const socket = open("/play", { token: "good" });
const upgraded = transports.length > 1 && once(socket.io.engine, "upgrade");
const [welcome] = await once(socket, "welcome");
seen.welcome = welcome === socket.id;
seen.echo = await ask(socket, "echo", "text", 1.5, { deep: [null, true] }, "\u2028é😀");
seen.binary = (await ask(socket, "echo", Buffer.from([1, 2]), { file: new Uint8Array(3) })).map((value) =>
  plain(value.file ?? value),
);
socket.on("question", (text, file, ack) => ack(text + "!", Buffer.from([...new Uint8Array(file), 9])));
seen.asked = (await ask(socket, "ask", "why", Buffer.from([8]))).map(plain);

const burst = Array.from({ length: 200 }, (_, number) => ask(socket, "echo", number));
seen.burst = (await Promise.all(burst)).every(([number], index) => number === index);
if (upgraded) await upgraded;
seen.transport = socket.io.engine.transport.name;

const back = [];
socket.on("back", (number) => back.push(number));
for (let number = 0; number < 50; number++) socket.emit("back", number);
await ask(socket, "echo");
seen.order = back.every((number, index) => number === index) && back.length === 50;

const neighbour = open("/play", { token: "good" });
await once(neighbour, "welcome");
await ask(neighbour, "join", "room");
socket.emit("shout", "room", { n: 1 }, Buffer.from([7]));
seen.shouted = (await once(neighbour, "shouted")).map(plain);
neighbour.disconnect();

// Connection state recovery: the connection breaks, the client comes back by itself with its pid and offset.
const { id } = socket;
const missed = [];
socket.on("news", (body) => missed.push(body.n));
await ask(socket, "publish", 1);
socket.io.engine.close();
await once(socket, "connect");
await ask(socket, "publish", 4);
seen.recovered = [socket.recovered, socket.id === id, missed];

socket.emit("kick");
seen.kicked = (await once(socket, "disconnect"))[0];
console.log(JSON.stringify(seen));
process.exit(0);
