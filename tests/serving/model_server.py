"""Serves transformers models as vLLM serves them, as far as verify asks: /v1/models, and /v1/completions with token ids in and
log-probabilities of token ids out. `transformers serve` gives no log-probabilities.
"""
import http.server
import json
import threading

import torch

MAX_LOGPROBS = 20


class ModelServer:
    """`models`: name -> model. Each answers under http://127.0.0.1:PORT/NAME/v1."""

    def __init__(self, models):
        self.models = models
        self.ids = True  # False: tokens are named by their text alone
        self.logprobs = True
        self.decode = None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                name, path = self.path[1:].split("/", 1)
                if name not in server.models or path != "v1/models":
                    return self.answer(404, {"error": {"message": "no such path"}})
                self.answer(200, {"object": "list", "data": [{"id": name, "object": "model"}]})

            def do_POST(self):
                name, path = self.path[1:].split("/", 1)
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if name not in server.models or path != "v1/completions" or request["model"] != name:
                    return self.answer(404, {"error": {"message": "no such model"}})
                self.answer(200, server.complete(server.models[name], request))

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.http.server_address[1]}/{name}/v1"

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    @torch.no_grad()
    def complete(self, model, request):
        assert request["max_tokens"] == 1 and request["temperature"] == 0
        logits = model(torch.tensor([request["prompt"]])).logits[0, -1]
        values, ids = torch.log_softmax(logits.float(), -1).topk(min(request["logprobs"], MAX_LOGPROBS))
        names = [f"token_id:{i}" if self.ids else self.decode([i]) for i in ids.tolist()]
        logprobs = {"tokens": names[:1], "token_logprobs": values[:1].tolist(), "text_offset": [0],
                    "top_logprobs": [dict(zip(names, values.tolist()))]}
        return {"object": "text_completion", "model": request["model"],
                "choices": [{"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs if self.logprobs else None}]}
