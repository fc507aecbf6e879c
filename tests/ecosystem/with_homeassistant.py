"""Vigie and Home Assistant on one broker: what its users see, when things go well, go away, come back and change.

Run by run.sh, which says where the program is ($VIGIE). Everything is real: mosquitto, the daemon on photographs, and Home
Assistant's core; the last thing asked is that Home Assistant had nothing to complain about.
"""

import asyncio
import logging
import shutil
import tempfile
from pathlib import Path

from home import Complaints, Home
from processes import SOURCES, Broker, Daemon
from scenery import pan

BOARD, FRONT, YARD = "vigie/porch", "vigie/porch/front", "vigie/porch/back_yard"

# What is about the test's surroundings and not about us.
NOT_OURS = (
    "aiohttp_fast_zlib: zlib_ng and isal are not available",
    "homeassistant.components.mqtt.client: Error returned from MQTT server: The connection was lost.",
    # Of its own code, when what the broker has kept comes before its integration is through with its start.
    "homeassistant.helpers.frame: Detected code that calls async_forward_entry_setups for integration mqtt",
    # A camera is gone for good: it clears the topic once more for each entity that was disabled, and wonders why it is empty.
    "homeassistant.components.mqtt.discovery: No device components to cleanup for back__yard",
)

NAMES = {
    f"{BOARD}/status": "Vigie porch Connectivity",
    f"{BOARD}/stats/temperature": "Vigie porch Temperature",
    f"{FRONT}/person/occupancy": "Front Person occupancy",
    f"{FRONT}/person/count": "Front Person count",
    f"{FRONT}/zone/garden_path/person/occupancy": "Front Garden path person occupancy",
    f"{FRONT}/zone/garden_path/person/count": "Front Garden path person count",
    f"{FRONT}/line/gate/person/in": "Front Gate person in",
    f"{FRONT}/line/gate/person/out": "Front Gate person out",
    f"{FRONT}/snapshot/person": "Front Person snapshot",
    f"{FRONT}/motion": "Front Motion",
    f"{FRONT}/detect": "Front Detection",
    f"{FRONT}/events": "Front Last event",
    f"{FRONT}/status": "Front Connectivity",
    f"{FRONT}/stats/process_fps": "Front Processing rate",
    f"{FRONT}/stats/latency": "Front Latency",
    **{
        f"{YARD}/{label}/{what}": f"Back yard {label.capitalize()} {what}"
        for label in ("person", "bicycle", "car", "truck", "cat", "dog")
        for what in ("occupancy", "count")
    },
    f"{YARD}/detect": "Back yard Detection",
    f"{YARD}/events": "Back yard Last event",
    f"{YARD}/status": "Back yard Connectivity",
    f"{YARD}/stats/process_fps": "Back yard Processing rate",
    f"{YARD}/stats/latency": "Back yard Latency",
}

PARTS = """
[[camera.zone]]
name = 'garden_path'
points = [[0, 0], [1, 0], [1, 1], [0, 1]]
labels = ['person']
[[camera.line]]
name = 'gate'
points = [[0.5, 1], [0.5, 0]]
labels = ['person']
"""


def config(port, front, yard, parts=PARTS):
    """A board with two cameras, the first with these parts."""
    return f"""
device.name = 'porch'
mqtt = {{ url = 'mqtt://127.0.0.1:{port}', dialects = ['native', 'homeassistant'] }}
stats.interval = '1s'
snapshot = {{}}
track.min_hits = 1
detect = {{ max_fps = 30, hold = '1s', thresholds = {{ '*' = 0.35 }} }}
[[camera]]
name = 'front'
source = {{ pictures = '{front}', fps = 4 }}
motion = {{}}
{parts}
[[camera]]
name = 'back_yard'
snapshots = false
source = {{ pictures = '{yard}', fps = 2 }}
"""


def say(what):
    """A line for people."""
    print(f"ok: {what}", flush=True)


def show(home):
    """The table of entities."""
    print(f"\n{'name':42} {'entity':50} {'state':12} about")
    for entity in sorted(home.entities().values(), key=lambda entity: entity.unique_id):
        state = home.hass.states.get(entity.entity_id)
        device = home.devices()["/".join(entity.unique_id.split("/")[: 2 if entity.unique_id.startswith((f"{BOARD}/stat")) else 3])]
        name = state.name if state else f"{device.name} {entity.original_name}"
        value = "disabled" if entity.disabled else state.state[:11]
        print(f"{name:42} {entity.entity_id:50} {value:12} {entity.entity_category or ''}")
    print(flush=True)


