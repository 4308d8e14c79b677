"""Searches for counterexamples, and checks with other tools: too long, or too demanding, for a test run."""
