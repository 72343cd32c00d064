"""Is it alive, is it ready, how does it stand: for probes and for Prometheus."""

from collections.abc import Iterator

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from broadcaster import __version__
from broadcaster.bus import Bus, over_kafka
from broadcaster.installation import Installation
from broadcaster.model import CampaignState, Outcome, Unavailable
from broadcaster.store import feeds, receipts, records, standing
from broadcaster.store.clock import now_ms
from broadcaster.store.migrate import require_current
from broadcaster.web.who import Inst

router = APIRouter(include_in_schema=False)
# Moves out of these are rare, so that a counter of them hardly ever falls; the others are gauges by nature.
REACHED = (Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.FAILED, Outcome.SUPPRESSED, Outcome.EXPIRED, Outcome.CANCELLED)


@router.api_route("/livez", methods=["GET", "HEAD"])
def livez() -> JSONResponse:
    """The process answers; nothing else is asked."""
    return JSONResponse({"ok": True})


@router.api_route("/readyz", methods=["GET", "HEAD"])
def readyz(request: Request, inst: Inst) -> JSONResponse:
    """Whether requests can be served: 503 and the checks that fail. `degraded`: what is missing and only makes work wait."""
    checks = {"database": _database(inst), "schema": _schema(inst)}
    failing = {name: told for name, told in checks.items() if told}
    answer: dict[str, object] = {"ok": not failing, "failing": failing}
    try:
        request.app.state.bus.standing()
    except Unavailable as error:
        answer["degraded"] = {"bus": error.message}
    return JSONResponse(answer, 503 if failing else 200)


def _database(inst: Installation) -> str:
    try:
        with inst.store.read() as conn:
            return "" if standing.alive(conn) else "no answer"
    except Unavailable as error:
        return error.message


def _schema(inst: Installation) -> str:
    try:
        require_current(inst.store)
    except Unavailable as error:
        return error.message
    return ""


@router.get("/metrics")
def metrics(request: Request, inst: Inst) -> Response:
    """Prometheus text. Read from the database and the bus at each scrape, so that every process tells the same."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Standing(inst))
    registry.register(BusStanding(request.app.state.bus))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class Standing(Collector):
    """How the installation stands, as metrics."""

    def __init__(self, inst: Installation) -> None:
        self._inst = inst

    def collect(self) -> Iterator[Metric]:
        """The metrics of one moment. Raises Unavailable."""
        with self._inst.store.read() as conn:
            now = now_ms(conn)
            states, words = standing.campaigns(conn), standing.deliveries(conn)
            pending, oldest = standing.pending_chunks(conn, now)
            under_way, in_doubt = standing.windows(conn, now)
            came, (unfolded, first_came) = receipts.came(conn), receipts.waiting(conn)
            dead, untold = records.buried(conn), feeds.version(conn) - feeds.told(conn)
        yield _deliveries(words)
        yield _not_yet(words)
        yield _campaigns(states)
        yield GaugeMetricFamily("broadcaster_outbox_pending", "Chunks that are due and not finished", pending)
        waited = 0.0 if oldest is None else max(0, now - oldest) / 1000
        yield GaugeMetricFamily(
            "broadcaster_oldest_pending_seconds", "How long the oldest due chunk has waited", waited
        )
        yield GaugeMetricFamily("broadcaster_windows", "Windows of deliveries that are being sent", under_way)
        yield GaugeMetricFamily("broadcaster_windows_in_doubt", "Windows whose lease ran out, not yet judged", in_doubt)
        yield from _receipts(came)
        yield GaugeMetricFamily("broadcaster_receipts_open", "Receipts in the inbox that are not folded yet", unfolded)
        waited = 0.0 if first_came is None else max(0, now - first_came) / 1000
        yield GaugeMetricFamily("broadcaster_receipts_oldest_seconds", "How long the oldest of them has waited", waited)
        buried = CounterMetricFamily("broadcaster_dead_letters", "Records that nobody could read", labels=["reason"])
        for reason in sorted(dead):
            buried.add_metric([reason], dead[reason])
        yield buried
        if over_kafka(self._inst):
            yield GaugeMetricFamily("broadcaster_feed_changes_untold", "Changes of feeds not on the bus yet", untold)
        build = GaugeMetricFamily("broadcaster_build_info", "Version of the program", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _deliveries(words: dict[tuple[str, str], int]) -> Metric:
    told = "Deliveries that came to this outcome; accepted counts delivered ones too"
    family = CounterMetricFamily("broadcaster_deliveries", told, labels=["channel", "outcome"])
    for channel in sorted({channel for channel, _ in words}):
        for outcome in REACHED:
            n = words.get((channel, outcome), 0)
            n += words.get((channel, Outcome.DELIVERED), 0) if outcome is Outcome.ACCEPTED else 0
            family.add_metric([channel, outcome], n)
    return family


def _receipts(came: dict[tuple[str, str], int]) -> Iterator[Metric]:
    told = "Receipts of providers and devices, by what became of them"
    fates = CounterMetricFamily("broadcaster_receipts", told, labels=["provider", "fate"])
    told = "Requests to a provider's door whose signature did not fit"
    forged = CounterMetricFamily("broadcaster_callbacks_forged", told, labels=["provider"])
    for (provider, fate), n in sorted(came.items()):
        if fate == "forged":
            forged.add_metric([provider], n)
        else:
            fates.add_metric([provider, fate], n)
    yield fates
    yield forged


def _not_yet(words: dict[tuple[str, str], int]) -> Metric:
    told = "Deliveries that wait, are being sent, or may or may not have arrived"
    family = GaugeMetricFamily("broadcaster_deliveries_open", told, labels=["channel", "outcome"])
    for channel in sorted({channel for channel, _ in words}):
        for outcome in (Outcome.WAITING, Outcome.SENDING, Outcome.UNKNOWN):
            family.add_metric([channel, outcome], words.get((channel, outcome), 0))
    return family


class BusStanding(Collector):
    """How the bus stands, as metrics. One that is away is a metric too, and costs the scrape its others of the bus only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        """The metrics of one moment."""
        try:
            topics = self._bus.standing()
        except Unavailable:
            yield GaugeMetricFamily("broadcaster_bus_up", "Whether the bus answers", 0)
            return
        yield GaugeMetricFamily("broadcaster_bus_up", "Whether the bus answers", 1)
        published = CounterMetricFamily("broadcaster_bus_records_published", "Records ever kept", labels=["topic"])
        waiting = GaugeMetricFamily(
            "broadcaster_bus_records_waiting", "Records that no worker finished", labels=["topic"]
        )
        for each in topics:
            if each.published is not None:
                published.add_metric([each.topic], each.published)
            if each.waiting is not None:
                waiting.add_metric([each.topic], each.waiting)
        yield published
        yield waiting


def _campaigns(states: dict[str, int]) -> Metric:
    family = GaugeMetricFamily("broadcaster_campaigns", "Campaigns by state", labels=["state"])
    for state in CampaignState:
        family.add_metric([state], states.get(state, 0))
    return family
