"""Text of an engine to a dictionary: pure functions without AiiDA."""
