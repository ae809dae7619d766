"""HTTP endpoints: translation between each wire format and the core's values. No lower room depends on HTTP."""
