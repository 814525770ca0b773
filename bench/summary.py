"""Rounds reduced to medians, and to ratios between what ran in the same round. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.cpu import MODEL_SERVER
from bench.rounds import HttpFigures, Round
from bench.spread import Spread, median, ratio


@dataclass(frozen=True)
class Row:
    """The application at one number of sessions: medians over the rounds."""

    sessions: int
    tokens_per_s: float | None
    first_token_ms: Spread
    inter_token_ms: Spread
    pause_ms: Spread
    tokens_per_chunk: float | None
    times_naive: float | None
    """Tokens per second, as a multiple of the naive loop's in the same round."""
    times_raw: float | None
    """The same for TensorFlow's step alone, with as many rows as there are sessions."""
    cpu_ms_per_token: Mapping[str, float]
    client_cpu_ms_per_token: float | None

    @property
    def model_server_cpu_ms(self) -> float:
        return self.cpu_ms_per_token.get(MODEL_SERVER, 0.0)

    @property
    def other_cpu_ms(self) -> float:
        """Orchestration: all of the application but its model servers."""
        return sum(self.cpu_ms_per_token.values()) - self.model_server_cpu_ms


@dataclass(frozen=True)
class NaiveRow:
    tokens_per_s: float | None
    first_token_ms: Spread
    inter_token_ms: Spread


@dataclass(frozen=True)
class RawRow:
    batch: int
    tokens_per_s: float | None
    step_ms: Spread


@dataclass(frozen=True)
class Summary:
    rows: tuple[Row, ...]
    naive: NaiveRow
    raw: tuple[RawRow, ...]

    def at(self, sessions: int) -> Row | None:
        return next((row for row in self.rows if row.sessions == sessions), None)


def summarize(rounds: Sequence[Round], sessions: Sequence[int]) -> Summary:
    return Summary(
        tuple(_row(rounds, count) for count in sessions),
        _naive(rounds),
        tuple(_raw(rounds, count) for count in sessions),
    )


def _row(rounds: Sequence[Round], sessions: int) -> Row:
    figures = [r.http[sessions] for r in rounds if sessions in r.http]
    seen = [f.latencies for f in figures]
    return Row(
        sessions=sessions,
        tokens_per_s=median(s.tokens_per_s for s in seen),
        first_token_ms=Spread.median_of(s.first_token_ms for s in seen),
        inter_token_ms=Spread.median_of(s.inter_token_ms for s in seen),
        pause_ms=Spread.median_of(s.pause_ms for s in seen),
        tokens_per_chunk=median(s.tokens_per_chunk for s in seen),
        times_naive=_times(rounds, sessions, lambda r: r.naive.tokens_per_s if r.naive else None),
        times_raw=_times(
            rounds, sessions, lambda r: r.raw[sessions].tokens_per_s if sessions in r.raw else None
        ),
        cpu_ms_per_token=_by_part(figures),
        client_cpu_ms_per_token=median(f.client_cpu_ms_per_token for f in figures),
    )


def _times(rounds: Iterable[Round], sessions: int, base: Callable[[Round], float | None]) -> float | None:
    """The median of the rounds' own ratios."""
    return median(
        ratio(r.http[sessions].latencies.tokens_per_s, base(r)) for r in rounds if sessions in r.http
    )


def _by_part(figures: Sequence[HttpFigures]) -> dict[str, float]:
    parts = dict.fromkeys(part for f in figures for part in f.cpu_ms_per_token)
    return {part: median(f.cpu_ms_per_token.get(part) for f in figures) or 0.0 for part in parts}


def _naive(rounds: Sequence[Round]) -> NaiveRow:
    seen = [r.naive for r in rounds if r.naive]
    return NaiveRow(
        median(s.tokens_per_s for s in seen),
        Spread.median_of(s.first_token_ms for s in seen),
        Spread.median_of(s.inter_token_ms for s in seen),
    )


def _raw(rounds: Sequence[Round], batch: int) -> RawRow:
    seen = [r.raw[batch] for r in rounds if batch in r.raw]
    return RawRow(batch, median(s.tokens_per_s for s in seen), Spread.median_of(s.step_ms for s in seen))
