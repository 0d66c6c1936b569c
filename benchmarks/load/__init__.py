"""The load generator: many Socket.IO clients in one process, every delivery counted and its order checked.

A plan comes in (`plan.py`), `run.py` leads the crowd through it, a tally goes out and `verdict.py` judges it.
    socket -> crowd (epoll) -> transcript: the bytes that all members must see, in order -> counts and faults
                            -> member: handshake, heartbeats, acks -> the next message
It has to be faster than every server it drives. All members of a room get the same bytes, so the first member
to receive a message has it parsed and the others' bytes are only compared, many messages at a time.
"""
