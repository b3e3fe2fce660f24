"""Looking at an optimizer: why it does not learn, what it proposes, what it paints."""
