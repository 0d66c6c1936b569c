"""`stage_server.py FAULT`: the floor server with typing, receipts, presence and recovery, and one fault of
those, or `none`.
"""

import contextlib
import json
import sys

from benchmarks.floor.server import Client, FloorServer, Room
from benchmarks.load.wire import frame

FAULT = sys.argv[1]
EVENT_AT = 3
"""The event of its kind, to one client, that goes wrong."""


class StageServer(FloorServer):
    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self.present: list[Client] = []
        self.homes: dict[str, Room] = {}
        self.logs: dict[int, list[bytes]] = {}
        self.told: dict[tuple[str, str], int] = {}
        self.answers = 0

    def deliver(self, room: Room, message: bytes) -> None:
        for client in room.members:
            with contextlib.suppress(ConnectionError):  # of one that is gone, as will be seen
                client.sock.send(message)

    def connect(self, client: Client, auth: dict[str, str]) -> None:
        name = auth["userId"]
        self.names[id(client)] = name
        if FAULT == "mute" and name == "user-2":
            return
        pid = "another" if FAULT == "unrecovered" and "pid" in auth else name
        welcome = frame(b'40/chat,{"sid":"s","pid":"%b"}' % pid.encode())
        client.sock.send(welcome * (2 if FAULT == "welcome_twice" and name == "user-2" else 1))
        for other in self.present:
            self.tell(other, "user:online", {"userId": name})
        self.present.append(client)
        if "pid" in auth:
            client.room = room = self.homes[auth["pid"]]
            room.members.append(client)
            client.sock.send(b"".join(self.missed(name, self.logs[id(room)][int(auth["offset"]) :])))

    def missed(self, name: str, messages: list[bytes]) -> list[bytes]:
        if name != "user-2":
            return messages
        first, *others = messages
        faults = {
            "lose_missed": others,
            "repeat_missed": [first, *messages],
            "swap_missed": [others[0], first, *others[1:]],
        }
        return faults.get(FAULT, messages)

    def request(self, client: Client, number: bytes, event: str, request: dict[str, str]) -> None:
        room = self.rooms.setdefault(request["chatId"], Room())
        answer: dict[str, object] = {"success": True}
        if event == "join:chat":
            client.room = room
            room.members.append(client)
            self.homes[self.names[id(client)]] = room
        elif event == "message:send":
            room.seq += 1
            body = {
                "id": f"{id(room)}-{room.seq}",
                "seq": room.seq,
                "clientMessageId": request["clientMessageId"],
            }
            text = json.dumps(["message:new", body, str(room.seq)], separators=(",", ":"))
            self.logs.setdefault(id(room), []).append(frame(b"42/chat," + text.encode()))
            answer["sentMessage"] = body
            self.deliver(room, self.logs[id(room)][-1])
        else:
            told = "user:typing" if event == "message:typing" else event
            for member in room.members:
                if member is not client or told == event:
                    self.tell(member, told, {})
        self.answer(client, number, answer, event)

    def answer(self, client: Client, number: bytes, answer: dict[str, object], event: str) -> None:
        self.answers += event == "message:typing"
        if FAULT == "unanswered" and event == "message:typing" and self.answers == EVENT_AT:
            return
        if FAULT == "refuse" and event == "message:typing" and self.answers == EVENT_AT:
            answer = {"success": False}
        text = json.dumps([answer], separators=(",", ":")).encode()
        client.sock.send(frame(b"43/chat,%b%b" % (number, text)))

    def tell(self, client: Client, event: str, body: dict[str, str]) -> None:
        key = (self.names[id(client)], event)
        self.told[key] = self.told.get(key, 0) + 1
        text = json.dumps([event, body], separators=(",", ":"))
        packet = frame(b"42/chat," + text.encode())
        wrong = key[0] == "user-0" and self.told[key] == EVENT_AT
        kind = FAULT.partition("_")[2]
        times = {"lose": 0, "repeat": 2}.get(FAULT.partition("_")[0], 1) if wrong and kind in event else 1
        with contextlib.suppress(ConnectionError):
            client.sock.send(packet * times)

    def gone(self, client: Client) -> None:
        super().gone(client)
        if client in self.present:
            self.present.remove(client)
            for other in self.present:
                self.tell(other, "user:offline", {"userId": self.names[id(client)]})


if __name__ == "__main__":
    StageServer().run()
