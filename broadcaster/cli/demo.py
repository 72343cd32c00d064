"""One campaign on this machine with invented recipients, through every door it would take in earnest but the last."""

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broadcaster.cli.children import Children
from broadcaster.cli.failures import FAILED_DELIVERIES, FINE
from broadcaster.cli.session import Home, Json
from broadcaster.cli.show import emit, pairs, progress, say
from broadcaster.model import Outcome, Unavailable

if TYPE_CHECKING:
    from broadcaster.compose.drafts import Campaign, Draft
    from broadcaster.installation import Installation

RECIPIENTS, BOARDS = 20_000, 1_000
PATIENCE_SECONDS = 120.0  # without any delivery moving on: then something is broken, and waiting longer would hide it
MOST_DEATHS = 5  # of one worker in a row, each soon after its start
LOOK_SECONDS = 0.1
FACTS = {"holiday": {"zh-CN": "春节", "ko": "설 연휴", "en": "the Spring Festival"}, "contact": "12345"}
LINKS = ("author", "approver", "operator", "manager", "administrator")
# Whatever the machine is set to: no message of a demo leaves it.
PROVIDERS = {"sms_provider": "spool", "social_provider": "spool"}


@dataclass
class Watch:
    """Seconds of each stage, as the answer names them."""

    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    def stage(self, name: str, since: float) -> float:
        """Notes a stage that began at `since`; returns now."""
        now = time.monotonic()
        self.seconds[name] = round(now - since, 3)
        return now


def register(app: typer.Typer) -> None:
    """Adds the verb demo."""
    app.command("demo")(demo)


