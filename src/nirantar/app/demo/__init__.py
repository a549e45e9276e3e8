"""The guided demo: a scratch hospital behind a supervisor that attacks it, recovers it and shows the proof."""
