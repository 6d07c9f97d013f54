"""Chaos on a local cloud: workers are killed and paused, APIs fail, and in the end all is as it should be."""
