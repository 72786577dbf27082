"""What an operator may set. `fields` declares and checks it, `reading` fetches it, `printing` shows it."""

from gateway.core.settings.fields import DEFAULT_CLUSTER, ClusterSettings, Settings

__all__ = ["DEFAULT_CLUSTER", "ClusterSettings", "Settings"]
