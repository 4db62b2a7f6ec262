"""The one module that imports the HTTP library: httpx2, or its older namesake with the same API."""

try:
    import httpx2 as httpx
except ImportError:  # pragma: no cover
    import httpx  # type: ignore[no-redef, import-not-found]

__all__ = ["httpx"]
