"""Why a check failed: facts of both sides, and rules in causes.toml that read them."""
