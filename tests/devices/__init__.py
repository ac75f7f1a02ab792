"""Backends that need a package or a device which most machines do not have; skipped without it."""
