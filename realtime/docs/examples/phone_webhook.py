"""Answer every phone call, print what the assistant says. Needs: pip install openai"""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI

SECRET = "whsec_c2VzYW1lLCBvcGVuIHlvdXJzZWxmIQ=="
client = OpenAI(base_url="http://127.0.0.1:8790/v1", api_key="none", webhook_secret=SECRET)


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = client.webhooks.unwrap(body, self.headers)  # raises if the signature is wrong
        self.send_response(200)
        self.end_headers()
        call_id = event.data.call_id  # event.data.sip_headers says who calls
        client.realtime.calls.accept(call_id, type="realtime", instructions="You take orders for pizza. Be brief.")
        with client.realtime.connect(call_id=call_id) as connection:
            connection.response.create(response={"instructions": "Greet the caller."})
            for event in connection:
                if event.type == "response.output_audio_transcript.done":
                    print(event.transcript, flush=True)
                    # client.realtime.calls.refer(call_id, target_uri="tel:+493012345"), if `outbound` allows it
                    # client.realtime.calls.hangup(call_id)


ThreadingHTTPServer(("127.0.0.1", 8000), Webhook).serve_forever()
