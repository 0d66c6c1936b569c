// Node's Socket.IO as the peer: joins, broadcasts, acknowledges. In memory, with no check of anything: the least
// honest amount of the work that hubbub does. Prints its address when it can be connected to.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const server = createServer();
const io = new Server(server, { serveClient: false });
const chat = io.of("/chat");
const lastSeq = new Map();

chat.on("connection", (socket) => {
  const { userId, username } = socket.handshake.auth;

  socket.on("join:chat", ({ chatId }, ack) => {
    socket.join(chatId);
    ack({ success: true, message: "Joined chat successfully" });
  });

  socket.on("message:send", ({ chatId, content, type, clientMessageId }, ack) => {
    const seq = (lastSeq.get(chatId) ?? 0) + 1;
    lastSeq.set(chatId, seq);
    const message = {
      id: randomUUID(),
      content,
      type,
      chatId,
      userId,
      createdAt: new Date().toISOString(),
      user: { id: userId, username },
      seq,
      clientMessageId,
    };
    chat.to(chatId).emit("message:new", message);
    ack({ success: true, message: "Message sent successfully", sentMessage: message });
  });
});

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
