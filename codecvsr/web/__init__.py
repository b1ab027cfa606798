"""The page: jobs behind a small HTTP API, and one page that uses it. Needs the extra ``web`` (Flask and waitress)."""
