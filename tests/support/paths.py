"""The folders of the project and of recorded provider traffic."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = Path(os.environ.get("QUORUM_RECORDED") or ROOT.parent / "shared" / "recorded")
