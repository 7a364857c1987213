"""daphne with limits on connections and request bodies, and with back-pressure. `manage.py serve` runs `daphne.Server`.

daphne and its libraries have no public API for this, so the package overrides or calls these internals. A system check
(`transcribe_site/versions.py`) stops the site if one of the libraries has another version than the tested one.

- daphne (`daphne.py`): `Server.create_application`, `handle_reply`, `kill_all_applications`, `listen_error`,
  `listen_success`, `connections` and its details; the names `HTTPFactory` and `WebSocketFactory` in `daphne.server`.
- daphne (`http.py`, `websocket.py`): `WebRequest.handle_exception` and `_response_started`;
  `HTTPFactory.buildProtocol`; `WebSocketProtocol.application_queue` and `serverClose`; `factory.server_class`.
- Twisted (`http.py`): `Request.gotLength`, `handleContentChunk`, `requestReceived` and `sentLength`;
  `HTTPChannel.allHeadersReceived`, `resetTimeout`, `requestDone`, `_command`, `_path`, `_send100Continue`,
  `_networkProducer` and `_waitingForTransport`; `LineReceiver.line_mode` and `paused`.
- Twisted (`daphne.py`, `websocket.py`): `Port.doRead`; `Connection.writeSomeData`, `producerPaused` and `TLS`.
- autobahn (`websocket.py`): `sendData`, `processData`, `consumeData`, `sendCloseFrame`, `_fail_connection`,
  `failedByMe`, `state`.
"""
