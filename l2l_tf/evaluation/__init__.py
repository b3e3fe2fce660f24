"""The paper's protocol: tuned baselines, fresh instances, intervals, results files."""
