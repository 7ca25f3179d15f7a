"""Launchers: one program per question. Each parses flags, calls the library, and writes figures and results.json."""