def demo(  # noqa: PLR0913, PLR0917  the flags of the door
    once: Annotated[bool, typer.Option("--once", help="End after the campaign instead of going on serving.")] = False,
    recipients: Annotated[int, typer.Option("--recipients", min=1, help="Invented phones.")] = RECIPIENTS,
    seed: Annotated[int | None, typer.Option("--seed", help="Other numbers and names.")] = None,
    speakers: Annotated[
        int | None, typer.Option("--speakers", min=0, help="Loudspeakers. [default: one a village unit, 11,860]")
    ] = None,
    boards: Annotated[int, typer.Option("--boards", min=0, help="Billboards.")] = BOARDS,
    workers: Annotated[int, typer.Option("--workers", min=1, max=16, help="Worker processes.")] = 2,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Sends one campaign to invented recipients; every message goes to a file. Ends with 3 where deliveries failed."""
    from broadcaster.bus import prepare_bus
    from broadcaster.cli.demo_home import furnish
    from broadcaster.cli.run import refuse_busy_port, refuse_unsafe
    from broadcaster.cli.session import made

    watch = Watch()
    with made(home, **PROVIDERS) as inst:
        refuse_unsafe(inst.settings)
        prepare_bus(inst)
        if not once:
            refuse_busy_port(inst.settings)
        furnish(inst, (recipients, speakers, boards), seed)
        since = watch.stage("import", watch.began)
        with Children(inst.settings.folder, **_environment()) as children:
            found = _campaign(inst, children, workers, (watch, since))
            if as_json:
                emit(found)
            else:
                _show(inst, found)
            if not once:
                _serve(inst, children)
    raise typer.Exit(ending(found))


def ending(found: dict[str, Any]) -> int:
    """The exit code of what the demo answered: 3 where deliveries failed."""
    return FAILED_DELIVERIES if found["outcomes"][Outcome.FAILED] else FINE


def _environment() -> dict[str, str]:
    quiet = {"BROADCASTER_LOG_LEVEL": "warning"}
    return {**quiet, **{f"BROADCASTER_{name.upper()}": value for name, value in PROVIDERS.items()}}


def _campaign(inst: "Installation", children: Children, workers: int, at: tuple[Watch, float]) -> dict[str, Any]:
    from broadcaster.cli.run import start_workers
    from broadcaster.compose import campaigns
    from broadcaster.people import find_user
    from broadcaster.store.clock import wall_ms

    watch, since = at
    author, approver = find_user(inst, "author"), find_user(inst, "approver")
    campaign = campaigns.create(inst, author, _draft())
    start_workers(children, workers)  # they import what they need while the plan is made
    with progress("wordings, speech, plan") as tell:
        campaign = campaigns.submit(inst, author, campaign.id, tell)
    since = watch.stage("submit", since)
    campaign = campaigns.approve(inst, approver, campaign.id, campaign.sealed_digest)
    since, approved_at = watch.stage("approve", since), wall_ms()
    _wait(inst, children, campaign)
    watch.stage("send", since)
    watch.seconds["fan_out"] = round(max(0, _last_published(inst, campaign.id) - approved_at) / 1000, 3)
    watch.stage("total", watch.began)
    _wait_for_finish(inst, campaign.id)
    return _answer(inst, campaign, watch)


def _draft() -> "Draft":
    from broadcaster.compose.drafts import Draft
    from broadcaster.model import Mode, Selection
    from channels import CHANNELS

    return Draft(
        name="节后开门前消防自查",
        template_set="fire-safety-reopening",
        mode=Mode.LIVE,
        level=None,
        facts=FACTS,
        selection=Selection(places=("22",)),
        channels=tuple(CHANNELS),
    )


def _wait(inst: "Installation", children: Children, campaign: "Campaign") -> None:
    """Until nothing waits and nothing is being sent. Raises Unavailable where the workers are gone or nothing moves."""
    from broadcaster.reach.counts import counts

    before, moved = -1, time.monotonic()
    with progress("counted") as tell:
        while True:
            found = counts(inst, campaign.id, with_reach=False)
            done = found["planned"] - found["outcomes"][Outcome.WAITING] - found["outcomes"][Outcome.SENDING]
            tell(done, found["planned"])
            if done == found["planned"]:
                return
            if done != before:
                before, moved = done, time.monotonic()
            children.revive()
            if children.deaths >= MOST_DEATHS or time.monotonic() - moved > PATIENCE_SECONDS:
                raise Unavailable(
                    "workers", f"the workers stopped at {done:,} of {found['planned']:,}; see their lines above"
                )
            time.sleep(LOOK_SECONDS)


def _wait_for_finish(inst: "Installation", campaign_id: int) -> None:
    from broadcaster.compose import campaigns
    from broadcaster.model import CampaignState

    until = time.monotonic() + 10
    while time.monotonic() < until:
        if campaigns.find(inst, campaign_id).state is CampaignState.FINISHED:
            return
        time.sleep(LOOK_SECONDS)
    raise Unavailable(
        "not-finished", f"campaign {campaign_id} is counted but not finished; see the workers' lines above"
    )


def _last_published(inst: "Installation", campaign_id: int) -> int:
    from broadcaster.store import reach

    with inst.store.read() as conn:
        return reach.announced(conn, campaign_id)[2]


def _answer(inst: "Installation", campaign: "Campaign", watch: Watch) -> dict[str, Any]:
    from broadcaster.reach.counts import counts

    found = counts(inst, campaign.id, "channel", with_reach=False)
    return {
        "campaign": campaign.id,
        "planned": found["planned"],
        "outcomes": found["outcomes"],
        "channels": {row["key"]: row["outcomes"] for row in found["by"]},
        "parts": campaign.parts,
        "ledger": str(inst.settings.spool_file),
        "ledger_lines": _ledger_lines(inst, campaign.id),
        "seconds": watch.seconds,
        "per_second": round(found["planned"] / max(watch.seconds["send"], 0.001)),
    }


def _ledger_lines(inst: "Installation", campaign_id: int) -> int:
    start = f'{{"delivery":"{campaign_id}-'.encode()
    if not inst.settings.spool_file.exists():
        return 0
    with inst.settings.spool_file.open("rb") as lines:
        return sum(line.startswith(start) for line in lines)


def _show(inst: "Installation", found: dict[str, Any]) -> None:
    from broadcaster.cli.counts import show_counts
    from broadcaster.reach.counts import counts, recount

    show_counts(counts(inst, found["campaign"], "channel"))
    seconds = found["seconds"]
    equal = recount(inst, found["campaign"])["equal"]
    told = {
        "campaign": found["campaign"],
        "planned": found["planned"],
        "counters equal the rows": equal,
        "SMS parts": found["parts"],
        "file of messages": f"{found['ledger']} ({found['ledger_lines']:,} lines of this campaign)",
        "seconds": seconds,
        "deliveries a second": found["per_second"],
    }
    pairs(told, title="One campaign")
    say(
        "No message left this machine: SMS and posts are lines of the file, speakers and boards would fetch theirs here."
    )


def _serve(inst: "Installation", children: Children) -> None:
    from broadcaster import people
    from broadcaster.cli.demo_home import ACTOR, token
    from broadcaster.cli.devices import feed
    from broadcaster.cli.run import addresses, drain_on_signals

    settings, stop = inst.settings, threading.Event()
    children.start("serve", "serve", "--host", settings.host, "--port", str(settings.port))
    addresses(settings)
    for login in LINKS:
        say(f"sign in once as {login:14} {settings.base_url}{people.one_time_link(inst, ACTOR, login)}")
    for channel in ("loudspeaker", "billboard"):
        if found := token(inst, channel):
            say(f"feed of one {channel:17} {feed(settings.base_url, channel, found)}")
    say("Ctrl-C ends it")
    drain_on_signals(stop)
    children.watch(stop)
