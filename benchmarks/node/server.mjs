// Node's Socket.IO as the peer: joins, broadcasts, acknowledges. In memory, with no check of anything: the least
// honest amount of the work that hubbub does. Prints its address when it can be connected to. With BENCHMARK_VALKEY,
// the path of a socket, it is one of several nodes, which share their numbers and broadcasts.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const server = createServer();
const presence = "BENCHMARK_PRESENCE" in process.env;
const recovery = "BENCHMARK_RECOVERY" in process.env;
const io = new Server(server, { serveClient: false, ...(recovery && { connectionStateRecovery: {} }) });
const path = process.env.BENCHMARK_VALKEY;
const valkey = path && (await createClient({ socket: { path } }).connect());
if (valkey) io.adapter(createAdapter(valkey, await valkey.duplicate().connect()));
const chat = io.of("/chat");
const lastSeq = new Map();

function nextSeq(chatId) {
  const seq = (lastSeq.get(chatId) ?? 0) + 1;
  lastSeq.set(chatId, seq);
  return seq;
}

chat.on("connection", (socket) => {
  const { userId, username } = socket.handshake.auth;
  const now = () => new Date().toISOString();

  if (presence) {
    const tell = (event, status) =>
      socket.broadcast.emit(event, { userId, username, status, lastSeen: now(), timestamp: now() });
    tell("user:online", "online");
    socket.on("disconnect", () => tell("user:offline", "offline"));
  }

  socket.on("join:chat", ({ chatId }, ack) => {
    socket.join(chatId);
    ack({ success: true, message: "Joined chat successfully" });
  });

  socket.on("message:send", async ({ chatId, content, type, clientMessageId }, ack) => {
    const seq = valkey ? await valkey.incr(`seq:${chatId}`) : nextSeq(chatId);
    const message = {
      id: randomUUID(),
      content,
      type,
      chatId,
      userId,
      createdAt: now(),
      user: { id: userId, username },
      seq,
      clientMessageId,
    };
    chat.to(chatId).emit("message:new", message);
    ack({ success: true, message: "Message sent successfully", sentMessage: message });
  });

  socket.on("message:typing", ({ chatId, isTyping }, ack) => {
    socket.to(chatId).emit("user:typing", { userId, username, chatId, isTyping, timestamp: now() });
    ack({ success: true, message: "Typing status updated" });
  });

  socket.on("message:read", ({ chatId, messageId }, ack) => {
    const told = { messageId, chatId, userId, deliveredCount: 1, readCount: 1, timestamp: now() };
    chat.to(chatId).emit("message:read", told);
    ack({ success: true, message: "Message marked as read" });
  });
});

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
