"""The pass that removes what was sent to sessions that have ended. Safe to repeat at any moment."""

from __future__ import annotations

from gateway.core.places.place import Place
from gateway.core.settings import Settings
from sessions.jobs import uploads
from sessions.store import SessionStore


class UploadPass:
    def __init__(self, store: SessionStore, settings: Settings, place: Place) -> None:
        self._store, self._settings, self._place = store, settings, place

    def __call__(self) -> None:
        """Only sessions that live, or have just ended, have a folder: there are few to ask for."""
        for folder in (self._settings.data_dir / uploads.FOLDER).glob("*"):
            if folder.name.isdecimal() and not self._store.is_live(int(folder.name)):
                self._place.remove(folder)
