// The npm engine.io-client against an echoing server: node stock_client.mjs PACKAGES PORT TRANSPORTS COUNT
// Sends COUNT messages in one burst, as many again after the upgrade, and prints the echoes as JSON.
import { createRequire } from "node:module";

const [packages, port, transports, count] = process.argv.slice(2);
const { Socket } = createRequire(`${packages}/`)("engine.io-client");

const options = { path: "/engine.io/" };
if (transports !== "default") {
  options.transports = transports.split(",");
}
const socket = new Socket(`http://127.0.0.1:${port}`, options);
socket.binaryType = "arraybuffer";

const echoes = [];
const burst = (name) => {
  for (let number = 0; number < Number(count); number++) {
    socket.send(`${name}${number}`);
  }
  socket.send(new Uint8Array([1, 2, 3]).buffer);
};
const expected = 2 * (Number(count) + 1);
const goOn = () => burst("b");

socket.on("open", () => {
  burst("a");
  if (transports !== "default") {
    goOn();
  }
});
socket.on("upgrade", goOn);
socket.on("message", (data) => {
  echoes.push(typeof data === "string" ? data : Array.from(new Uint8Array(data)).join(","));
  if (echoes.length === expected) {
    console.log(JSON.stringify({ transport: socket.transport.name, echoes }));
    socket.close();
  }
});
socket.on("close", (reason, details) => {
  if (echoes.length !== expected) {
    console.error(`closed: ${reason} ${details}, after ${echoes.length} echoes`);
    process.exit(1);
  }
});
