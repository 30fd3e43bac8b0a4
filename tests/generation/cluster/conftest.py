"""Set-up for tests of runs on many machines."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for fake_ray
