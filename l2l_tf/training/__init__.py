"""Meta-training: what changes phi, step by step."""
