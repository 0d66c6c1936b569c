"""The peer in Python: python-socketio as its users run it."""
