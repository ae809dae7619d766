"""Any other endpoint that speaks OpenAI's chat format; how it differs is written as `quirks` in the registry."""

from __future__ import annotations

from adapters.codec.dialect import Dialect

DIALECT = Dialect()

BASE_URL = ""  # the registry gives it
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
