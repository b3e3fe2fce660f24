"""What README.md and docs/ show of results: tables and one animation, from the JSON files alone."""
