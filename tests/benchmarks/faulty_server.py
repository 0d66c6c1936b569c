"""`faulty_server.py FAULT`: the floor server with one fault, to the third of the first room at message 5."""

import random
import socket
import sys
import time

from benchmarks.floor.server import FloorServer, Room

AT = 5
VICTIM = 2


class FaultyServer(FloorServer):
    def deliver(self, room: Room, message: bytes) -> None:
        first = next(iter(self.rooms.values()))
        if room is not first or len(room.members) <= VICTIM or room.seq not in {AT, AT + 1}:
            return super().deliver(room, message)
        getattr(self, sys.argv[1])(room, message)
        return None

    def lose(self, room: Room, message: bytes) -> None:
        self.deliver_to_others(room, message)
        if room.seq != AT:
            room.members[VICTIM].sock.send(message)

    def repeat(self, room: Room, message: bytes) -> None:
        super().deliver(room, message)
        if room.seq == AT:
            room.members[VICTIM].sock.send(message)

    def swap(self, room: Room, message: bytes) -> None:
        self.deliver_to_others(room, message)
        if room.seq == AT:
            self.held = message
        else:
            room.members[VICTIM].sock.send(message + self.held)

    def lose_for_all(self, room: Room, message: bytes) -> None:
        if room.seq != AT:
            super().deliver(room, message)

    def deliver_to_others(self, room: Room, message: bytes) -> None:
        for place, client in enumerate(room.members):
            if place != VICTIM:
                client.sock.send(message)

    def cut(self, room: Room, message: bytes) -> None:
        if room.seq == AT:
            room.members[VICTIM].sock.shutdown(socket.SHUT_RDWR)
        else:
            super().deliver(room, message)


class DribblingServer(FloorServer):
    """Does everything right, in pieces that end anywhere."""

    def deliver(self, room: Room, message: bytes) -> None:
        begun = 0
        for end in (*sorted(random.sample(range(1, len(message)), 3)), len(message)):
            for client in room.members[:4]:
                client.sock.send(message[begun:end])
            begun = end
            time.sleep(0.0005)
        for client in room.members[4:]:
            client.sock.send(message)


if __name__ == "__main__":
    (DribblingServer() if sys.argv[1] == "dribble" else FaultyServer()).run()
