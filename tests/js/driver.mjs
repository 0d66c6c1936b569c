// Many npm Socket.IO clients in one process, driven by JSON lines: commands on stdin, events and replies on stdout.
//
// Commands: {op: "open", client, url, options}, {op: "call", client, reply, event, args},
// {op: "emit", client, event, args}, {op: "cut", client} (the transport goes, the client comes back by itself),
// {op: "reopen", client, auth?}, {op: "ask", client, reply} (state), {op: "close", client}.
// Told: {client, name, args} for every event; `$connect`, `$upgrade`, `$disconnect` and `$connect_error` are the
// client's own. {reply, args} answers a call or an ask, {reply, error} when it cannot be answered.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function open({ client, url, options }) {
  const socket = io(url, { forceNew: true, ...options });
  sockets.set(client, socket);
  const event = (name, ...args) => tell({ client, name, args });
  const engine = () => socket.io.engine.transport.name;
  const watchUpgrade = () => {
    socket.io.engine.once("upgrade", (transport) => event("$upgrade", transport.name));
  };
  if (socket.io.engine) watchUpgrade(); // the first engine exists already
  socket.io.on("reconnect_attempt", () => setImmediate(watchUpgrade));
  socket.onAny(event);
  socket.on("connect", () => {
    event("$connect", { id: socket.id, recovered: socket.recovered === true, transport: engine() });
  });
  socket.on("disconnect", (reason) => event("$disconnect", reason));
  socket.on("connect_error", (error) => {
    const status = typeof error.description === "number" ? error.description : null;
    event("$connect_error", { message: error.message, data: error.data ?? null, type: error.type ?? null, status });
  });
}

const commands = {
  open,
  call({ client, reply, event, args }) {
    sockets.get(client).emit(event, ...args, (...answer) => tell({ reply, args: answer }));
  },
  emit({ client, event, args }) {
    sockets.get(client).emit(event, ...args);
  },
  cut({ client }) {
    sockets.get(client).io.engine.close();
  },
  reopen({ client, auth }) {
    const socket = sockets.get(client);
    if (auth) socket.auth = auth;
    socket.connect();
  },
  ask({ client, reply }) {
    const { connected, id, recovered, io: manager } = sockets.get(client);
    tell({ reply, args: [{ connected, id, recovered: recovered === true, transport: manager.engine.transport.name }] });
  },
  close({ client }) {
    sockets.get(client)?.disconnect();
    sockets.delete(client);
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    try {
      commands[command.op](command);
    } catch (error) {
      if (command.reply === undefined) throw error;
      tell({ reply: command.reply, error: String(error) });
    }
  })
  .on("close", () => process.exit(0));
