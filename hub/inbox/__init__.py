"""Events in: receive, dedup, lanes, claim, questions, replay."""
