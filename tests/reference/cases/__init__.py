"""Every case by name: the family and what is special."""

from tests.reference.case import Case
from tests.reference.cases import experts, gemma, gpt, llama, phi, relatives

CASES: dict[str, Case] = {
    **gpt.CASES,
    **llama.CASES,
    **gemma.CASES,
    **phi.CASES,
    **relatives.CASES,
    **experts.CASES,
}
