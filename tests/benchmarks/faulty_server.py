"""`faulty_server.py FAULT`: the floor server with one fault, towards the third member at message 20."""

import random
import socket
import sys
import time

from benchmarks.floor.server import FloorServer

AT = 20
VICTIM = 2


class FaultyServer(FloorServer):
    def deliver(self, message: bytes) -> None:
        if len(self.members) <= VICTIM or self.seq not in {AT, AT + 1}:
            return super().deliver(message)
        getattr(self, sys.argv[1])(message)
        return None

    def lose(self, message: bytes) -> None:
        self.deliver_to_others(message)
        if self.seq != AT:
            self.members[VICTIM].sock.send(message)

    def repeat(self, message: bytes) -> None:
        super().deliver(message)
        if self.seq == AT:
            self.members[VICTIM].sock.send(message)

    def swap(self, message: bytes) -> None:
        self.deliver_to_others(message)
        if self.seq == AT:
            self.held = message
        else:
            self.members[VICTIM].sock.send(message + self.held)

    def lose_for_all(self, message: bytes) -> None:
        if self.seq != AT:
            super().deliver(message)

    def deliver_to_others(self, message: bytes) -> None:
        for place, client in enumerate(self.members):
            if place != VICTIM:
                client.sock.send(message)

    def cut(self, message: bytes) -> None:
        if self.seq == AT:
            self.members.pop(VICTIM).sock.shutdown(socket.SHUT_RDWR)
        else:
            super().deliver(message)


class DribblingServer(FloorServer):
    """Does everything right, in pieces that end anywhere."""

    def deliver(self, message: bytes) -> None:
        begun = 0
        for end in (*sorted(random.sample(range(1, len(message)), 3)), len(message)):
            for client in self.members[:4]:
                client.sock.send(message[begun:end])
            begun = end
            time.sleep(0.0005)
        for client in self.members[4:]:
            client.sock.send(message)


if __name__ == "__main__":
    (DribblingServer() if sys.argv[1] == "dribble" else FaultyServer()).run()
