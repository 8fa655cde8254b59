"""Framework adapters: each builds both sides of a case with one framework."""
