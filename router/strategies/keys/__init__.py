"""Canonical keys of answers, one file for each form that an answer can have. Pure."""
