"""stall.py COMMAND: an echo server, and clients that read nothing and have said that they have no more."""
import re, socket, subprocess, sys, time

server = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
port = int(re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())[1])


def queues(of):
    """What a client has not sent yet and not read yet, and the same of the server, as Linux tells."""
    found = {}
    for line in open("/proc/net/tcp").readlines()[1:]:
        fields = line.split()
        ends = tuple(int(end.split(":")[1], 16) for end in fields[1:3])
        found[ends] = [int(length, 16) for length in fields[4].split(":")]
    return found[of, port], found[port, of]


def served():
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        try:
            client.sendall(b"hello")
            return client.recv(5) == b"hello"
        except TimeoutError:
            return False


clients = []
for number in 1, 2, 3:
    client = socket.create_connection(("127.0.0.1", port))
    clients.append(client)
    sent, kept = 0, 0
    while kept == 0 and sent < 1 << 26:
        client.sendall(b"x" * 4096)
        sent += 4096
        for _ in range(400):
            (of_client, of_server) = queues(client.getsockname()[1])
            if of_client[0] == 0 and of_server[1] == 0:  # the server has read all
                break
        if sent > of_client[1] + of_server[0]:  # and perhaps its write stands still
            time.sleep(0.05)
            (of_client, of_server) = queues(client.getsockname()[1])
            kept = sent - of_client[1] - of_server[0]
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    print(f"stalled client {number} has sent {sent}; another client is served: {'yes' if served() else 'no'}", flush=True)
server.kill()
