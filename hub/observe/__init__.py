"""What a hub tells of itself while it works: measures, spans, and texts that hold no personal data. Knows nothing of ours."""
