"""A chat in the terminal: what you type is sent, what anybody sends is shown.

pip install "python-socketio[asyncio-client]"
python first_chat.py TOKEN
"""

import asyncio
import sys
import uuid

import socketio

if len(sys.argv) < 2:
    sys.exit("usage: python first_chat.py TOKEN [URL]")
TOKEN = sys.argv[1]
CHAT_ID = "chat-uuid"  # the demo chat of `make run`
URL = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:3001"
client = socketio.AsyncClient()


async def ask(event, payload):
    answer = await client.call(event, payload, namespace="/chat")
    if not answer["success"]:
        print(f"{event}: {answer['message']}", file=sys.stderr)
    return answer


@client.on("connect", namespace="/chat")
async def connected():  # runs again after every reconnect: joining twice does no harm
    answer = await ask("join:chat", {"chatId": CHAT_ID})
    if answer["success"]:
        print(f"Joined {answer['roomInfo']['name']}. Type a line, or end with Ctrl-D.")


@client.on("connect_error", namespace="/chat")
async def refused(error):
    print("No connection:", error, file=sys.stderr)


@client.on("message:new", namespace="/chat")
async def arrived(message):
    print(f"{message['seq']} {message['user']['username']}: {message['content']}")


async def main():
    try:
        await client.connect(URL, auth={"token": TOKEN}, namespaces=["/chat"])
    except socketio.exceptions.ConnectionError:
        sys.exit(1)
    while line := await asyncio.to_thread(sys.stdin.readline):
        payload = {"chatId": CHAT_ID, "content": line.strip(), "clientMessageId": str(uuid.uuid4())}
        while True:
            try:
                await ask("message:send", payload)
                break
            except socketio.exceptions.SocketIOError:  # no connection: once more, and it arrives once
                await asyncio.sleep(1)
    await client.disconnect()


asyncio.run(main())
