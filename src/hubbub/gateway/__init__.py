"""The socket front door: who comes in, what they ask, what they are told.

CONNECT -> login -> client        event -> dispatch -> handlers -> chat -> answer
bus -> delivery -> rooms of sockets
"""
