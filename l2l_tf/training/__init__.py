"""Meta-training: what changes φ, step by step."""
