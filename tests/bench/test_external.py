"""Other engines' servers and workers, played by small scripts."""

import sys
from pathlib import Path

from bench.engines.contender import Setup, workload
from bench.engines.external import Server, ask, child_environment, working
from bench.load import Address, Served
from bench.processes import running
from bench.random_model.servables import Cache
from bench.streaming import ContinuousUsage
from bench.workers.answers import LoadQuestion, StepQuestion
from bench.workload import Lengths

ASKED = workload(Lengths(prompt=4, new=3))
SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for n in range(1, asked["max_tokens"] + 1):
            self.event(json.dumps({"usage": {"completion_tokens": n}}))
        self.event("[DONE]")
        self.wfile.write(b"0\\r\\n\\r\\n")
        self.close_connection = True

    def event(self, data):
        content = f"data: {data}\\n\\n".encode()
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(content), content))

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
WORKER = """
from bench.workers.answers import measure_batches, own_output, serve_load

def generate(prompts, count, arrived):
    for _ in range(count):
        arrived()

out = own_output()
print("a library's banner")
serve_load(lambda question: measure_batches(generate, question), out)
"""
BUSY = "while True: pass"
STEPS = """
from bench.latency import Latencies
from bench.spread import Spread
from bench.workers.answers import Answer, StepQuestion, own_output, serve

def answer(asked):
    question = StepQuestion(**asked)
    step = Spread(float(question.past), None)
    return Answer(Latencies(question.batch, 1.0, 1.0, Spread(None, None), step, step), 10.0)

serve(answer, own_output())
"""


def test_a_server_is_measured_once_it_is_healthy(tmp_path: Path):
    server = Server(
        lambda _: None,
        lambda _, port: [sys.executable, "-c", SERVER, str(port)],
        lambda _: ContinuousUsage(),
    ).contender("fake", "Fake")
    with server.started(Setup(Cache(tmp_path), tmp_path)) as measure:
        measured = measure(ASKED, 2, 0.3)
    seen = measured.latencies
    assert seen.tokens > 0
    assert sum(measured.memory_mib.values()) > 0
    assert seen.first_token_ms.p50 is not None
    assert (tmp_path / "fake.log").exists()


def test_what_a_server_spends_at_rest_is_measured_in_its_processes(tmp_path: Path):
    with running([sys.executable, "-c", BUSY], tmp_path / "busy.log") as child:
        served = Served(Address("127.0.0.1", 1), child).at_rest(0.2)
    (spent,) = served.rest_ms_per_s.values()
    assert spent > 0


def test_a_worker_s_answer_is_apart_from_what_its_library_prints(tmp_path: Path):
    log = tmp_path / "worker.log"
    with working([sys.executable, "-c", WORKER], log, child_environment()) as child:
        seen = ask(child, LoadQuestion(ASKED, sessions=2, seconds=1e-9)).latencies
    assert seen.tokens == 2 * 3


def test_a_step_question_reaches_its_worker_whole(tmp_path: Path):
    with working([sys.executable, "-c", STEPS], tmp_path / "steps.log", child_environment()) as child:
        measured = ask(child, StepQuestion(batch=4, past=7, seconds=0.0, slots=8))
    seen = measured.latencies
    assert measured.cpu_ms_per_token == {"process": 2.5}
    assert sum(measured.memory_mib.values()) > 0
    assert (seen.tokens, seen.inter_token_ms.p50, seen.first_token_ms.p50) == (4, 7.0, None)
