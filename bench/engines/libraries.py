"""Other engines' libraries, in process: OpenVINO GenAI, transformers and KerasHub."""

from pathlib import Path

from bench.engines.contender import Setup
from bench.engines.external import Environment, Library, child_environment
from bench.engines.servers import TRANSFORMERS, varied_checkpoint
from bench.processes import finished

_OPENVINO = Environment(
    "openvino",
    ("torch==2.13.0", "openvino-genai==2026.4.1.0", "optimum-intel==2.2.0"),
    unwanted=("torchvision",),
)
_KERAS_HUB = Environment("kerashub", ("keras-hub==0.32.0", "keras==3.15.1", "tensorflow==2.21.0"))
_MOST_SESSIONS = 16
"""Of KerasHub: batches are measured whole, and larger ones take more than half a minute."""


def _openvino_model(setup: Setup) -> Path:
    checkpoint = varied_checkpoint(setup)

    def convert(path: Path) -> None:
        program = _OPENVINO.program(setup.cache, "optimum-cli")
        options = ["--task", "text-generation-with-past", "--weight-format", "fp32"]
        command = [program, "export", "openvino", "-m", str(checkpoint), *options, str(path)]
        finished(command, path.with_suffix(".log"), child_environment())

    return setup.cache.made("openvino/varied", "1", convert)


OPENVINO = Library(_OPENVINO, "openvino", _openvino_model).contender("openvino", "OpenVINO GenAI, bf16")
TRANSFORMERS_GENERATE = Library(TRANSFORMERS, "transformers_generate", varied_checkpoint).contender(
    "transformers-generate", "transformers generate, bf16"
)
KERAS_HUB = Library(_KERAS_HUB, "keras_hub").contender("kerashub", "KerasHub generate, f32", _MOST_SESSIONS)
