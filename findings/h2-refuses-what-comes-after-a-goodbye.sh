#!/bin/bash
# h2 4.4.1.
#
# One would guess: after a server's GOAWAY with a last stream of 2^31-1 and no error, h2's client connection opens no new streams and
# goes on with those that are open. So RFC 9113 (section 6.8) describes a graceful stop, and proxies begin one that way.
# Instead, h2 counts the connection as closed: the next frame of an open stream raises ProtocolError ("Invalid input
# ConnectionInputs.RECV_DATA in state ConnectionState.CLOSED"), and nothing can be sent either. A response that is being streamed
# is lost, unless GOAWAY frames are kept from h2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "h2==4.4.1" "hyperframe==6.1.0"
cat >"$folder/seen.py" <<'PYTHON'
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hyperframe.frame import DataFrame, GoAwayFrame

client = H2Connection(H2Configuration(client_side=True))
server = H2Connection(H2Configuration(client_side=False))
client.initiate_connection()
server.initiate_connection()
request = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")]
client.send_headers(1, request, end_stream=True)
server.receive_data(client.data_to_send())
server.send_headers(1, [(":status", "200")])
server.send_data(1, b"first ")
print("before:", [type(event).__name__ for event in client.receive_data(server.data_to_send())])

goodbye = GoAwayFrame(0, last_stream_id=2**31 - 1, error_code=0)
print("goodbye:", [type(event).__name__ for event in client.receive_data(goodbye.serialize())])
try:
    events = client.receive_data(DataFrame(1, b"second").serialize())
except ProtocolError as error:
    print("after:", error)
else:
    raise SystemExit(f"the stream goes on: {events}")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
