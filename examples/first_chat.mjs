// A chat in the terminal: what you type is sent, what anybody sends is shown.
//
//   npm install socket.io-client
//   node first_chat.mjs TOKEN

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [token, url = "http://127.0.0.1:3001"] = process.argv.slice(2);
if (!token) {
  console.error("usage: node first_chat.mjs TOKEN [URL]");
  process.exit(2);
}
const chatId = "chat-uuid"; // the demo chat of `make run`
const socket = io(`${url}/chat`, { auth: { token } });

async function ask(event, payload) {
  const answer = await socket.emitWithAck(event, payload);
  if (!answer.success) console.error(`${event}: ${answer.message}`);
  return answer;
}

// Runs again after every reconnect: joining twice does no harm.
socket.on("connect", async () => {
  const { success, roomInfo } = await ask("join:chat", { chatId });
  if (success) console.log(`Joined ${roomInfo.name}. Type a line, or end with Ctrl-D.`);
});
socket.on("connect_error", (error) => {
  console.error("No connection:", error.message, error.data ?? "");
  if (!socket.active) process.exit(1); // refused, rather than unreachable for now
});
socket.on("message:new", ({ seq, user, content }) => console.log(`${seq} ${user.username}: ${content}`));

await new Promise((connected) => socket.once("connect", connected));
for await (const content of createInterface({ input: process.stdin })) {
  const message = { chatId, content, clientMessageId: randomUUID() };
  // Without an answer it is sent once more, and arrives once.
  while (!(await ask("message:send", message).catch(() => false)));
}
socket.disconnect();
