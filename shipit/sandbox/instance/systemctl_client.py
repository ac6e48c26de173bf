"""The `systemctl` that hooks find on their PATH: hand the arguments to the daemon, print its answer.

A program, not a module: `python -I -S systemctl_client.py <socket> <instance id> ARGUMENT…`. It imports `_socket`
because `socket` would double what a call costs, and hooks call it five times.
"""

import _socket
import os
import sys


def main(address: str, *request: str) -> int:
    """Send the request, print the output and the error of the answer, return its exit code."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect("\0" + address)
    except OSError as error:
        print(f"systemctl: the sandbox is not running: {error.strerror}", file=sys.stderr)
        return 1
    connection.sendall("\0".join(request).encode())
    connection.shutdown(_socket.SHUT_WR)
    answer = b""
    while data := connection.recv(65536):
        answer += data
    code, out, complaint = answer.split(b"\0")
    os.write(1, out)
    if complaint:
        os.write(2, complaint + b"\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
