"""An application for stock clients to play with: everything a client can notice of the library."""

from collections.abc import Mapping

from hubbub.engineio import EngineConfig
from hubbub.socketio import Ack, ConnectionRefused, Server, ServerConfig, Socket, Welcome


class Playground:
    """Answers, asks, broadcasts, kicks; keeps a log of what it published, for recovery."""

    def __init__(self) -> None:
        self.server = Server(ServerConfig(EngineConfig()), {"/play": self})
        self.log: list[int] = []
        self.auths: list[dict[str, object]] = []
        self.gone: list[str] = []

    async def connect(self, socket: Socket, auth: Mapping[str, object]) -> Welcome:
        self.auths.append(dict(auth))
        if auth.get("token") != "good":
            raise ConnectionRefused("Unauthorized", {"code": "INVALID_TOKEN"})
        pid = auth.get("pid")
        if isinstance(pid, str):
            socket.data = int(str(auth["offset"]))
            return Welcome(sid=pid.removeprefix("pid-"), pid=pid)
        return Welcome(pid=f"pid-{socket.id}", sid=socket.id)

    def connected(self, socket: Socket) -> None:
        if isinstance(socket.data, int):
            self.log.extend([2, 3])  # happened while the client was away
            for number in self.log[socket.data :]:
                socket.send(self.server.encode("/play", "news", {"n": number}, offset=str(number)))
        else:
            socket.emit("welcome", socket.id, {})

    async def event(self, socket: Socket, name: str, args: list[object]) -> Ack:
        match name:
            case "ask":
                return await socket.call("question", *args, timeout=5)
            case "join":
                socket.join(str(args[0]))
            case "shout":
                room, *rest = args
                self.server.broadcast("/play", str(room), self.server.encode("/play", "shouted", *rest))
            case "publish":
                self.log.append(number := int(str(args[0])))
                socket.send(self.server.encode("/play", "news", {"n": number}, offset=str(number)))
            case "back":
                socket.emit("back", *args, {})
            case "kick":
                socket.disconnect()
        return args

    def ping_sent(self, socket: Socket) -> None:
        """Nothing to note."""

    def pong(self, socket: Socket) -> None:
        """Nothing to note."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        self.gone.append(reason)
