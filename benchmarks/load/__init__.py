"""The load generator: many Socket.IO clients in one process; what they should get is counted and checked.

A plan comes in (`plan.py`), `run.py` knows who carries it out, a tally goes out, `verdict.py` judges it.
    messages: socket -> crowd (epoll) -> transcript: the bytes that all members of a room must see, in order
                                      -> member: handshake, heartbeats, acks -> the next message
    all else: socket -> switchboard (epoll) -> client: handshake, heartbeats -> what it is there for
It has to be faster than every server it drives. All members of a room on one node get the same bytes, so the
first member to receive a message has it parsed and the others' bytes are only compared, many at a time.
"""