async def appears(home):
    """Everything has the name that it should have, and nothing else is enabled."""
    await home.until("all there", lambda: NAMES.keys() <= home.entities().keys())
    names = {name: state.name for name in home.states() if (state := home.state(name))}
    assert names == NAMES, {name: names.get(name) for name in NAMES.keys() | names.keys() if names.get(name) != NAMES.get(name)}
    devices = home.devices()
    board = devices[BOARD]
    assert (board.name, board.manufacturer) == ("Vigie porch", "Vigie"), board
    for base, name in ((FRONT, "Front"), (YARD, "Back yard")):
        device = devices[base]
        assert (device.name, device.via_device_id) == (name, board.id), device
    say(f"{len(names)} entities of 3 devices have the names they should have")


def is_known(value):
    """Whether a state is one of the device's own."""
    return value not in (None, "unknown", "unavailable")


async def follows(home, broker):
    """What Home Assistant shows is what is on the topics."""
    seen = ["person/count", "person/occupancy", "zone/garden_path/person/count", "stats/process_fps", "stats/latency"]
    await home.until("seen by the first camera", lambda: all(is_known(home.value(f"{FRONT}/{what}")) for what in seen))
    await home.until("a person", lambda: home.value(f"{FRONT}/person/occupancy") == "on")
    await home.until("motion", lambda: home.value(f"{FRONT}/motion") == "on")
    await home.until("cars", lambda: float(home.value(f"{YARD}/car/count") or 0) > 0)
    await home.until("online", lambda: home.value(f"{FRONT}/status") == home.value(f"{BOARD}/status") == "on")
    retained = broker.retained("vigie/+/+/+/count")
    yard = [name for name in NAMES if name.startswith(YARD) and name.endswith("/count")]
    assert {name: home.value(name) for name in yard} == {name: retained[name] for name in yard}
    assert float(home.value(f"{FRONT}/stats/process_fps")) > 0
    assert float(home.value(f"{FRONT}/stats/latency")) > 0
    await home.until("an event", lambda: is_known(home.value(f"{FRONT}/events")))
    event = home.state(f"{FRONT}/events").attributes
    assert event["event_type"] in ("new", "update", "end") and event["label"] and event["id"], event
    await home.until("a picture", lambda: is_known(home.value(f"{FRONT}/snapshot/person")))
    picture = await home.picture(f"{FRONT}/snapshot/person")
    assert picture[:2] == b"\xff\xd8" and len(picture) > 1000, picture[:20]
    ways = lambda: [home.value(f"{FRONT}/line/gate/person/{way}") for way in ("in", "out")]
    await home.until("a crossing", lambda: any(map(is_known, ways())))
    say("counts, occupancies, figures, events, pictures and crossings follow")


async def is_switched(home, broker):
    """The switch in Home Assistant switches detection, and shows what is so."""
    await home.until("switched on at first", lambda: home.value(f"{YARD}/detect") == "on")
    entity = home.entities()[f"{YARD}/detect"].entity_id
    for service, state, word in (("turn_off", "off", "OFF"), ("turn_on", "on", "ON")):
        await home.hass.services.async_call("switch", service, {"entity_id": entity}, blocking=True)
        await home.until(f"switched {state}", lambda state=state: home.value(f"{YARD}/detect") == state)
        assert broker.retained(f"{YARD}/detect/state") == {f"{YARD}/detect/state": word}
    say("the switch turns detection off and on")


async def forgets(home, daemon, start):
    """What a configuration no longer has is no more in Home Assistant either, and comes back with it."""
    daemon.stop()
    lines = [f"{FRONT}/line/gate/person/in", f"{FRONT}/line/gate/person/out"]
    without = start(PARTS.partition("[[camera.line]]")[0])
    await home.until("the line's entities gone", lambda: not any(line in home.entities() for line in lines))
    assert f"{FRONT}/zone/garden_path/person/count" in home.entities()
    say("a line that is no longer configured: its entities are gone, the others are not")
    without.stop()
    daemon = start()
    await home.until("the line's entities back", lambda: all(line in home.entities() for line in lines))
    return daemon


def away(home, base):
    """Whether all that a device has is unavailable, its own connectivity aside."""
    states = home.states()
    ours = {name: state for name, state in states.items() if name.startswith(base) and name != f"{base}/status"}
    return all(state == "unavailable" for state in ours.values())


