"""Asks ports what they do for somebody without a token. Addresses come as JSON on the standard
input, a kind of answer for each goes to the standard output.

`refused` nobody listens there; `token` one is asked for; `metrics` Prometheus text whatever the
path; anything else is told as it came.
"""

import http.client
import json
import sys

import grpc

PATIENCE_S = 10
METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.LogService/ListLogs",
    "/ray.serve.ASGIService/HandleRequest",
)
"""One of every service that Ray 2.60 listens with; a server knows some and not others."""


def asked(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/api/version")
        answer = connection.getresponse()
        text = answer.read(6)
    except ConnectionRefusedError:
        return "refused"
    except (OSError, http.client.HTTPException):
        return asked_by_grpc(host, port)
    finally:
        connection.close()
    if answer.status == 401:
        return "token"
    return "metrics" if (answer.status, text) == (200, b"# HELP") else f"HTTP {answer.status}"


def asked_by_grpc(host: str, port: int) -> str:
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        codes = {code_of(channel, method) for method in METHODS}
    return "token" if codes == {"UNAUTHENTICATED", "UNIMPLEMENTED"} else f"gRPC {sorted(codes)}"


def code_of(channel: grpc.Channel, method: str) -> str:
    try:
        channel.unary_unary(method)(b"", timeout=PATIENCE_S)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


if __name__ == "__main__":
    json.dump([asked(host, port) for host, port in json.load(sys.stdin)], sys.stdout)
