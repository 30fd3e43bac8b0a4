"""Tell which TRL is installed, and whether this package can work with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from clairkit.errors import ResourceError
from clairkit.extras import install_command

OLDEST = "1.16"  # the first release whose DPOTrainer takes its log-probs from a fused head


class IncompatibleTRL(ResourceError, ImportError):
    """TRL is not installed, or its version is not one that works."""


def usable_version() -> str:
    """Return the version of the installed TRL.

    Raises:
        IncompatibleTRL: it is not installed, or too old.
    """
    try:
        found = version("trl")
    except PackageNotFoundError as error:
        raise IncompatibleTRL(
            "clairkit.integrations.trl needs TRL, and it is not installed",
            remedy=f"run: {install_command('trl')}",
        ) from error
    if Version(found).release < Version(OLDEST).release:
        raise IncompatibleTRL(
            f"clairkit.integrations.trl needs TRL {OLDEST} or newer",
            received=found,
            remedy=f"run: {install_command('trl', upgrade=True)}",
        )
    return found


TRL_VERSION = usable_version()
