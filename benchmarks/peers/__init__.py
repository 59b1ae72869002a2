"""The same job written for each peer; `python -m peers.NAME one|map|ask`, in that peer's virtual environment."""