async def goes_away_and_comes_back(home, daemon, start, front):
    """Loss of the board by death and by a clean stop, and loss of one camera."""
    counted = [name for name in NAMES if name.startswith(YARD) and "/stats/" not in name and "events" not in name]
    before = {name: home.value(name) for name in counted}
    daemon.kill()
    await home.until("all unavailable", lambda: away(home, BOARD) and home.value(f"{BOARD}/status") == "off")
    say("kill -9: all is unavailable, and the board is disconnected")
    daemon = start()
    back = lambda: {name: home.value(name) for name in counted} == before
    await home.until(f"back as before: {before}", back)
    say("after the restart all is as before")
    daemon.stop()
    await home.until("all unavailable", lambda: away(home, BOARD) and home.value(f"{BOARD}/status") == "off")
    say("a clean stop: all is unavailable")
    daemon = start()
    await home.until("back", back)

    front.rename(front.with_name("moved"))
    lost = lambda: away(home, FRONT) and home.value(f"{FRONT}/status") == "off" and not away(home, YARD)
    await home.until("one camera lost", lost)
    say("a camera that is lost: its entities are unavailable, the others are not")
    front.with_name("moved").rename(front)
    await home.until("camera back", lambda: home.value(f"{FRONT}/status") == "on" and not away(home, FRONT))
    return daemon


async def restarts(home):
    """Home Assistant itself is restarted: the same entities, out of what the broker keeps."""
    before = {name: entity.entity_id for name, entity in home.entities().items()}
    await home.stop()
    await home.start()
    await home.until("known again", lambda: all(is_known(home.value(f"{YARD}/{what}/count")) for what in ("car", "person")))
    assert {name: entity.entity_id for name, entity in home.entities().items()} == before
    await home.until("figures again", lambda: is_known(home.value(f"{FRONT}/stats/latency")))
    say("after a restart of Home Assistant its entities are the same")


async def is_introduced_again(home, broker):
    """A broker that has forgotten, and a Home Assistant that is born: everything is said again."""
    await home.stop()
    for topic in broker.retained("homeassistant/device/#"):
        broker.clear(topic)
    assert not broker.retained("homeassistant/device/#")
    await home.start()
    await home.until("introduced again", lambda: is_known(home.value(f"{FRONT}/person/count")))
    say("when Home Assistant is born, all is introduced again")


async def forgets_a_camera(home, daemon, start):
    """A camera that is no more is no device; the other one has lost its zone and its line at the same time."""
    daemon.stop()
    await home.until("away", lambda: away(home, BOARD))
    daemon = start(parts="", yard=False)
    parts = lambda: [name for name in home.entities() if "/zone/" in name or "/line/" in name]
    await home.until("the camera gone", lambda: YARD not in home.devices() and not parts())
    assert not any(name.startswith(YARD) for name in home.entities())
    await home.until("the other one there", lambda: is_known(home.value(f"{FRONT}/person/count")))
    say("a camera that is no more is no device")
    return daemon


async def scenario(folder):
    """All of it, in order."""
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    front, yard, state = folder / "front", folder / "yard", folder / "state"
    for each in (front, yard, state):
        each.mkdir()
    pan(SOURCES / "demo/pictures/musicians.jpg", front)
    shutil.copy(SOURCES / "demo/pictures/cars.jpg", yard)
    broker = Broker(folder)
    home = Home(state, broker.port)

    yard_pictures = yard

    def start(parts=PARTS, yard=True):
        text = config(broker.port, front, yard_pictures, parts)
        return Daemon(folder, text if yard else text[: text.rindex("[[camera]]")])

    await home.start()
    daemon = start()
    try:
        await appears(home)
        await follows(home, broker)
        show(home)
        await is_switched(home, broker)
        daemon = await forgets(home, daemon, start)
        daemon = await goes_away_and_comes_back(home, daemon, start, front)
        await restarts(home)
        await is_introduced_again(home, broker)
        daemon = await forgets_a_camera(home, daemon, start)
        daemon.stop()
    except BaseException:
        print(f"--- the daemon's log ---\n{daemon.log.read_text()}\n--- Home Assistant's complaints ---")
        print("\n".join(complaints.said))
        raise
    finally:
        daemon.child.kill()
        await home.stop()
        broker.stop()
    complaints = [line for line in complaints.said if not any(words in line for words in NOT_OURS)]
    assert not complaints, "Home Assistant complains:\n" + "\n".join(complaints)
    say("Home Assistant complains about nothing")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(scenario(Path(name)))
