"""Files with rows that are named on the command line or to the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub.connect import rows
from hub.workers.admin.errors import AdminError


def read_rows(path: str, sheet: str | None = None) -> list[dict[str, Any]]:
    """The rows under the header row of a spreadsheet (XLSX) or CSV file. Raises: AdminError with every error, its row and
    its column."""
    file = Path(path)
    if not file.is_file():
        raise AdminError(f"there is no file {path}")
    if file.stat().st_size > rows.MAX_BYTES:
        raise AdminError(f"{path} is over {rows.MAX_BYTES // (1024 * 1024)} MB: split it")
    try:
        return rows.read_rows(path, file.read_bytes(), sheet=sheet)
    except rows.RowsError as error:
        raise AdminError(str(error), error.problems) from None
