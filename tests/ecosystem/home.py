"""Home Assistant's core in this process: its registries, its MQTT integration, nothing that asks for the network."""

import asyncio
import logging
import time

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component

from processes import PATIENCE, free_port


class Home:
    """A running Home Assistant with one config entry: the broker."""

    def __init__(self, folder, broker_port):
        self.folder, self.broker_port = folder, broker_port
        self.hass = None
        (folder / "configuration.yaml").write_text("")

    async def start(self):
        """Starts it; with the same folder a second time, it finds its registries again."""
        config = {"homeassistant": {}, "http": {"server_host": "127.0.0.1", "server_port": free_port()}}
        hass = self.hass = core.HomeAssistant(str(self.folder))
        loader.async_setup(hass)
        hass.config.skip_pip = True
        hass.config_entries = config_entries.ConfigEntries(hass, config)
        await loader.async_get_custom_components(hass)
        await bootstrap.async_load_base_functionality(hass)
        assert await async_setup_component(hass, "homeassistant", config)
        await async_process_ha_core_config(hass, config["homeassistant"])
        assert await async_setup_component(hass, "http", config)
        if entries := hass.config_entries.async_entries("mqtt"):
            assert await hass.config_entries.async_setup(entries[0].entry_id)
        else:
            await hass.config_entries.async_add(self.entry())
        await hass.async_start()
        await self.until("connected to the broker", lambda: "mqtt" in hass.data and hass.data["mqtt"].client.connected)

    def entry(self):
        """What the dialogue "add integration, MQTT" makes."""
        return config_entries.ConfigEntry(
            data={"broker": "127.0.0.1", "port": self.broker_port},
            options={},
            discovery_keys={},
            domain="mqtt",
            entry_id="broker",
            minor_version=2,
            source="user",
            subentries_data=None,
            title="broker",
            unique_id=None,
            version=1,
        )

    async def stop(self):
        """Stops it, with all that it has to write, and hangs up, as the end of its process would."""
        client = self.hass.data["mqtt"].client
        await self.hass.async_stop(force=True)
        await client.async_disconnect(disconnect_paho_client=True)
        self.hass = None

    def entities(self):
        """The registry's entities of ours by unique id, the disabled ones too."""
        registry = entity_registry.async_get(self.hass)
        ours = [entity for entity in registry.entities.values() if entity.platform == "mqtt"]
        return {entity.unique_id: entity for entity in ours}

    def devices(self):
        """The registry's devices by identifier."""
        registry = device_registry.async_get(self.hass)
        return {name: device for device in registry.devices.values() for _, name in device.identifiers}

    def state(self, unique_id):
        """What an entity's state is; `None`: it has none."""
        entity = self.entities().get(unique_id)
        return entity and self.hass.states.get(entity.entity_id)

    def value(self, unique_id):
        """The word of it."""
        state = self.state(unique_id)
        return state and state.state

    def states(self):
        """The words of all that are not disabled, by unique id."""
        enabled = [name for name, entity in self.entities().items() if not entity.disabled]
        return {name: self.value(name) for name in enabled}

    async def picture(self, unique_id):
        """The bytes of an image entity."""
        entity = self.hass.data["image"].get_entity(self.entities()[unique_id].entity_id)
        return await entity.async_image()

    async def until(self, what, holds):
        """Waits until something holds."""
        start = time.monotonic()
        while not holds():
            if time.monotonic() - start > PATIENCE:
                raise AssertionError(f"not {what}; states: {self.states()}")
            await asyncio.sleep(0.1)


class Complaints(logging.Handler):
    """Whatever Home Assistant warns of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(f"{record.levelname} {record.name}: {record.getMessage()}")
